"""Devices work beside one another, each in order; what they tell is told by the one who waits."""

from __future__ import annotations

import threading
import time

import pytest
from edgeworthy.measurements.lanes import Lanes
from edgeworthy.targets import device_lock
from edgeworthy.targets.device_lock import exclusive_host, shared_host
from filelock import Timeout

from tests.waiting import GUARD_S, until


def test_two_devices_work_at_the_same_time() -> None:
    """Each of two devices waits for the other one to have begun: in turn they never would."""
    meeting = threading.Barrier(2, timeout=10)
    lanes = Lanes(["phone", "pi"], print)
    lanes.ahead("phone", meeting.wait)
    assert lanes.call("pi", lambda: meeting.wait() >= 0)
    lanes.wait()


def test_one_device_runs_one_job_at_a_time() -> None:
    """What is asked for waits for what was asked for before it on the same device, and then has its answer."""
    done: list[int] = []
    lanes = Lanes(["phone"], print)
    for index in range(5):
        lanes.ahead("phone", lambda index=index: (time.sleep(0.01), done.append(index)))
    assert lanes.call("phone", lambda: list(done)) == [0, 1, 2, 3, 4]


def test_exceptions_are_raised_in_the_caller() -> None:
    """An error of a lane's work comes out of the call, with its type."""
    with pytest.raises(ZeroDivisionError):
        Lanes(["phone"], print).call("phone", lambda: 1 // 0)


def test_without_lanes_work_runs_in_the_calling_thread() -> None:
    """Without a lane the work is done in the asking thread."""
    assert Lanes([], print).call("host", threading.get_ident) == threading.get_ident()


def test_messages_of_a_lane_are_shown_by_the_waiting_thread() -> None:
    """pytest's capture belongs to the main thread: no lane touches it."""
    tellers: list[tuple[str, int]] = []
    lanes = Lanes(["phone"], lambda text: tellers.append((text, threading.get_ident())))
    lanes.call("phone", lambda: lanes.tell("cooling"))
    assert tellers == [("cooling", threading.get_ident())]


def test_pending_jobs_are_dropped_at_the_end() -> None:
    """Closing drops the queue; what runs goes on."""
    begun, go_on, done = threading.Event(), threading.Event(), []
    lanes = Lanes(["phone"], print)
    lanes.ahead("phone", lambda: (begun.set(), go_on.wait(10)))
    lanes.ahead("phone", lambda: done.append(1))
    assert begun.wait(10)
    lanes.close()
    go_on.set()
    assert lanes.call("phone", lambda: list(done)) == []


def test_host_is_timed_exclusively(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another device is worked on no timing of the host begins, and one that waits goes before later others."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    order: list[str] = []
    working, finish = threading.Event(), threading.Event()

    def device() -> None:
        with shared_host():
            working.set()
            finish.wait(GUARD_S)
            order.append("first device")

    def host() -> None:
        with exclusive_host():
            order.append("host")

    def turn_is_taken() -> bool:
        try:
            with device_lock._turn().acquire(timeout=0):
                return False
        except Timeout:
            return True

    def late() -> None:
        with shared_host():
            order.append("second device")

    threads = [threading.Thread(target=work) for work in (device, host, late)]
    threads[0].start()
    assert working.wait(10)
    threads[1].start()
    until(turn_is_taken)  # the host now waits
    threads[2].start()
    time.sleep(0.1)
    assert order == []
    finish.set()
    for thread in threads:
        thread.join(GUARD_S)
    assert order == ["first device", "host", "second device"]
