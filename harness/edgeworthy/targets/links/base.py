"""What every link to a device can do.

A command is a list of words, never a line: each link quotes it in one place, for the device's own shell. What needs a
shell (a redirection, a pipe) is a fixed script that gets its data as positional words::

    link.run(["sh", "-c", 'cat "$1" | wc -c', "sh", path], timeout_s=10)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Done:
    """A command that ended on the device: its exit status (128 + signal where it was killed), stdout and stderr apart."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output as text, stripped; bytes that are no UTF-8 are replaced."""
        return self.stdout.decode(errors="replace").strip()

    @property
    def why(self) -> str:
        """What it said of its failure: standard error as text, or else its exit status."""
        return self.stderr.decode(errors="replace").strip() or f"exit status {self.status}"


class Link(Protocol):
    """A connection to one device, opened on first use and again after it was lost. Not for several threads at once.

    Every method raises DeviceAbsent if nothing replies, DeviceRefuses if the device refuses the connection, and LinkLost
    if the connection broke during the call. A broken connection is closed, so that the next call makes a new one.
    """

    device: str

    def run(self, words: Sequence[str], timeout_s: float) -> Done:
        """Run a command to its end; any exit status is returned. Raises CommandTimeout after killing it on the device."""

    def push(self, local: Path, remote: str) -> None:
        """Copy a file to the device, under a temporary name first. Raises DeviceFull, or CommandFailed saying why not."""

    def pull(self, remote: str, local: Path) -> None:
        """Copy a file from the device, under a temporary name first. Raises CommandFailed where there is none."""

    def close(self) -> None:
        """End the connection; the next call opens another."""
