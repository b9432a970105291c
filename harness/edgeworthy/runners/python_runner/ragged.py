"""Samples of different sizes, run one by one; their outputs may have different sizes too."""

from __future__ import annotations

from typing import Any

import numpy as np

from .inputs import Inputs, take_shapes
from .jobs import Array, Job, RunnerError, failure, shape_text
from .models import load
from .stored import as_stored, same_outputs

#: So many samples are run again, last one first, to see whether their outputs are the same.
REPEATED = 4


def one_by_one(job: Job, model: Any, inputs: Inputs) -> tuple[dict[str, Array], list[list[int]]]:
    """Every sample's outputs, and the shape of the frame of each output, which holds every sample's.

    The arrays are ``values`` (samples, values), float32, each output in its frame with zeros after it, several one after the
    other; and ``sizes`` (samples, axes), the shape of each sample's outputs, one after the other. Raises RunnerError where
    the first samples have other outputs when they are run again, unless the job has a ``random_seed``.
    """
    found = [_outputs_of(job, model, inputs, index) for index in range(len(inputs))]
    count = min(REPEATED, len(inputs))
    again = [_outputs_of(job, model, inputs, index) for index in reversed(range(count))][::-1]
    if job.get("random_seed") is None and not _same(found[:count], again):
        raise RunnerError(
            "not_repeatable",
            f"the first {count} samples, run again in reverse order, gave other outputs: it keeps state from one inference to"
            " the next, or draws random numbers",
        )
    return stacked(found)


def stacked(found: list[list[Array]]) -> tuple[dict[str, Array], list[list[int]]]:
    """The outputs of each sample as ``one_by_one`` returns them."""
    sizes = np.array([[size for each in one for size in each.shape] for one in found], np.int64)
    frames = [np.max([each.shape for each in parts], axis=0).tolist() for parts in zip(*found, strict=True)]
    return {"values": np.stack([in_frames(one, frames) for one in found]), "sizes": sizes}, frames


def in_frames(outputs: list[Array], frames: list[list[int]]) -> Array:
    """A sample's outputs in a row, each at the beginning of its frame, with zeros after it."""
    framed = [np.zeros(frame, np.float32) for frame in frames]
    for whole, each in zip(framed, outputs, strict=True):
        whole[tuple(map(slice, each.shape))] = each
    return np.concatenate([each.ravel() for each in framed])


def _outputs_of(job: Job, model: Any, inputs: Inputs, index: int) -> list[Array]:
    """The outputs of one sample, float32, without the batch; by a model that is loaded for it where it keeps a state."""
    model = load(job) if model.keeps_state() else model
    shapes = inputs.shapes_of(index)
    take_shapes(job, model, shapes, f"sample {index} of the dataset")
    try:
        model.feed(model.native(inputs[index : index + 1], index))
        model.invoke()
    except RunnerError:
        raise
    except Exception as error:
        size = " and ".join(map(shape_text, shapes))
        raise failure(job, f"cannot run sample {index} of the dataset, of {size}", error) from error
    found = [as_stored(job, model.floats(each, place)) for place, each in enumerate(model.output())]
    if strange := [each.shape for each in found if each.shape[:1] != (1,)]:
        raise RunnerError(
            "input_mismatch", f"an output for one sample is {shape_text(strange[0])}, which is no batch of one"
        )
    return [each[0] for each in found]


def _same(found: list[list[Array]], again: list[list[Array]]) -> bool:
    return all(
        one.shape == other.shape and same_outputs(one[np.newaxis], other[np.newaxis])
        for first, second in zip(found, again, strict=True)
        for one, other in zip(first, second, strict=True)
    )
