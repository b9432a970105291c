"""Waiting for what must come, and acting at that moment, whatever the load of the machine."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

#: The last guard against a test that hangs; no promise about edgeworthy.
GUARD_S = 120.0
POLL_S = 0.005

Found = TypeVar("Found")


def until(condition: Callable[[], Found], limit_s: float = GUARD_S) -> Found:
    """What ``condition`` answers as soon as that is something. Raises AssertionError where it never is."""
    end = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < end, f"what was waited for did not come within {limit_s:g} s"
        time.sleep(POLL_S)
    return found


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """A generous limit: what it stands against would take much longer, or never end."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


def when(condition: Callable[[], object], act: Callable[[], object]) -> contextlib.AbstractContextManager[None]:
    """Do ``act`` once, as soon as ``condition`` holds, beside the block; its end is waited for.

    What either raises is raised after the block. Raises AssertionError where the condition never held.
    """

    def watch(over: threading.Event) -> bool:
        while not condition():
            if over.wait(POLL_S):
                return False
        act()
        return True

    return _beside(watch)


def whenever(condition: Callable[[], object], act: Callable[[], object]) -> contextlib.AbstractContextManager[None]:
    """As :func:`when`, but ``act`` again and again, until the block ends."""

    def watch(over: threading.Event) -> bool:
        acted = False
        while not over.wait(POLL_S):
            if condition():
                act()
                acted = True
        return acted

    return _beside(watch)


@contextlib.contextmanager
def _beside(watch: Callable[[threading.Event], bool]) -> Iterator[None]:
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch, over)
        try:
            yield
        finally:
            over.set()
            acted = watching.result()
    assert acted, "what should have been waited for never came"
