"""Every sample's outputs, and whether they are the same when it is run again."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from .ahead import batches_ahead
from .inputs import Inputs, read_inputs
from .jobs import Array, Facts, Job, RunnerError
from .models import load
from .sequences import each_alone
from .stored import as_stored, floats_of, same_outputs, shapes_of
from .timing import native_samples

BATCH = 32
#: So many samples are also run one at a time, to see whether a larger batch changes the outputs.
BATCH_CHECK = 4
RANDOM = "it is random: the same sample gave different outputs after each load"


def outputs(job: Job) -> tuple[dict[str, Array], Facts]:
    """Every sample's dequantized outputs: arrays ``values`` (samples, values), float32, several one after the other.

    Of sequences, and of samples of different sizes, there are ``sizes`` too.

    With ``evidence``, ``delegation`` says which nodes of the graph the backend took, and ``needs`` what a microcontroller must
    have for the artifact.

    Raises RunnerError where the outputs of the same samples differ, unless the job has a ``random_seed``.
    """
    arrays, facts = _outputs(job)
    return arrays, {**facts, **_evidence(job)} if job.get("evidence") else facts


def _evidence(job: Job) -> Facts:
    """What the backend took and needs, of the artifact loaded anew for one sample."""
    model = load(job)
    natives, shapes = native_samples(job, model)
    model.fit(shapes)
    model.feed(natives[0])
    model.invoke()
    return {"delegation": model.delegation(natives[0]), "needs": model.needs()}


def _outputs(job: Job) -> tuple[dict[str, Array], Facts]:
    model = load(job)
    inputs = read_inputs(job, model)
    start = time.perf_counter()
    if inputs.sequences or inputs.ragged:
        arrays, shapes = each_alone(job, model, inputs, lambda: _loaded(job, inputs))
        return arrays, {"batch": 1, "seconds": time.perf_counter() - start, "shapes": shapes}
    if model.keeps_state():
        values, shapes = _each_loaded(job, inputs)
        return {"values": values}, {"batch": 1, "seconds": time.perf_counter() - start, "shapes": shapes}
    raw = None if job.get("batch") == 1 else _batched(model, inputs)
    batch = 1 if raw is None else BATCH
    if raw is None:
        model = _loaded(job, inputs)
        raw = np.concatenate([_run_once(model, inputs, index, 1) for index in range(len(inputs))])
    if job.get("random_seed") is None:
        check_repeatable(job, model, inputs, raw, batch)
    values = floats_of(model, as_stored(job, raw)).reshape(len(inputs), -1)
    facts = {"batch": batch, "seconds": time.perf_counter() - start, "shapes": shapes_of(model)}
    return {"values": values}, facts


def _loaded(job: Job, inputs: Inputs) -> Any:
    """The artifact, loaded anew for these samples."""
    model = load(job)
    model.fit(inputs.shapes)
    return model


def _each_loaded(job: Job, inputs: Inputs) -> tuple[Array, list[list[int]]]:
    """Outputs of every sample by a model that was loaded for it: each is the first step of a sequence of its own.

    Raises RunnerError where the first samples have other outputs when they are run again, unless the job has a ``random_seed``.
    """

    def first_step(index: int) -> tuple[Array, list[list[int]]]:
        model = _loaded(job, inputs)
        return floats_of(model, as_stored(job, _run_once(model, inputs, index, 1))).reshape(1, -1), shapes_of(model)

    steps = [first_step(index) for index in range(len(inputs))]
    values = np.concatenate([value for value, _ in steps])
    again = np.concatenate([first_step(index)[0] for index in range(min(BATCH_CHECK, len(inputs)))])
    if job.get("random_seed") is None and not same_outputs(values[: len(again)], again):
        raise RunnerError("not_repeatable", RANDOM)
    return values, steps[0][1]


def _run_once(model: Any, inputs: Inputs, first: int, batch: int, step: int = 1) -> Array:
    """One inference: ``batch`` samples from ``first`` on, in reverse order with a ``step`` of -1.

    The raw output; several are dequantized, and stand one after the other, (batch, values).
    """
    given = [each[::step] if isinstance(each, np.ndarray) else each for each in inputs[first : first + batch]]
    return _run_given(model, model.native(given, first), batch)


def _run_given(model: Any, native: list[Any], batch: int) -> Array:
    """One inference of what the model takes, as ``_run_once`` gives it."""
    model.reset()  # samples are independent of one another
    model.feed(native)
    model.invoke()
    found: list[Array] = model.output()
    if len(found) == 1:
        return found[0]
    parts = (as_stored(model.job, model.floats(each, place)) for place, each in enumerate(found))
    return np.concatenate([part.reshape(batch, -1) for part in parts], axis=1)


def _batched(model: Any, inputs: Inputs) -> Array | None:
    """Raw outputs by batches, or None where the batch cannot be changed or changes the outputs.

    A dynamically quantized graph takes one range for a whole batch, so that a batch gives other outputs than
    the same samples get one at a time, as deployed.
    """
    if len(inputs) < BATCH:
        return None
    singly = np.concatenate([_run_once(model, inputs, index, 1) for index in range(BATCH_CHECK)])
    try:
        model.resize(BATCH)
        first = _run_once(model, inputs, 0, BATCH)
    except Exception:
        return None
    whole = all(each.shape[:1] == (BATCH,) for each in model.output())  # a reshape may put all samples into one row
    if not whole or not same_outputs(floats_of(model, singly), floats_of(model, first[:BATCH_CHECK])):
        return None
    found = np.empty((len(inputs), *first.shape[1:]), first.dtype)
    found[:BATCH] = first
    starts = [min(start, len(inputs) - BATCH) for start in range(BATCH, len(inputs), BATCH)]
    for start, native in zip(starts, batches_ahead(model, inputs, starts, BATCH), strict=True):
        found[start : start + BATCH] = _run_given(model, native, BATCH)
    return found


def check_repeatable(job: Job, model: Any, inputs: Inputs, raw: Array, batch: int) -> None:
    """Run the first samples again, last one first. Raises RunnerError where their outputs are others than ``raw``."""
    count = batch if batch > 1 else min(BATCH_CHECK, len(inputs))
    if batch > 1:
        again = _run_once(model, inputs, 0, batch, -1)[::-1]
    else:
        again = np.concatenate([_run_once(model, inputs, index, 1) for index in reversed(range(count))][::-1])
    if same_outputs(floats_of(model, raw[: len(again)]), floats_of(model, again)):
        return
    first_after_loading = []
    for _ in range(2):
        loaded = _loaded(job, inputs)
        first_after_loading.append(floats_of(loaded, _run_once(loaded, inputs, 0, 1)))
    if same_outputs(*first_after_loading):
        message = (
            "its outputs depend on the order of the samples: it keeps state from one inference to the next, or draws random"
            f" numbers (the first {count} samples, run again in reverse order, gave other outputs)"
        )
    else:
        message = RANDOM
    raise RunnerError("not_repeatable", message)
