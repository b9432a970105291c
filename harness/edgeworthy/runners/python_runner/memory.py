"""The memory of this process."""

from __future__ import annotations

import collections
import contextlib
from pathlib import Path


class PeakMemory:
    """Growth of the peak resident memory since it was made, in bytes; None where the system does not report.

    Code does not count: the pages of a library become resident when one of its functions first runs, and how many do depends on
    its build. They stay resident after the peak; so what is taken off is their growth until the peak, or a little more.
    """

    def __init__(self) -> None:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM (Linux, proc(5))
        self.start, self.code = self._status("VmRSS:"), _code_bytes()

    def growth(self) -> int | None:
        """Bytes by now."""
        peak, code = self._status("VmHWM:"), _code_bytes() - self.code
        return None if peak is None or self.start is None else max(peak - self.start - code, 0)

    @staticmethod
    def _status(field: str) -> int | None:
        try:
            lines = Path("/proc/self/status").read_text().splitlines()
        except OSError:
            return None
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field)), None)


def _code_bytes() -> int:
    """Resident bytes of the files that code is run from; 0 where the system does not report (Linux, proc_pid_smaps(5))."""
    resident: collections.Counter[str] = collections.Counter()
    run_from = set()
    file = ""
    with (
        contextlib.suppress(OSError),
        Path("/proc/self/smaps").open(encoding="utf-8", errors="surrogateescape") as mappings,
    ):
        for line in mappings:
            words = line.split(maxsplit=5)
            if words[0] == "Rss:":
                resident[file] += int(words[1]) * 1024
            elif not words[0].endswith(":"):
                file = words[5].rstrip("\n") if len(words) == 6 else ""
                if "x" in words[1] and file.startswith("/"):
                    run_from.add(file)
    return sum(resident[each] for each in run_from)
