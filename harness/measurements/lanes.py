"""One lane per device beside the host: a thread that works on it, so that devices run in parallel with one another.

Whoever asks for a measurement waits for it; meanwhile what the lanes have to tell is told in the asking thread, for
pytest's capture is not to be touched from others.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, wait
from typing import TypeVar

Answer = TypeVar("Answer")
Tell = Callable[[str], None]
#: How often the one who waits looks for something to tell.
POLL_S = 0.2


class Lane:
    """The work for one device, in the order in which it is asked for.

    The thread is a daemon: a run that is interrupted does not wait for it. ``busy`` says that it works.
    """

    busy = False

    def __init__(self, device: str) -> None:
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
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


class Lanes:
    """The lanes of ``devices``; work for any other device is done at once, where it is asked for."""

    def __init__(self, devices: Sequence[str], tell: Tell) -> None:
        self._lanes = {device: Lane(device) for device in devices}
        self._told: queue.SimpleQueue[str] = queue.SimpleQueue()
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
            self._told.put(text)

    def call(self, device: str, work: Callable[[], Answer]) -> Answer:
        """What ``work`` answers, done in the device's lane; raises what it raises."""
        if device not in self._lanes or threading.get_ident() != self._owner:
            return work()
        return self._waited(self._lanes[device].submit(work))

    def ahead(self, device: str, work: Callable[[], object]) -> None:
        """Have the device's lane do ``work`` without waiting for it."""
        self._ahead.append(self._lanes[device].submit(work))

    def wait(self) -> None:
        """Until all that was asked for ahead is done."""
        for future in self._ahead:
            self._waited(future)
        self._ahead.clear()

    def close(self) -> None:
        """Forget what was asked for and has not begun."""
        for future in self._ahead:
            future.cancel()
        self._ahead.clear()

    def _waited(self, future: Future[Answer]) -> Answer:
        while not future.done():
            wait([future], timeout=POLL_S)
            self._drain()
        self._drain()
        return future.result()

    def _drain(self) -> None:
        while not self._told.empty():
            self._tell(self._told.get())
