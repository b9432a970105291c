"""How long a process lives."""

from __future__ import annotations

import signal
import sys


def die_with_parent() -> None:
    """Ask Linux to kill this process when its parent dies, so that a killed run leaves nothing running."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
