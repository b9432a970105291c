"""What all targets that use edgegate's own runner have in common: the jobs it is given, and the answers it leaves."""

from __future__ import annotations

import json
import tempfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from harness.config import LatencyPlan
from harness.device_schema import RunnerBackend
from harness.errors import (
    ArtifactUnusable,
    BackendUnused,
    InputMismatch,
    ProfileUnavailable,
    RunnerCrashed,
    RuntimeMissing,
    TargetError,
)
from harness.records import Artifact, Conditions, Delegation, Outputs, Timing
from harness.sources.samples import Samples
from harness.targets.base import InTurn, Job, Side

#: The runner's words for what went wrong.
_ERRORS: dict[str, type[TargetError]] = {
    "input_mismatch": InputMismatch,
    "artifact_unusable": ArtifactUnusable,
    "runtime_missing": RuntimeMissing,
    "backend_unused": BackendUnused,
    "runner_failed": RunnerCrashed,
}

#: Each of many short loads in turn; a slow model is timed a few times, a quick one for some milliseconds.
IN_TURN = {"samples_per_load": 8, "min_load_ms": 4, "warmup": 3}

Answer = tuple[dict[str, NDArray[Any]], dict[str, Any], Conditions]


class RunnerTarget(ABC):
    """A target whose artifacts are executed by ``harness/runners/python_runner.py``, wherever it runs."""

    def __init__(self, device: str, backend_name: str, backend: RunnerBackend) -> None:
        self.device = device
        self.name = f"{device}:{backend_name}"
        self.backend = backend
        self.runtimes = frozenset[str](backend.runtimes)

    def outputs(self, job: Job) -> Outputs:
        """Every sample's dequantized output. Raises TargetError."""
        arrays, facts, conditions = self._run(job, {"mode": "outputs"})
        return Outputs(
            values=arrays["values"],
            batch=int(facts["batch"]),
            seconds=float(facts["seconds"]),
            window_seconds=float(facts["window_seconds"]),
            conditions=conditions,
        )

    def timing(self, job: Job, plan: LatencyPlan) -> Timing:
        """Loads and single inferences, timed on a monotonic clock. Raises TargetError."""
        arrays, facts, conditions = self._run(job, {"mode": "timing", **plan.model_dump()})
        return Timing(
            samples_ns=arrays["samples_ns"],
            load_of=arrays["load_of"],
            load_ns=arrays["load_ns"],
            first_ns=arrays["first_ns"],
            peak_memory_bytes=facts["peak_memory_bytes"],
            cpu_percent=float(facts["cpu_percent"]),
            delegation=Delegation(**facts["delegation"]) if facts["delegation"] else None,
            window_seconds=float(facts["window_seconds"]),
            conditions=conditions,
        )

    def in_turn(self, baseline: Side, candidate: Side, inputs: Samples, rounds: int, timeout_s: float) -> InTurn:
        """Fresh loads of the two in turn, in one process. Raises TargetError."""
        mode = {"mode": "interleaved", "rounds": rounds, **IN_TURN}
        arrays, _, conditions = self._run(Job(candidate.artifact, inputs, timeout_s), mode, (baseline, candidate))
        return InTurn(arrays["sides"], conditions.during)

    def profile(self, job: Job) -> NoReturn:
        """Raise ProfileUnavailable: edgegate's own runner times whole inferences."""
        raise ProfileUnavailable(
            f"{self.name}: only phones tell the time of single ops, by benchmark_model",
            next_step="profile the artifact on a phone, or see 'edgegate diagnose' for what its layers do to accuracy",
        )

    @abstractmethod
    def fingerprint(self, runtime: str) -> dict[str, str]:
        """What must be equal for two of the target's numbers to be compared."""

    @abstractmethod
    def state(self) -> dict[str, float]:
        """Readings of the device, by name."""

    @abstractmethod
    def _placed(self, path: Path) -> str:
        """The path under which the runner finds a file of this machine."""

    @abstractmethod
    def _execute(self, runtime: str, job: dict[str, Any], folder: Path, timeout_s: float) -> dict[str, float]:
        """Run one job; its result.json and arrays.npz are then in ``folder``. Gives what was seen of the device meanwhile.

        Raises TargetError.
        """

    @abstractmethod
    def _how_to_install(self, runtime: str) -> str:
        """The next step where the runtime is missing."""

    def _run(self, job: Job, mode: dict[str, Any], sides: Sequence[Side] = ()) -> Answer:
        artifact = job.artifact
        with tempfile.TemporaryDirectory(prefix="edgegate-") as name:
            folder = Path(name)
            before = self.state()
            told = {
                **self._options(artifact),
                **mode,
                "inputs": {**job.inputs.to_json(), "path": self._placed(job.inputs.path)},
                "sides": [{**self._options(side.artifact), "burden_ns": side.burden_ns} for side in sides],
            }
            during = self._execute(artifact.runtime, told, folder, job.timeout_s)
            conditions = Conditions(self.fingerprint(artifact.runtime), before, self.state(), during=during)
            return *self._answer(folder, artifact), conditions

    def _options(self, artifact: Artifact) -> dict[str, Any]:
        return {
            "runtime": artifact.runtime,
            "artifact": self._placed(artifact.path),
            "layout": artifact.layout,
            **self._settings(),
        }

    def _settings(self) -> dict[str, Any]:
        """The backend's options, which the runner follows and the target's identity holds."""
        return self.backend.model_dump(include={"threads", "cores", "delegate", "providers"})

    def _answer(self, folder: Path, artifact: Artifact) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """The runner's arrays and facts, or the TargetError that it reported."""
        facts = self._told(folder)
        if "error" in facts:
            problem = facts["error"]
            hint = self._how_to_install(artifact.runtime) if problem["kind"] == "runtime_missing" else ""
            raise _ERRORS[problem["kind"]](
                f"{artifact.path.name} ({artifact.recipe}): {problem['message']}", next_step=hint
            )
        try:
            with (folder / "arrays.npz").open("rb") as file, np.load(file) as stored:
                return {name: stored[name] for name in stored.files}, facts
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise self._damaged("arrays.npz", error) from error

    def _told(self, folder: Path) -> dict[str, Any]:
        """The runner's facts. Raises RunnerCrashed where they cannot be read."""
        try:
            facts: dict[str, Any] = json.loads((folder / "result.json").read_text())
        except (OSError, ValueError) as error:
            raise self._damaged("result.json", error) from error
        return facts

    def _damaged(self, name: str, error: Exception) -> RunnerCrashed:
        return RunnerCrashed(
            f"{self.name}: the runner ended well, and its {name} cannot be read ({error})",
            next_step="check the space left there, and that its disk is sound",
        )
