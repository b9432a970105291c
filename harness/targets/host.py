"""This machine as a device: ``host:<backend>``."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.config import LatencyPlan
from harness.device_schema import RunnerBackend
from harness.errors import ArtifactUnusable, InputMismatch, RunnerCrashed, RuntimeMissing, TargetError
from harness.records import Artifact, Conditions, Delegation, Outputs, Timing
from harness.sources.samples import Samples
from harness.targets import host_state
from harness.targets.base import Job, MediansNs, Side
from harness.targets.runner_server import RunnerServer

_EXTRAS = {"litert": "litert", "onnxruntime": "onnx", "torch": "torch"}
_ERRORS: dict[str, type[TargetError]] = {
    "input_mismatch": InputMismatch,
    "artifact_unusable": ArtifactUnusable,
    "runtime_missing": RuntimeMissing,
    "runner_failed": RunnerCrashed,
}


#: Each of many short loads in turn; a slow model is timed a few times, a quick one for some milliseconds.
IN_TURN = {"samples_per_load": 8, "min_load_ms": 4, "warmup": 3}


class HostTarget:
    """Runs artifacts in lean child processes of this machine, one at a time."""

    def __init__(self, device: str, backend_name: str, backend: RunnerBackend) -> None:
        self.device = device
        self.name = f"{device}:{backend_name}"
        self.backend = backend
        self.runtimes = frozenset[str](backend.runtimes)
        self._servers: dict[str, RunnerServer] = {}

    def identity(self) -> dict[str, str]:
        """The machine and this backend's options."""
        options = self.backend.model_dump(include={"threads", "cores", "delegate"})
        return {**host_state.hardware(), **{name: str(value) for name, value in options.items()}}

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

    def in_turn(self, baseline: Side, candidate: Side, inputs: Samples, rounds: int, timeout_s: float) -> MediansNs:
        """Median nanoseconds of fresh loads of the two in turn, shape (2, rounds), in one process. Raises TargetError."""
        sides = [{**self._options(side.artifact), "burden_ns": side.burden_ns} for side in (baseline, candidate)]
        mode = {"mode": "interleaved", "sides": sides, "rounds": rounds, **IN_TURN}
        arrays, _, _ = self._run(Job(candidate.artifact, inputs, timeout_s), mode)
        return arrays["sides"]

    def fingerprint(self, runtime: str) -> dict[str, str]:
        """Machine, system, backend options, governor and runtime version."""
        return {
            **self.identity(),
            "governor": host_state.governor(),
            "runtime": f"{runtime} {host_state.runtime_version(runtime)}",
        }

    def state(self) -> dict[str, float]:
        """Load, clock, temperature and battery, where the system tells."""
        return host_state.state()

    def close(self) -> None:
        """End the runner processes."""
        for server in self._servers.values():
            server.close()
        self._servers.clear()

    def _run(self, job: Job, mode: dict[str, Any]) -> tuple[dict[str, NDArray[Any]], dict[str, Any], Conditions]:
        artifact = job.artifact
        server = self._servers.setdefault(artifact.runtime, RunnerServer(artifact.runtime))
        with tempfile.TemporaryDirectory(prefix="edgegate-") as name:
            folder = Path(name)
            before = host_state.state()
            server.run({**self._options(artifact), **mode, "inputs": job.inputs.to_json()}, folder, job.timeout_s)
            conditions = Conditions(self.fingerprint(artifact.runtime), before, host_state.state())
            return *_answer(folder, artifact), conditions

    def _options(self, artifact: Artifact) -> dict[str, Any]:
        return {
            "runtime": artifact.runtime,
            "artifact": str(artifact.path),
            "layout": artifact.layout,
            "threads": self.backend.threads,
            "cores": self.backend.cores,
            "delegate": self.backend.delegate,
        }


def _answer(folder: Path, artifact: Artifact) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The runner's arrays and facts, or the TargetError that it reported."""
    facts = json.loads((folder / "result.json").read_text())
    if "error" in facts:
        problem = facts["error"]
        hint = f"pip install 'edgegate[{_EXTRAS[artifact.runtime]}]'" if problem["kind"] == "runtime_missing" else ""
        raise _ERRORS[problem["kind"]](
            f"{artifact.path.name} ({artifact.recipe}): {problem['message']}", next_step=hint
        )
    with np.load(folder / "arrays.npz") as stored:
        return {name: stored[name] for name in stored.files}, facts
