"""What all targets that use edgeworthy's own runner have in common: the jobs it is given, and the results it leaves."""

from __future__ import annotations

import copy
import json
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from numpy.typing import NDArray

from edgeworthy.array_files import load_arrays
from edgeworthy.backend_schema import CPU_PROVIDER
from edgeworthy.config import LatencyPlan
from edgeworthy.datasets.samples import Samples
from edgeworthy.device_schema import RunnerBackend
from edgeworthy.emulator_schema import EmulatedBackend
from edgeworthy.errors import (
    ArtifactUnusable,
    BackendUnused,
    InputMismatch,
    NodesLeft,
    NotRepeatable,
    ProfileUnavailable,
    RunnerCrashed,
    RuntimeMissing,
    TargetError,
)
from edgeworthy.records import Artifact, Conditions, Delegation, Outputs, Timing
from edgeworthy.runtimes import Runtime
from edgeworthy.targets import op_times
from edgeworthy.targets.base import InterleavedBlock, Job, Side, fingerprint
from edgeworthy.temporary import temporary_folder
from edgeworthy.user_code.own_runtimes import CORRECT_CLASS

if TYPE_CHECKING:
    import pandas as pd

#: The runner's words for what went wrong.
_ERRORS: dict[str, type[TargetError]] = {
    "input_mismatch": InputMismatch,
    "artifact_unusable": ArtifactUnusable,
    "not_repeatable": NotRepeatable,
    "runtime_missing": RuntimeMissing,
    "backend_unused": BackendUnused,
    "provider_missing": BackendUnused,
    "provider_unused": BackendUnused,
    "emulates": BackendUnused,
    "nodes_left": NodesLeft,
    "accelerator_refuses": ArtifactUnusable,
    "unsupported": ArtifactUnusable,
    "runner_failed": RunnerCrashed,
    "users_code": ArtifactUnusable,
}

NOT_REPEATABLE_HINT = (
    "export the model in inference mode, without random operations and without state between inferences; where it is"
    " random on purpose, set its 'random_seed' in models.yaml"
)
#: Each of many short, interleaved reloads; a slow model is timed a few times, a quick one for some milliseconds.
INTERLEAVED_PLAN = {"samples_per_load": 8, "min_load_ms": 4, "warmup": 3}

Answer = tuple[dict[str, NDArray[Any]], dict[str, Any], Conditions]


def differing(sizes: NDArray[Any] | None) -> NDArray[Any] | None:
    """The sizes of samples' outputs, None where all samples have the same: those of a classifier do not follow its inputs'."""
    return None if sizes is None or (sizes == sizes[0]).all() else sizes


def versions_in_words(runtime: Runtime, version: str, beside: Mapping[str, str]) -> str:
    """``onnxruntime 1.31.1, onnxruntime-qnn 2.7.0``: ``beside`` are the packages that a backend brings to the runtime."""
    return ", ".join([f"{runtime} {version}", *(f"{package} {own}" for package, own in beside.items())])


def _delegation(facts: dict[str, Any]) -> Delegation | None:
    found = facts.get("delegation")
    return Delegation(**found) if found else None


