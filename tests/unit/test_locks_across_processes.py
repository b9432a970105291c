"""Who uses a device now is agreed among processes, not only among the threads of one."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.targets.device_lock import alone_on_host, beside_others, device_lock
from tests.lock_holder import held_elsewhere
from tests.waiting import until

#: Whoever does not wait is through by then, unless the machine is very busy; whoever does wait never is.
MOMENT_S = 0.5
TAKEN = "waiting for adb phone:5555, which another run is using"

Lock = Callable[[], contextlib.AbstractContextManager[None]]


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Locks of this test's own, here and in the other process."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return dict(os.environ)


@contextlib.contextmanager
def entering(lock: Lock, let_go: Callable[[], None]) -> Iterator[threading.Event]:
    """Somebody who enters the lock in a thread; the event says that he is in. At the end the other process lets go."""
    entered = threading.Event()

    def enter() -> None:
        with lock():
            entered.set()

    with ThreadPoolExecutor(1) as pool:
        thread = pool.submit(enter)
        try:
            yield entered
        finally:
            let_go()
        thread.result()


def test_a_device_that_another_process_holds_is_waited_for(environment: dict[str, str]) -> None:
    """Told once, and entered as soon as the other one lets go."""
    told: list[str] = []
    with (
        held_elsewhere("device_lock('adb phone:5555', print)", environment) as let_go,
        entering(lambda: device_lock("adb phone:5555", told.append), let_go) as entered,
    ):
        until(lambda: told)
        assert not entered.wait(MOMENT_S)
        let_go()
        until(entered.is_set)
    assert told == [TAKEN]


def test_another_device_is_not_waited_for(environment: dict[str, str]) -> None:
    """A lock is one device's."""
    with (
        held_elsewhere("device_lock('adb phone:5555', print)", environment) as let_go,
        entering(lambda: device_lock("adb other:5555", print), let_go) as entered,
    ):
        until(entered.is_set)


@pytest.mark.parametrize(
    ("hold", "lock"),
    [("beside_others()", alone_on_host), ("alone_on_host()", beside_others), ("alone_on_host()", alone_on_host)],
    ids=["a timing waits for work", "work waits for a timing", "a timing waits for a timing"],
)
def test_the_hosts_timings_are_alone_across_processes(environment: dict[str, str], hold: str, lock: Lock) -> None:
    """The host's timings run alone, whoever in whichever process does something else."""
    with held_elsewhere(hold, environment) as let_go, entering(lock, let_go) as entered:
        assert not entered.wait(MOMENT_S)
        let_go()
        until(entered.is_set)


def test_two_processes_work_on_other_devices_at_once(environment: dict[str, str]) -> None:
    """Devices run in parallel with one another."""
    with held_elsewhere("beside_others()", environment) as let_go, entering(beside_others, let_go) as entered:
        until(entered.is_set)
