"""A target of the user's own: what a class of theirs does with an artifact, as edgeworthy's targets do it."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from edgeworthy.config import LatencyPlan
from edgeworthy.datasets.samples import Samples, as_stored, in_layout
from edgeworthy.device_schema import OwnBackend, OwnDevice
from edgeworthy.errors import ArtifactUnusable, NotRepeatable, ProfileUnavailable, ToolUnusable
from edgeworthy.records import Artifact, Conditions, Outputs, Timing
from edgeworthy.runners.python_runner.casting import as_floats
from edgeworthy.runners.python_runner.interleaving import alternating
from edgeworthy.runners.python_runner.jobs import RunnerError
from edgeworthy.runners.python_runner.outputs import BATCH_CHECK
from edgeworthy.runners.python_runner.stored import same_outputs
from edgeworthy.runners.python_runner.texts import as_numbers
from edgeworthy.runtimes import Runtime
from edgeworthy.targets.base import InterleavedBlock, Job, Side, fingerprint
from edgeworthy.targets.own_steps import Steps, check_steps, outputs_of
from edgeworthy.targets.runner_target import INTERLEAVED_PLAN, NOT_REPEATABLE_HINT, differing
from edgeworthy.tensors import is_ragged, length_of
from edgeworthy.user_code.function_files import function_digest
from edgeworthy.user_code.functions import load_function, users_code

#: What a class must have, and what it may have.
OUTPUTS, TIMES = "outputs", "times_ns"


def _singly(samples: Samples) -> bool:
    """Whether the class is given them one by one, or a step at a time."""
    return length_of(samples.inputs) is not None or is_ragged(samples.inputs)


class OwnTarget:
    """One backend of a device of kind own; its class is called with the backend's options when it is first used."""

    def __init__(self, device: str, backend_name: str, entry: OwnDevice, base: Path) -> None:
        self.device = device
        self.name = f"{device}:{backend_name}"
        self.backend: OwnBackend = entry.backends[backend_name]
        self._function, self._base = entry.target, base
        self._made: Any = None

    def outputs(self, job: Job) -> Outputs:
        """What the user's ``outputs`` returns for all samples. Raises TargetError."""
        begun, before = time.monotonic(), self.state()
        sizes = None
        if _singly(job.inputs):
            arrays, shapes = outputs_of(self.name, self._steps(job.artifact, job.inputs, job.random_seed))
            values, sizes = arrays["values"], differing(arrays["sizes"])
        else:
            values, shapes = self._outputs(job.artifact, job.inputs, slice(None))
            self._check_repeated(job, values)
        seconds = time.monotonic() - begun
        conditions = Conditions(fingerprint(self, job.artifact.runtime), before, self.state())
        return Outputs(values, 1, seconds, seconds, conditions, shapes, sizes)

    def _check_repeated(self, job: Job, values: NDArray[np.float32]) -> None:
        """Raise NotRepeatable where the same samples have other outputs, unless the job has a ``random_seed``."""
        few = slice(BATCH_CHECK)
        if job.random_seed is None and not same_outputs(values[few], self._outputs(job.artifact, job.inputs, few)[0]):
            raise NotRepeatable(
                f"{self.name}: {job.artifact.path.name} ({job.artifact.recipe}) has other outputs for the same samples when"
                " they are run again",
                hint=NOT_REPEATABLE_HINT,
            )

    def timing(self, job: Job, plan: LatencyPlan) -> Timing:
        """Of each load what the user's ``times_ns`` says. Raises TargetError."""
        begun, before = time.monotonic(), self.state()
        loads = [self._times(job.artifact, job.inputs, plan.warmup + plan.samples_per_load) for _ in range(plan.loads)]
        timed = [times[plan.warmup :] for times in loads]
        return Timing(
            samples_ns=np.concatenate(timed),
            load_of=np.repeat(np.arange(plan.loads), [len(times) for times in timed]),
            load_ns=np.zeros(plan.loads, np.int64),
            first_ns=np.array([times[0] for times in loads]),
            peak_memory_bytes=None,
            cpu_percent=None,
            delegation=None,
            window_seconds=time.monotonic() - begun,
            conditions=Conditions(fingerprint(self, job.artifact.runtime), before, self.state()),
        )

    def interleaved(
        self, baseline: Side, candidate: Side, inputs: Samples, rounds: int, timeout_s: float
    ) -> InterleavedBlock:
        """Medians of the user's times of the two, interleaved; which goes first alternates. Raises TargetError."""
        if baseline.injected_delay_ns or candidate.injected_delay_ns:
            raise ToolUnusable(f"{self.name}: no slowdown can be seeded there", hint="study the noise on the host")
        medians, sides = np.zeros((2, rounds), np.int64), (baseline, candidate)
        warmup, count = INTERLEAVED_PLAN["warmup"], INTERLEAVED_PLAN["samples_per_load"]
        for index, side in alternating(rounds):
            times = self._times(sides[side].artifact, inputs, warmup + count)
            medians[side, index] = np.median(times[warmup:])
        return InterleavedBlock(medians, {})

    def profile(self, job: Job) -> NoReturn:
        """Raise ProfileUnavailable."""
        raise ProfileUnavailable(
            f"{self.name}: a target of your own tells no time of single ops", hint="profile on a phone"
        )

    def governor(self) -> str:
        """Nothing: whatever sets its clock is part of its identity."""
        return ""

    def version_of(self, runtime: Runtime) -> str:
        """Whose runtime it is: the version is part of what the class says of its identity."""
        return f"{runtime} of {self._function}"

    def identity(self) -> dict[str, str]:
        """The text of the user's files, the backend's options and what the class says of itself."""
        own = self._called("identity", dict)
        return {
            "target": self._function,
            "files": self._files,
            **{name: str(value) for name, value in {**self.backend.options, **own}.items()},
        }

    def state(self) -> dict[str, float]:
        """The readings that the class gives, by name."""
        return {str(name): float(value) for name, value in self._called("state", dict).items()}

    def close(self) -> None:
        """Let the class let go of what it holds."""
        if self._made is not None:
            self._called("close", lambda: None)

    # -- the user's class -------------------------------------------------------------------------------------

    @functools.cached_property
    def _files(self) -> str:
        """The digest of the user's files, which are imported once."""
        return function_digest(self._function, self._base)

    def _own(self) -> Any:
        if self._made is None:
            function = load_function(self._function, self._base)
            with self._users("it"):
                self._made = function(**self.backend.options)
        return self._made

    def _users(self, what: str) -> Any:
        return users_code(f"{self.name}: {what} of {self._function}", "correct the target's code")

    def _called(self, method: str, otherwise: Callable[[], Any]) -> Any:
        """What a method gives that the class may have."""
        own = getattr(self._own(), method, otherwise)
        with self._users(method):
            return own()

    def _method(self, name: str) -> Callable[..., Any]:
        found = getattr(self._own(), name, None)
        if not callable(found):
            raise ToolUnusable(
                f"{self.name}: what {self._function} makes has no method {name}",
                hint=f"give it one, or leave out what needs it: -k 'not latency' runs without {TIMES}",
            )
        return found  # type: ignore[no-any-return]

    def _outputs(
        self, artifact: Artifact, samples: Samples, chosen: slice
    ) -> tuple[NDArray[np.float32], tuple[tuple[int, ...], ...]]:
        count = len(range(*chosen.indices(len(samples))))
        returned = self._returned(artifact, self._given(artifact, samples, chosen), count, len(artifact.outputs) or 1)
        parts = [as_stored(part, artifact.layout) for part in returned]
        rows = np.concatenate([part.reshape(count, -1) for part in self._floats(parts)], axis=1)
        return rows, tuple(part.shape[1:] for part in parts)

    def _floats(self, parts: Sequence[NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Outputs as float32. Raises ArtifactUnusable where it does not hold one."""
        try:
            return [as_floats(part) for part in parts]
        except RunnerError as error:
            raise ArtifactUnusable(f"{self.name}: {error}", hint="return numbers that float32 holds") from error

    def _steps(self, artifact: Artifact, samples: Samples, random_seed: int | None = None) -> Steps:
        """The class as it is given a sequence, step by step, each of all outputs and states; or sample by sample."""
        sequence = length_of(samples.inputs) is not None
        if sequence:
            check_steps(self.name, artifact, samples)
        count, wanted = (None, len(artifact.every_output)) if sequence else (1, len(artifact.outputs) or 1)
        return Steps(artifact, samples, random_seed, lambda given: self._returned(artifact, given, count, wanted))

    def _returned(self, artifact: Artifact, given: Any, count: int | None, wanted: int) -> list[NDArray[Any]]:
        """The ``wanted`` arrays that the class returns, of ``count`` samples; of a step None. Raises ArtifactUnusable."""
        with self._users(OUTPUTS):
            found = self._method(OUTPUTS)(artifact, given)
        several = isinstance(found, Sequence) and wanted > 1
        parts = [as_numbers(np.asarray(part)) for part in (found if several else [found])]
        fits = all(part.dtype.kind in "iufb" and (count is None or part.shape[:1] == (count,)) for part in parts)
        if len(parts) != wanted or not fits:
            shapes = " and ".join(f"{part.dtype} {part.shape}" for part in parts)
            given_to = "a step" if count is None else f"{count} samples"
            raise ArtifactUnusable(
                f"{self.name}: {OUTPUTS} of {self._function} returned {shapes} for {given_to} of a model with"
                f" {wanted} output{'s' if wanted > 1 else ''}",
                hint="return an array (samples, ...) of numbers or texts, or a list of one for each of several outputs, in the"
                " order of artifact.outputs, of a model with state in that of artifact.every_output",
            )
        return parts

    def _given(self, artifact: Artifact, samples: Samples, chosen: slice) -> Any:
        """The samples (n, ...) in the artifact's layout; of several inputs such an array, or a number, by its names."""
        rows = samples.read(chosen.start or 0, chosen.stop)
        if not samples.inputs:
            return in_layout(rows, artifact.layout)
        names: Mapping[str, str] = artifact.inputs
        return {
            names[each.name]: in_layout(each.of(rows), artifact.layout) if each.constant is None else each.constant
            for each in samples.inputs
        }

    def _times(self, artifact: Artifact, samples: Samples, count: int) -> NDArray[np.int64]:
        """Of so many inferences with the sample that is timed. Raises ToolUnusable where they are no times."""
        singly = _singly(samples)
        given = self._steps(artifact, samples).timed() if singly else self._given(artifact, samples, slice(1))
        with self._users(TIMES):
            times = np.asarray(self._method(TIMES)(artifact, given, count))
        if times.shape != (count,) or times.dtype.kind not in "iuf" or not (times > 0).all():
            raise ToolUnusable(
                f"{self.name}: {TIMES} of {self._function} returned {times.dtype} {times.shape}, not {count} positive numbers",
                hint="return the nanoseconds of every inference",
            )
        return times.astype(np.int64)
