"""Who may use a device now, across all processes of this machine's user.

A device is held by one run at a time. The host's own timings run alone besides: no other device is worked on meanwhile,
for that keeps the host busy too (files are pushed, inputs quantized, jobs polled).

The locks lie in the user's state folder: a temporary folder is another one for each job of a build server, and a session's
runtime folder is not there for cron, and gone when the user logs out.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs
from filelock import FileLock, ReadWriteLock, Timeout

from edgeworthy.errors import DeviceError

#: A wait that takes longer is reported.
PATIENCE_S = 2.0
Tell = Callable[[str], None]


@contextlib.contextmanager
def device_lock(connection: str, tell: Tell) -> Iterator[None]:
    """Hold the device that is reached by ``connection``; two checkouts on one machine share its lock, as they share it.

    A long wait is reported. Raises DeviceError where the user has no folder for locks.
    """
    name = re.sub(r"[^\w.-]", "_", connection)
    lock = FileLock(_folder() / f"{name}.lock")
    try:
        lock.acquire(timeout=PATIENCE_S)
    except Timeout:
        tell(f"waiting for {connection}, which another run is using")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def exclusive_host() -> Iterator[None]:
    """Wait until no other device is worked on, and keep it so."""
    with _turn():
        lock = _host_lock()
        lock.acquire_write()
    with _released(lock):
        yield


@contextlib.contextmanager
def shared_host() -> Iterator[None]:
    """Work on another device than the host, together with whoever does so; not while the host is timed."""
    with _turn():  # which a waiting timing holds, so that those who come later let it go first
        lock = _host_lock()
        lock.acquire_read()
    with _released(lock):
        yield


def _turn() -> FileLock:
    return FileLock(_folder() / "turn.lock")


def _host_lock() -> ReadWriteLock:
    # An instance speaks for its process, not for a thread: each use gets one of its own.
    return ReadWriteLock(_folder() / "host-timing.db", is_singleton=False)


@contextlib.contextmanager
def _released(lock: ReadWriteLock) -> Iterator[None]:
    try:
        yield
    finally:
        lock.release()
        lock.close()


def _folder() -> Path:
    """The same for all processes of the user; XDG_STATE_HOME chooses another."""
    folder = platformdirs.user_state_path("edgeworthy") / "locks"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
        why = "it is not writable"
    except OSError as error:
        why = error.strerror or str(error)
    raise DeviceError(
        f"the devices' locks cannot be kept in {folder}: {why}",
        hint="make that folder yours, or set XDG_STATE_HOME to one that is, the same for all your runs",
    )