class RunnerTarget(ABC):
    """A target whose artifacts are executed by ``harness/edgeworthy/runners``, wherever it runs."""

    #: The board's name, where it is one: what is missing is installed there.
    board_name: str | None = None

    def __init__(self, device: str, backend_name: str, backend: RunnerBackend | EmulatedBackend) -> None:
        self.device = device
        self.name = f"{device}:{backend_name}"
        self.backend = backend

    def with_fallback(self) -> Self:
        """The same target, whose accelerator may leave nodes to the processor."""
        other = copy.copy(self)
        other.backend = self.backend.model_copy(update={"min_delegated_percent": 0.0})
        return other

    def outputs(self, job: Job) -> Outputs:
        """Every sample's dequantized output, one sample at a time where a larger batch kills the runner. Raises TargetError."""
        mode = {"mode": "outputs", "evidence": not self.backend.timed}
        try:
            arrays, facts, conditions = self._run(job, mode)
        except RunnerCrashed:
            arrays, facts, conditions = self._run(job, {**mode, "batch": 1})
        return Outputs(
            values=arrays["values"],
            batch=int(facts["batch"]),
            seconds=float(facts["seconds"]),
            window_seconds=float(facts["window_seconds"]),
            conditions=conditions,
            shapes=tuple(tuple(shape) for shape in facts["shapes"]),
            sizes=differing(arrays.get("sizes")),
            delegation=_delegation(facts),
            needs=facts.get("needs", {}),
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
            delegation=_delegation(facts),
            window_seconds=float(facts["window_seconds"]),
            conditions=conditions,
        )

    def interleaved(
        self, baseline: Side, candidate: Side, inputs: Samples, rounds: int, timeout_s: float
    ) -> InterleavedBlock:
        """Interleaved reloads of the two, in one process. Raises TargetError."""
        mode = {"mode": "interleaved", "rounds": rounds, **INTERLEAVED_PLAN}
        arrays, _, conditions = self._run(Job(candidate.artifact, inputs, timeout_s), mode, (baseline, candidate))
        return InterleavedBlock(arrays["sides"], conditions.during)

    def profile(self, job: Job) -> pd.DataFrame:
        """The time of every node, in the order in which they run (columns: op_times.COLUMNS, INTERVALS). Raises TargetError."""
        runtime, backend = job.artifact.runtime, self.backend
        assert isinstance(backend, RunnerBackend)  # an emulation is not timed
        if not runtime.profiled:
            raise ProfileUnavailable(
                f"{self.name}: {runtime} gives the runner no times; beside ONNX Runtime,"
                " only phones report the time of single ops (by benchmark_model)",
                hint="profile a variant for ONNX Runtime here, or one for LiteRT on a phone",
            )
        if backend.accelerator:
            raise ProfileUnavailable(
                f"{self.name}: {runtime} tells when {backend.accelerator} was given an op, not when it was done",
                hint=f"profile on a backend whose providers are [{CPU_PROVIDER}]",
            )
        arrays, facts, _ = self._run(job, {"mode": "op_times", **op_times.PLAN.model_dump()})
        return op_times.of_runner(arrays, facts["nodes"])

    @abstractmethod
    def identity(self) -> dict[str, str]:
        """What makes numbers of this target comparable."""

    @abstractmethod
    def governor(self) -> str:
        """What sets the processor's clock."""

    @abstractmethod
    def version_of(self, runtime: Runtime) -> str:
        """The runtime's name and its version there."""

    @abstractmethod
    def state(self) -> dict[str, float]:
        """Readings of the device, by name."""

    @abstractmethod
    def _placed(self, path: Path) -> str:
        """The path under which the runner finds a file of this machine."""

    @abstractmethod
    def _execute(self, runtime: Runtime, job: dict[str, Any], folder: Path, timeout_s: float) -> dict[str, float]:
        """Run one job; its result.json and arrays.npz are then in ``folder``. Gives what was seen of the device meanwhile.

        Raises TargetError.
        """

    def _run(self, job: Job, mode: dict[str, Any], sides: Sequence[Side] = ()) -> Answer:
        artifact = job.artifact
        with temporary_folder() as folder:
            before = self.state()
            spec = {
                **self._options(artifact),
                **mode,
                "random_seed": job.random_seed,
                "inputs": {**job.inputs.to_json(), "path": self._placed(job.inputs.path)},
                "sides": [
                    {**self._options(side.artifact), "injected_delay_ns": side.injected_delay_ns} for side in sides
                ],
            }
            during = self._execute(self.backend.engine(artifact.runtime), spec, folder, job.timeout_s)
            conditions = Conditions(fingerprint(self, artifact.runtime), before, self.state(), during=during)
            return *self._answer(folder, artifact), conditions

    def _options(self, artifact: Artifact) -> dict[str, Any]:
        engine = self.backend.engine(artifact.runtime)
        return {
            "runtime": engine.name,
            "module": engine.module,
            "class": engine.class_name,
            "artifact": self._placed(artifact.path),
            "layout": artifact.layout,
            "input_names": dict(artifact.inputs),
            "outputs": list(artifact.outputs),
            "state": dict(artifact.state),
            **self._settings(),
        }

    def _settings(self) -> dict[str, Any]:
        """The backend's options, which the runner follows and the target's identity holds."""
        return self.backend.settings()

    def _answer(self, folder: Path, artifact: Artifact) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """The runner's arrays and facts, or the TargetError that it reported."""
        facts = self._facts(folder)
        if "error" in facts:
            problem = facts["error"]
            hint = self._hint(problem["kind"], self.backend.engine(artifact.runtime))
            raise _ERRORS[problem["kind"]](f"{artifact.path.name} ({artifact.recipe}): {problem['message']}", hint=hint)
        try:
            return load_arrays(folder / "arrays.npz"), facts
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise self._damaged("arrays.npz", error) from error

    def _hint(self, kind: str, runtime: Runtime) -> str:
        if kind == "runtime_missing":
            return runtime.how_to_install(self.board_name)
        hints = {
            "not_repeatable": NOT_REPEATABLE_HINT,
            "users_code": CORRECT_CLASS,
            "input_mismatch": "see the model's inputs and outputs in a viewer (netron), and compare them with the dataset",
            "backend_unused": "correct the backend in devices.yaml, or install what it needs there: a driver, or a build of the"
            " runtime that has the provider",
            "unsupported": f"take a recipe whose files {runtime} runs: int8, or int16x8 or fp32 where the chip can afford them",
            "provider_missing": self._how_to_install_provider(runtime),
            "provider_unused": f"correct the options of {self.name} in devices.yaml; the provider's documentation lists them",
            "emulates": "for its outputs alone add a device of kind 'emulated' to devices.yaml (docs/accelerators.md)",
            "accelerator_refuses": "take a recipe that the accelerator runs, and report the file to its vendor",
            "nodes_left": "take a recipe that the accelerator runs whole, change the model there, or allow a share:"
            f" min_delegated_percent of {self.name} in devices.yaml",
        }
        return hints.get(kind, "see whether the artifact runs in its runtime alone, and its log")

    def _how_to_install_provider(self, runtime: Runtime) -> str:
        where = f"on {self.board_name}, for the Python that devices.yaml names: " if self.board_name else ""
        return f"{where}pip install {self.backend.installed_by(runtime)}"

    def _facts(self, folder: Path) -> dict[str, Any]:
        """The runner's facts. Raises RunnerCrashed where they cannot be read."""
        try:
            facts: dict[str, Any] = json.loads((folder / "result.json").read_text())
        except (OSError, ValueError) as error:
            raise self._damaged("result.json", error) from error
        return facts

    def _damaged(self, name: str, error: Exception) -> RunnerCrashed:
        return RunnerCrashed(
            f"{self.name}: the runner ended with status 0, but its {name} cannot be read ({error})",
            hint="check the space left there, and that its disk is sound",
        )
