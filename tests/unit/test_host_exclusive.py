"""The host's timings run alone, whichever process does something else; other devices are worked on together."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from edgeworthy.targets.device_lock import exclusive_host, shared_host

from tests.lock_holder import held_elsewhere
from tests.waiting import until

#: Whoever does not wait is through by then, unless the machine is very busy; whoever does wait never is.
MOMENT_S = 0.5
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


@pytest.mark.parametrize(
    ("hold", "lock"),
    [("shared_host()", exclusive_host), ("exclusive_host()", shared_host), ("exclusive_host()", exclusive_host)],
    ids=["a timing waits for work", "work waits for a timing", "a timing waits for a timing"],
)
def test_one_process_waits_for_the_other(environment: dict[str, str], hold: str, lock: Lock) -> None:
    """It enters when the other one has left, and not before."""
    with held_elsewhere(hold, environment) as let_go, entering(lock, let_go) as entered:
        assert not entered.wait(MOMENT_S)
        let_go()
        until(entered.is_set)


def test_two_processes_work_on_other_devices_at_once(environment: dict[str, str]) -> None:
    """Devices run in parallel with one another."""
    with held_elsewhere("shared_host()", environment) as let_go, entering(shared_host, let_go) as entered:
        until(entered.is_set)
