"""One command in a process of its own, and what must hold for it whatever it is given."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

#: A command that takes longer hangs.
SECONDS = 60
#: The main process never needs more.
MEGABYTES = 500
STATUSES = (0, 1, 2)


@dataclass(frozen=True)
class Ended:
    """How a command ended; ``status`` is negative for a signal."""

    status: int
    output: bytes
    megabytes: float

    def defects(self) -> list[str]:
        """What must never be seen."""
        text = self.output.decode("utf-8", "replace")
        unprintable = {sign for sign in text if not sign.isprintable() and sign not in "\n"}
        found = {
            f"exit status {self.status}": self.status not in STATUSES,
            "a traceback": "Traceback (most recent" in text,
            f"{sorted(unprintable)} on the terminal": bool(unprintable),
            f"{len(text):,} characters on the terminal": len(text) > 100_000,
            f"{self.megabytes:.0f} MB": self.megabytes > MEGABYTES,
            "an error without a hint": self.status == 2 and text.startswith("error:") and "Hint: " not in text,
        }
        return [defect for defect, seen in found.items() if seen]


def warm(folder: Path, arguments: list[str]) -> None:
    """The command in this very process, so that what it imports is there in its forks."""
    from edgeworthy.cli import main

    before, sys.argv = Path.cwd(), ["edgeworthy", *arguments]
    os.chdir(folder)
    with Path(os.devnull).open("w") as nothing, contextlib.redirect_stdout(nothing), contextlib.suppress(SystemExit):
        main()
    os.chdir(before)


def run(folder: Path, arguments: list[str]) -> Ended:
    """``edgeworthy ARGUMENTS`` in the folder, in a fork of this process: nothing is imported anew."""
    log = folder / "output.txt"
    child = os.fork()
    if child == 0:
        _command(folder, arguments, log)
    status, usage = _waited(child)
    return Ended(status, log.read_bytes(), usage.ru_maxrss / 1e3)


def _command(folder: Path, arguments: list[str], log: Path) -> None:
    """Never returns."""
    from edgeworthy.cli import main

    status = 99
    try:
        os.chdir(folder)
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - the process ends with it
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.argv = ["edgeworthy", *arguments]
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _waited(child: int) -> tuple[int, resource.struct_rusage]:
    """The child's exit status, or minus its signal; a child that hangs is killed."""
    until = time.monotonic() + SECONDS
    while True:
        pid, status, usage = os.wait4(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status), usage
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            until += SECONDS
        time.sleep(0.005)
