"""One lane per device beside the host: a thread that works on it, so that devices run in parallel with one another.

The thread that asks for a measurement waits for it and meanwhile shows the lanes' messages, because pytest's capture may only
be used from there. The host's own lane has several threads, for what may run side by side there.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

Answer = TypeVar("Answer")
Key = TypeVar("Key")
Tell = Callable[[str], None]
#: How often the one who waits looks for something to tell.
POLL_S = 0.2


class Lane:
    """The work for one device, in the order in which it is asked for.

    Its threads are daemons: a run that is interrupted does not wait for them. ``busy`` says that the one of a device works.
    """

    busy = False

    def __init__(self, device: str, threads: int = 1) -> None:
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        for _ in range(threads):
            threading.Thread(target=self._run, name=f"lane {device}", daemon=True).start()

    def submit(self, work: Callable[[], Answer]) -> Future[Answer]:
        """Do ``work`` after all that was asked for before it."""
        future: Future[Answer] = Future()

        def do() -> None:
            if not future.set_running_or_notify_cancel():
                return
            self.busy = True
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
            finally:
                self.busy = False

        self._work.put(do)
        return future

    def _run(self) -> None:
        while True:
            self._work.get()()


class Ahead(Generic[Key]):
    """Work of this machine that is begun before somebody asks for it, on several threads, each piece known by a key."""

    def __init__(self, threads: int) -> None:
        self._lane = Lane("host", threads)
        self._begun: dict[Key, Future[object]] = {}

    def begin(self, key: Key, work: Callable[[], object]) -> None:
        """Do ``work`` when a thread is free."""
        self._begun[key] = self._lane.submit(work)

    def take(self, key: Key) -> Future[object] | None:
        """The work under ``key`` if a thread is at it or done; what has not begun is dropped: whoever asks does it now."""
        found = self._begun.pop(key, None)
        return found if found and not found.cancel() else None

    def close(self) -> None:
        """Drop what has not begun."""
        for key in list(self._begun):
            self.take(key)


class Lanes:
    """The lanes of ``devices``; work for any other device is done at once, where it is asked for."""

    def __init__(self, devices: Sequence[str], tell: Tell) -> None:
        self._lanes = {device: Lane(device) for device in devices}
        self._messages: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._tell = tell
        self._owner = threading.get_ident()
        self._ahead: list[Future[object]] = []

    @property
    def devices(self) -> Collection[str]:
        """The devices that have a lane."""
        return self._lanes.keys()

    @property
    def busy(self) -> Collection[str]:
        """The devices that are worked on now."""
        return [device for device, lane in self._lanes.items() if lane.busy]

    def tell(self, text: str) -> None:
        """Tell it now, or, in a lane's thread, as soon as somebody waits."""
        if threading.get_ident() == self._owner:
            self._tell(text)
        else:
            self._messages.put(text)

    def call(self, device: str, work: Callable[[], Answer]) -> Answer:
        """The result of ``work``, done in the device's lane; raises what it raises."""
        if device not in self._lanes or threading.get_ident() != self._owner:
            return work()
        return self.result(self._lanes[device].submit(work))

    def ahead(self, device: str, work: Callable[[], object]) -> None:
        """Have the device's lane do ``work`` without waiting for it."""
        self._ahead.append(self._lanes[device].submit(work))

    def wait(self) -> None:
        """Until all that was asked for ahead is done."""
        for future in self._ahead:
            self.result(future)
        self._ahead.clear()

    def close(self) -> None:
        """Forget what was asked for and has not begun."""
        for future in self._ahead:
            future.cancel()
        self._ahead.clear()

    def result(self, future: Future[Answer]) -> Answer:
        """What the future gives or raises; messages are shown until then."""
        while not future.done():
            wait([future], timeout=POLL_S)
            self.drain()
        self.drain()
        return future.result()

    def drain(self) -> None:
        """Show the waiting messages, in the owner's thread; elsewhere do nothing."""
        if threading.get_ident() != self._owner:
            return
        while not self._messages.empty():
            self._tell(self._messages.get())
