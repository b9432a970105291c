"""The lab's tiers, each built once into a folder of the cache, and the record of what came of it.

``EDGE_LAB`` names the cache; the default is ``.edgeworthy/lab``. A tier is built beside its place and renamed into it, so
a half-built one is never taken. Its stamp is the sha256 of the files and pins that shape it: another stamp, another build.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

REPOSITORY = Path(__file__).parents[2]
HERE = Path(__file__).parent
LAB = Path(os.environ.get("EDGE_LAB") or REPOSITORY / ".edgeworthy" / "lab").absolute()


#: Another program may be installing packages just now.
WAIT = ("-o", "DPkg::Lock::Timeout=120")


class LabError(Exception):
    """A tier cannot be built or started; the message is the reason that a skipped test shows."""


@dataclass(frozen=True)
class Tier:
    """One part of the lab. ``commands`` maps what it needs of this machine to the Debian package that brings it."""

    name: str
    title: str
    commands: Mapping[str, str]
    make: Callable[[Path], None] | None = None
    recipe: tuple[Path, ...] = ()
    pins: tuple[str, ...] = ()
    required: bool = False

    @property
    def folder(self) -> Path:
        """Where the built tier stands."""
        return LAB / self.name

    @property
    def record(self) -> Path:
        """What the last build came to: stamp, reason where it failed, seconds."""
        return LAB / f"{self.name}.json"

    def stamp(self) -> str:
        """The sha256 of everything that shapes the tier."""
        digest = hashlib.sha256("\n".join(self.pins).encode())
        for path in self.recipe:
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def missing(self) -> str:
        """Why the tier cannot be used as things stand; empty where it can."""
        if os.geteuid() != 0:
            return "needs root, for namespaces, mounts and the installation of Debian's packages"
        record = json.loads(self.record.read_text()) if self.record.exists() else {}
        current = record.get("stamp") == self.stamp()
        if current and record["reason"]:
            return str(record["reason"])
        if absent := self._absent():
            return f"needs Debian's {', '.join(absent)}; 'make lab' installs it"
        return "" if current or self.make is None else "is not built; 'make lab' builds it"

    def build(self) -> str:
        """Build the tier unless it stands; gives back why it could not be built, or nothing."""
        LAB.mkdir(parents=True, exist_ok=True)
        with FileLock(LAB / f"{self.name}.lock"):
            if not self.missing():
                return ""
            self.record.unlink(missing_ok=True)  # what failed before is tried again
            began = time.monotonic()
            try:
                self._make()
                reason = ""
            except (LabError, OSError, subprocess.SubprocessError) as error:
                reason = str(error)
            self._write(reason, time.monotonic() - began)
            return reason

    def _absent(self) -> list[str]:
        return sorted({package for command, package in self.commands.items() if not shutil.which(command)})

    def _make(self) -> None:
        if os.geteuid() != 0:
            raise LabError(self.missing())
        install(self._absent())
        if self.make is None:
            return
        half = LAB / f".{self.name}.half"
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir()
        self.make(half)
        shutil.rmtree(self.folder, ignore_errors=True)
        half.rename(self.folder)

    def _write(self, reason: str, seconds: float) -> None:
        half = self.record.with_suffix(".half")
        half.write_text(json.dumps({"stamp": self.stamp(), "reason": reason, "seconds": round(seconds, 1)}) + "\n")
        half.replace(self.record)


def run(*command: str, timeout_s: float = 540, **environment: str) -> str:
    """Run a command of the build; gives back its standard output. Raises LabError with the end of what it said."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, check=False, env={**os.environ, **environment}
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"'{' '.join(command)[:200]}' did not finish in {timeout_s:.0f} s") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-600:]
        raise LabError(f"'{' '.join(command)[:200]}' ended with status {done.returncode}: {said}")
    return done.stdout


def install(packages: list[str]) -> None:
    """Install Debian packages on this machine, one apt at a time. Raises LabError."""
    if not packages:
        return
    if not shutil.which("apt-get"):
        raise LabError(f"needs {', '.join(packages)}, and this is no Debian that could install them")
    with FileLock(LAB / "apt.lock"):
        run("apt-get", "-qq", *WAIT, "update")
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        run("apt-get", "-qq", *WAIT, "install", "-y", "--no-install-recommends", *packages, **quiet)


def pinned(*names: str) -> tuple[str, ...]:
    """``name==version`` of packages as constraints.txt has them."""
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    return tuple(line for line in lines if line.partition("==")[0] in names)
