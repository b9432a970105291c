"""One lock per device, across all processes of this machine's user."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from filelock import FileLock


def device_lock(device: str) -> FileLock:
    """The lock to hold while a device works; two checkouts on one machine share it, for they share the device."""
    folder = Path(tempfile.gettempdir()) / f"edgegate-devices-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return FileLock(folder / f"{device}.lock")
