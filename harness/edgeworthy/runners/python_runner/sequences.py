"""Models that are run step by step, with a state that they are given at each step or keep inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .inputs import Inputs
from .jobs import Array, Job, RunnerError, shape_text
from .litert import LiteRtModel
from .ragged import one_by_one, stacked
from .signatures import all_outputs, keeps_inside
from .stored import as_stored, same_outputs


def each_alone(
    job: Job, model: Any, inputs: Inputs, loaded: Callable[[], Any]
) -> tuple[dict[str, Array], list[list[int]]]:
    """The outputs of what no batch holds: of ``sequences``, which need ``loaded``, or of samples by ``ragged.one_by_one``."""
    return sequences(job, model, inputs, loaded) if inputs.sequences else one_by_one(job, model, inputs)


def sequences(
    job: Job, model: Any, inputs: Inputs, loaded: Callable[[], Any]
) -> tuple[dict[str, Array], list[list[int]]]:
    """Every sequence's outputs, as ``ragged.one_by_one`` returns those of samples: of all steps that it has, or of the last.

    Raises RunnerError where the last sequence has other outputs by the model that ``loaded`` gives anew, unless the job has a
    ``random_seed``: whatever outlives a sequence shows there.
    """
    _check_reset(job, model)

    def outputs_of(index: int, model: Any) -> list[Array]:
        steps = [found for _, found in each_step(model, inputs, index)]
        if job["inputs"]["last"]:
            return [each[0] if len(each) == 1 else each for each in steps[-1]]
        return [np.concatenate(parts) for parts in zip(*steps, strict=True)]

    found = [outputs_of(index, loaded() if model.keeps_state() else model) for index in range(len(inputs))]
    again = outputs_of(len(inputs) - 1, loaded())
    if job.get("random_seed") is None and not same_outputs(*(_in_a_row(each) for each in (found[-1], again))):
        raise RunnerError(
            "not_repeatable",
            "a sequence has other outputs when it is run again: the model keeps more from step to step than the state that it is"
            " given, or draws random numbers",
        )
    return stacked(found)


def _in_a_row(outputs: list[Array]) -> Array:
    """A sequence's outputs in a row, (1, values)."""
    return np.concatenate([each.ravel() for each in outputs])[np.newaxis]


def _check_reset(job: Job, model: Any) -> None:
    """Raise RunnerError where nothing of the runtime resets the state that the job wants."""
    if keeps_inside(job) and not isinstance(model, LiteRtModel):
        raise RunnerError(
            "input_mismatch",
            f"a state inside of an artifact is kept by LiteRT's variables, and {job['runtime']} has none",
        )
    if job["state"] and model.keeps_state():
        raise RunnerError(
            "input_mismatch",
            "the model keeps resource variables beside the state that it is given, and nothing resets them",
        )


def each_step(model: Any, inputs: Inputs, index: int) -> Iterator[tuple[list[Any], list[Array]]]:
    """Run a sequence step by step: at each what the model is given, as the runtime takes it, and its wanted outputs, float32."""
    job, names = model.job, all_outputs(model.job)
    becomes = {
        place: names.index(job["state"][each["name"]]) for place, each in enumerate(inputs.named) if each["follows"]
    }
    states: dict[int, Array] = {}
    goes_on = keeps_inside(job)
    for step, given in enumerate(inputs.steps_of(index)):
        if step == 0 or not goes_on:
            model.reset()
        native = model.native([states.get(place, values) for place, values in enumerate(given)], index)
        model.feed(native)
        model.invoke()
        raw = model.output()
        found = [model.floats(each, place) for place, each in enumerate(raw[: len(job["outputs"]) or 1])]
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
