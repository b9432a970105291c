"""What a target of the user's own is given singly: the steps of sequences, each with the state before it, and samples of
different sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.datasets.samples import Samples
from edgeworthy.errors import ArtifactUnusable, EdgeworthyError, InputMismatch, NotRepeatable
from edgeworthy.records import Artifact
from edgeworthy.runners.python_runner.inputs import Inputs
from edgeworthy.runners.python_runner.jobs import RunnerError
from edgeworthy.runners.python_runner.sequences import each_alone
from edgeworthy.runners.python_runner.signatures import keeps_inside
from edgeworthy.runners.python_runner.undeclared import Undeclared

Given = Mapping[str, Any] | NDArray[Any]
#: From what the artifact's inputs are given to all of its outputs that are wanted, in their order.
Run = Callable[[Given], list[NDArray[Any]]]


class Steps(Undeclared):
    """A user's target as the runner's models are: one inference is a call of its ``outputs`` for one step, or one sample."""

    def __init__(self, artifact: Artifact, samples: Samples, random_seed: int | None, run: Run) -> None:
        super().__init__(
            {
                "inputs": samples.to_json(),
                "layout": artifact.layout,
                "outputs": list(artifact.outputs),
                "state": dict(artifact.state),
                "random_seed": random_seed,
                "runtime": artifact.runtime,
                "class": None,
            }
        )
        self._run = run
        self._names = [artifact.inputs[each.name] for each in samples.inputs]
        self._alone = len(samples.inputs) == 1 and not samples.inputs[0].stepped
        self._given: Given = {}
        self._result: list[NDArray[Any]] = []

    def native(self, given: list[Any], first: int = 0) -> list[Any]:
        """What each input is given: float32 or texts (1, ...), the state before the step, or the number that all samples have."""
        return [
            _native(values, each["shape"] if each["follows"] else None)
            for values, each in zip(given, self.job["inputs"]["inputs"], strict=True)
        ]

    def feed(self, native: list[Any]) -> None:
        """Set the inputs: by name, that of a model of one input as it is."""
        self._given = native[0] if self._alone else dict(zip(self._names, native, strict=True))

    def invoke(self) -> None:
        """One step, or one sample."""
        self._result = self._run(self._given)

    def output(self) -> list[NDArray[Any]]:
        """The wanted outputs, and then those that are only a state."""
        return self._result

    def timed(self) -> Given:
        """What is timed: the sample of median size, of a sequence its first step."""
        inputs = Inputs(self.job)
        sample = slice(inputs.timed, inputs.timed + 1)
        self.feed(self.native(inputs.steps_of(inputs.timed)[0] if inputs.sequences else inputs[sample]))
        return self._given


def _native(values: Any, state: list[int] | None) -> Any:
    """Numbers as float32, also those that a state of that shape begins with; texts, and an input's constant, as they are."""
    if not isinstance(values, np.ndarray):
        return values if state is None else np.full(state, values, np.float32)
    return values if values.dtype.kind == "U" else values.astype(np.float32)


def check_steps(name: str, artifact: Artifact, samples: Samples) -> None:
    """Raise InputMismatch where a target of the user's cannot be given the steps of ``samples`` one by one."""
    if keeps_inside({"inputs": samples.to_json(), "state": artifact.state}):
        raise InputMismatch(
            f"{name}: the state is kept inside of the model, and nothing says when a target of your own begins anew",
            hint="judge it on the host or on a board",
        )
    for each in samples.inputs:
        if each.follows and not each.shape:
            raise InputMismatch(
                f"{name}: the shape of the state {each.name!r} is needed: a target of your own declares none",
                hint=f"give it as 'shape', its batch of 1 included, at state.{each.name} in models.yaml",
            )


def outputs_of(name: str, steps: Steps) -> tuple[dict[str, NDArray[Any]], tuple[tuple[int, ...], ...]]:
    """Every sequence's or sample's ``values`` and ``sizes``, and the shape of the frame of each. Raises TargetError."""
    try:
        arrays, shapes = each_alone(steps.job, steps, Inputs(steps.job), lambda: steps)
    except RunnerError as error:
        if isinstance(
            error.__cause__, EdgeworthyError
        ):  # what the class did says more than that a sample cannot be run
            raise error.__cause__ from error
        kind = {"input_mismatch": InputMismatch, "not_repeatable": NotRepeatable}.get(error.kind, ArtifactUnusable)
        raise kind(
            f"{name}: {error}", hint="correct the target's code, or the model's 'state' in models.yaml"
        ) from error
    return arrays, tuple(tuple(shape) for shape in shapes)
