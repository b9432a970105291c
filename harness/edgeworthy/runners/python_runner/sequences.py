"""Models that are given a state at each step of a sequence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .inputs import Inputs
from .jobs import Array, Job, RunnerError, shape_text
from .signatures import all_outputs
from .stored import as_stored, same_outputs


def sequences(job: Job, model: Any, inputs: Inputs) -> tuple[Array, list[list[int]]]:
    """Every sequence's outputs, (sequences, values): each output's of all steps, or of the last; and the shape of each.

    Raises RunnerError where the first sequence has other outputs when it is run again, unless the job has a ``random_seed``.
    """

    def outputs_of(index: int) -> list[Array]:
        steps = [found for _, found in each_step(model, inputs, index)]
        if job["inputs"]["last"]:
            return [each[0] if len(each) == 1 else each for each in steps[-1]]
        return [np.concatenate(parts) for parts in zip(*steps, strict=True)]

    def in_a_row(found: list[Array]) -> Array:
        return np.concatenate([each.ravel() for each in found])

    found = [outputs_of(index) for index in range(len(inputs))]
    values = np.stack([in_a_row(each) for each in found])
    again = in_a_row(outputs_of(0))[np.newaxis]
    if job.get("random_seed") is None and not same_outputs(values[:1], again):
        raise RunnerError(
            "not_repeatable",
            "a sequence has other outputs when it is run again: the model keeps more from step to step than the state that it is"
            " given, or draws random numbers",
        )
    return values, [list(each.shape) for each in found[0]]


def each_step(model: Any, inputs: Inputs, index: int) -> Iterator[tuple[list[Any], list[Array]]]:
    """Run a sequence step by step: at each what the model is given, as the runtime takes it, and its wanted outputs, float32."""
    job, names = model.job, all_outputs(model.job)
    becomes = {
        place: names.index(job["state"][each["name"]]) for place, each in enumerate(inputs.named) if each["follows"]
    }
    states: dict[int, Array] = {}
    for given in inputs.steps_of(index):
        native = model.native([states.get(place, values) for place, values in enumerate(given)], index)
        model.feed(native)
        model.invoke()
        raw = model.output()
        found = [model.floats(each, place) for place, each in enumerate(raw[: len(job["outputs"])])]
        states = {
            place: _given_back(model.state(raw[output], output), native[place], inputs.named[place])
            for place, output in becomes.items()
        }
        yield native, [as_stored(job, each) for each in found]


def _given_back(output: Array, state: Any, named: dict[str, Any]) -> Array:
    """An output as the state that it becomes, whose axes a converter may have written otherwise. Raises RunnerError."""
    if output.size != np.prod(state.shape, dtype=np.int64):
        raise RunnerError(
            "input_mismatch",
            f"the output {named['follows']!r} is {shape_text(output.shape)}, and the state {named['name']!r}"
            f" {shape_text(state.shape)}",
        )
    return output.reshape(tuple(state.shape))
