"""A link to this machine: every command goes through a real shell as one line, and faults can be asked for."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from edgeworthy.errors import CommandFailed, CommandTimeout
from edgeworthy.targets.links.base import Done

BOOT_ID = "/proc/sys/kernel/random/boot_id"


class LocalLink:
    """``before(words)`` may raise what a link raises; ``boot_id`` is this "device's" own."""

    def __init__(self, folder: Path, shell: Sequence[str] = ("sh",), path: str | None = None) -> None:
        self.device = "here"
        self.shell = [*shell, "-c"]
        self.environment = {**os.environ, **({"PATH": path} if path else {})}
        self.boot_file = folder / "boot_id"
        self.reboot()
        self.before: Callable[[Sequence[str]], None] = lambda words: None
        self.pushes: list[str] = []

    def reboot(self) -> None:
        """Give the "device" another boot_id."""
        self.boot_file.write_text(f"{uuid.uuid4()}\n")

    def run(self, words: Sequence[str], timeout_s: float) -> Done:
        self.before(words)
        line = shlex.join(word.replace(BOOT_ID, str(self.boot_file)) for word in words)
        try:
            done = subprocess.run(
                [*self.shell, line],
                capture_output=True,
                timeout=timeout_s,
                check=False,
                env=self.environment,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired as error:
            raise CommandTimeout(f"{self.device}: {words[0]}") from error
        status = done.returncode if done.returncode >= 0 else 128 - done.returncode
        return Done(status, done.stdout, done.stderr)

    def push(self, local: Path, remote: str) -> None:
        self.before(["push", str(local), remote])
        self.pushes.append(remote)
        temporary = Path(f"{remote}.part")
        shutil.copyfile(local, temporary)
        temporary.replace(remote)

    def pull(self, remote: str, local: Path) -> None:
        self.before(["pull", remote, str(local)])
        try:
            shutil.copyfile(remote, local)
        except FileNotFoundError as error:
            raise CommandFailed(f"{self.device}: {remote} is not there") from error

    def close(self) -> None:
        pass
