"""Devices work beside one another, each in order; what they tell is told by the one who waits."""

from __future__ import annotations

import threading
import time

import pytest
from filelock import Timeout

from harness.measurements.lanes import Lanes
from harness.targets import device_lock
from harness.targets.device_lock import alone_on_host, beside_others
from tests.waiting import GUARD_S, until


def test_two_devices_work_at_the_same_time() -> None:
    """Each of two devices waits for the other one to have begun: in turn they never would."""
    meeting = threading.Barrier(2, timeout=10)
    lanes = Lanes(["phone", "pi"], print)
    lanes.ahead("phone", meeting.wait)
    assert lanes.call("pi", lambda: meeting.wait() >= 0)
    lanes.wait()


def test_one_device_does_one_thing_after_the_other() -> None:
    """What is asked for waits for what was asked for before it on the same device, and then has its answer."""
    done: list[int] = []
    lanes = Lanes(["phone"], print)
    for index in range(5):
        lanes.ahead("phone", lambda index=index: (time.sleep(0.01), done.append(index)))
    assert lanes.call("phone", lambda: list(done)) == [0, 1, 2, 3, 4]


def test_what_goes_wrong_is_raised_to_the_one_who_asked() -> None:
    """An error of a lane's work comes out of the call, with its type."""
    with pytest.raises(ZeroDivisionError):
        Lanes(["phone"], print).call("phone", lambda: 1 // 0)


def test_other_devices_are_worked_on_where_it_is_asked_for() -> None:
    """Without a lane the work is done in the asking thread."""
    assert Lanes([], print).call("host", threading.get_ident) == threading.get_ident()


def test_what_a_lane_tells_is_told_by_the_one_who_waits() -> None:
    """pytest's capture belongs to the main thread: no lane touches it."""
    tellers: list[tuple[str, int]] = []
    lanes = Lanes(["phone"], lambda text: tellers.append((text, threading.get_ident())))
    lanes.call("phone", lambda: lanes.tell("cooling"))
    assert tellers == [("cooling", threading.get_ident())]


def test_what_has_not_begun_is_forgotten_at_the_end() -> None:
    """Closing drops the queue; what runs goes on."""
    begun, go_on, done = threading.Event(), threading.Event(), []
    lanes = Lanes(["phone"], print)
    lanes.ahead("phone", lambda: (begun.set(), go_on.wait(10)))
    lanes.ahead("phone", lambda: done.append(1))
    assert begun.wait(10)
    lanes.close()
    go_on.set()
    assert lanes.call("phone", lambda: list(done)) == []


def test_the_host_is_timed_alone(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another device is worked on no timing of the host begins, and one that waits goes before later others."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    order: list[str] = []
    working, finish = threading.Event(), threading.Event()

    def device() -> None:
        with beside_others():
            working.set()
            finish.wait(GUARD_S)
            order.append("first device")

    def host() -> None:
        with alone_on_host():
            order.append("host")

    def turn_is_taken() -> bool:
        try:
            with device_lock._turn().acquire(timeout=0):
                return False
        except Timeout:
            return True

    def late() -> None:
        with beside_others():
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
