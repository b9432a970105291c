"""How many children convert at once, and which of them first."""

from __future__ import annotations

import heapq
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import psutil

#: A child that holds TensorFlow and converts a model of some 100 MB.
CHILD_BYTES = 2 * 1024**3
#: How often a waiting child looks again whether memory has become free.
POLL_S = 0.5
#: The place of what a child makes, and that of its model among the planned ones.
Priority = tuple[int, int]


class Slots:
    """A slot for each core; a second child starts only where memory is free for it.

    ``shared`` is held by each, so that nothing is timed on this machine while a child works.
    """

    def __init__(self, shared: Callable[[], AbstractContextManager[None]], count: int | None = None) -> None:
        self._shared = shared
        self.count = count or cores()
        self._running = 0
        self._order = itertools.count()
        self._waiting: list[tuple[Priority, int]] = []
        self._changed = threading.Condition()

    @contextmanager
    def held(self, priority: Priority) -> Iterator[None]:
        """Hold a slot; of those that wait, the one with the least ``priority`` is next."""
        ticket = (priority, next(self._order))
        with self._changed:
            heapq.heappush(self._waiting, ticket)
            while self._waiting[0] != ticket or not self._has_room():
                self._changed.wait(POLL_S)
            heapq.heappop(self._waiting)
            self._running += 1
            self._changed.notify_all()
        try:
            with self._shared():
                yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def wait_until_idle(self, meanwhile: Callable[[], None]) -> None:
        """Wait until no child works and none waits for a slot; ``meanwhile`` is called again and again."""
        while True:
            with self._changed:
                if not (self._running or self._waiting):
                    return
                self._changed.wait(POLL_S)
            meanwhile()

    def _has_room(self) -> bool:
        if self._running == 0:
            return True
        return self._running < self.count and psutil.virtual_memory().available > CHILD_BYTES


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
