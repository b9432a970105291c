"""One lock per device, across all processes of this machine's user."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

#: A wait that takes longer is told.
PATIENCE_S = 2.0


@contextlib.contextmanager
def device_lock(device: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Hold the device; two checkouts on one machine share its lock, for they share the device. A long wait is told."""
    folder = Path(tempfile.gettempdir()) / f"edgegate-devices-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    lock = FileLock(folder / f"{device}.lock")
    try:
        lock.acquire(timeout=PATIENCE_S)
    except Timeout:
        tell(f"waiting for {device}, which another run is using")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
