"""A .tflite file for an Ethos-U NPU: what Vela, Arm's compiler, makes of it. Nothing but the NPU runs what it makes."""

from __future__ import annotations

import functools
import importlib.util
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .jobs import Facts, RunnerError
from .lifetime import die_with_parent
from .tflm import TflmModel
from .vela_file import VelaFile

VELA_S = 600.0
_TAKEN = re.compile(r"^NPU operators = (\d+)", re.MULTILINE)
#: The last line of a traceback, or of a command's usage, and what follows it.
_ERROR = re.compile(r"^(?:[\w.]+Error|vela: error): (?:Compilation failed: )?(.*)\Z", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Compiled:
    """A compiled file: bytes of the arena as it is planned and of the file, and operators on NPU and (by name) processor."""

    arena_bytes: int
    file_bytes: int
    taken: int
    left: Counter[str]


class EthosUModel(TflmModel):
    """A .tflite file whose outputs are those of TFLM's kernels, and whose needs those of the file that Vela makes of it."""

    def delegation(self, native: Any) -> Facts | None:
        """Operators on the NPU, as Vela reports them."""
        found = self._compiled()
        total, names = found.taken + found.left.total(), ", ".join(f"{n} {name}" for name, n in found.left.items())
        proof = "Vela's report" + (f"; left to the processor: {names}" if names else "")
        return {"delegate": self.job["accelerator"], "taken": found.taken, "total": total, "proof": proof}

    def needs(self) -> dict[str, float]:
        """What the chip must have for the compiled file: the arena that Vela plans, flash, and operators for the processor."""
        found = self._compiled()
        return {
            "arena_kb": found.arena_bytes / 1e3,
            "flash_kb": found.file_bytes / 1e3,
            "cpu_ops": found.left.total(),
        }

    def _compiled(self) -> Compiled:
        job = self.job
        options = [("--accelerator-config", job["accelerator"])]
        options += [("--system-config", job["system_config"])] if job["system_config"] else []
        options += [("--memory-mode", job["memory_mode"])] if job["memory_mode"] else []
        return _compile(job["artifact"], tuple(word for option in options for word in option))


@functools.cache
def _compile(artifact: str, options: tuple[str, ...]) -> Compiled:
    """What Vela makes of a file. Raises RunnerError with its reason."""
    try:
        importlib.util.find_spec("ethosu.vela")
    except ModuleNotFoundError as error:
        raise RunnerError("runtime_missing", f"Vela, the compiler for Ethos-U, is not installed ({error})") from error
    with tempfile.TemporaryDirectory() as folder:
        report = _run(artifact, options, folder)
        made = [*Path(folder).glob("*.tflite")]
        taken = _TAKEN.search(report)
        if len(made) != 1 or taken is None:
            raise RunnerError("artifact_unusable", "Vela wrote no compiled file with a report of its operators")
        content = made[0].read_bytes()
    file = VelaFile(content)
    return Compiled(file.arena_bytes, len(content), int(taken[1]), file.left)


def _run(artifact: str, options: tuple[str, ...], folder: str) -> str:
    """Vela's report, in words; the compiled file is then in ``folder``. Raises RunnerError."""
    command = [sys.executable, "-m", "ethosu.vela", artifact, *options, "--output-dir", folder]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=VELA_S,
            check=False,
            preexec_fn=die_with_parent,
        )
    except subprocess.TimeoutExpired as error:
        raise RunnerError("artifact_unusable", f"Vela did not finish within {VELA_S:g} s and was killed") from error
    if done.returncode:
        raise RunnerError("unsupported", f"Vela does not compile it: {reason_in(done.stderr, done.returncode)}")
    return done.stdout


def reason_in(errors: str, status: int) -> str:
    """What Vela's standard error says, in a line; without words the exit status, a negative one being a signal."""
    found = _ERROR.findall(errors)
    words = " ".join(found[-1].split()).strip("'\" ,").removeprefix("Error: ") if found else ""
    ended = f"it was killed by {signal.Signals(-status).name}" if status < 0 else f"it exited with status {status}"
    return words[:300] or ended
