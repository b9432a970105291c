"""The memory of this process."""

from __future__ import annotations

import contextlib
from pathlib import Path


class PeakMemory:
    """Growth of the peak resident memory since it was made, in bytes; None where the system does not report."""

    def __init__(self) -> None:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM (Linux, proc(5))
        self.start = self._status("VmRSS:")

    def growth(self) -> int | None:
        """Bytes by now."""
        peak = self._status("VmHWM:")
        return None if peak is None or self.start is None else max(peak - self.start, 0)

    @staticmethod
    def _status(field: str) -> int | None:
        try:
            lines = Path("/proc/self/status").read_text().splitlines()
        except OSError:
            return None
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field)), None)
