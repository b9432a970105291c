"""Sequences taken apart: each step as a sample by itself, with the state that the source had reached before it.

A model with state is converted, compared and calibrated as any model of several inputs is, one step at a time. Only where a
variant is measured is it run over whole sequences. Of a .tflite that keeps its state inside each step stands alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeworthy.datasets.samples import Samples, as_stored
from edgeworthy.errors import SourceError
from edgeworthy.suggestions import did_you_mean
from edgeworthy.tensors import LARGEST_INTEGER, NamedInput, of_a_step, steps_of
from edgeworthy.variants.models.model_inputs import ModelInput
from edgeworthy.variants.models.model_outputs import Inference
from edgeworthy.variants.models.opened_source import OpenedSource
from edgeworthy.variants.models.source_files import reading
from edgeworthy.variants.models.source_inference import own_inference
from edgeworthy.variants.models.source_outputs import MAX_BYTES, SECONDS, Rows, stratified
from edgeworthy.variants.models.tflite_variables import keeps_variables

Floats = NDArray[np.float32]
Inputs = tuple[NamedInput, ...]


@dataclass(frozen=True)
class Stepping:
    """A source that is run step by step: its outputs at ``places`` become its states, ``initial`` (values,) before the first.

    ``whole`` says which of their values are whole numbers.
    """

    infer: Inference
    places: Sequence[int]
    initial: Floats
    whole: NDArray[np.bool_]

    def rows(self, steps: Floats) -> Floats:
        """The rows of a sequence's ``steps`` (steps, values): each step's values, and then those of the states before it."""
        if not self.places:
            return steps
        states, rows = self.initial, []
        for step in steps:
            rows.append(np.concatenate([step, states]))
            found = self.infer.each(rows[-1][np.newaxis])
            states = np.concatenate([found[place].ravel() for place in self.places])
            self._check_held(states)
        return np.stack(rows)

    def _check_held(self, states: Floats) -> None:
        """Raise SourceError where a whole number is one that float32, in which samples are kept, does not hold."""
        if (self.whole & (np.abs(states) >= LARGEST_INTEGER)).any():  # the next number is rounded to this one
            raise SourceError(
                f"a state of whole numbers reaches {LARGEST_INTEGER:,} within a sequence",
                hint="let the model keep smaller numbers, or give shorter sequences",
            )


def taken_apart(
    open_source: Callable[[Samples], OpenedSource], sequences: Mapping[str, Samples], folder: Path
) -> Inputs:
    """Write ``folder``/SPLIT.npy, the steps of each split's sequences as rows (steps, values); gives back a step's inputs.

    Of the evaluation sequences there are as many as the source has time for, a stratified selection. Raises SourceError where
    the model gives a state back under no such name, or in another shape.
    """
    evaluation, first = sequences["evaluation"], folder / "first.npy"
    if not any(each.follows for each in evaluation.inputs):
        _check_keeps(open_source(evaluation))
    rows = np.stack([steps[0] for steps in steps_of(evaluation.inputs, evaluation.few())])
    np.save(first, rows)
    alone = of_a_step(evaluation.inputs)
    inputs = _with_states(open_source(Samples(first, (), alone)), alone)
    initial = {each.name: each.constant for each in alone if each.follows}
    begins = np.array([initial[each.name] for each in inputs if each.is_state for _ in range(each.size)], np.float32)
    np.save(first, np.concatenate([rows, np.tile(begins, (len(rows), 1))], axis=1))
    source = open_source(Samples(first, (), inputs))
    kinds = {each.name: each.dtype.kind in "iu" for each in source.own_inputs()}
    whole = np.array([kinds[each.name] for each in inputs if each.is_state for _ in range(each.size)], np.bool_)
    infer = own_inference(source)
    stepping = Stepping(infer, _places(source, infer, inputs), begins, whole)
    for split, given in sequences.items():
        chosen = _affordable(stepping, given) if split == "evaluation" else np.arange(len(given))
        _write(stepping, given, chosen, folder / f"{split}.npy")
    first.unlink()
    return inputs


def _check_keeps(source: OpenedSource) -> None:
    """Raise SourceError where a .tflite that is said to keep its state inside has no variables."""
    with reading(Path(source.title), "a TFLite file"):
        kept = keeps_variables(source.tflite_file().read_bytes())
    if not kept:
        raise SourceError(
            f"{source.title}: the model has no variables, and keeps no state inside",
            hint="remove 'state: inside', or name the inputs that are given back an output: state: {INPUT: {from: OUTPUT}}",
        )


def _with_states(source: OpenedSource, inputs: Inputs) -> Inputs:
    """A step's ``inputs``, their states with the shapes that the source declares, at the end of a row."""
    declared = {each.name: each for each in source.own_inputs()}
    for each in inputs:
        batch = declared[each.name].shape[:1] if each.constant is None else ()
        if batch not in ((), (None,), (1,)):
            raise SourceError(
                f"{source.title}: the model takes {batch[0]} samples at once as {each.name}, and a state belongs to one",
                hint="export it with a dynamic batch, or 1",
            )
    found: list[NamedInput] = []
    start = sum(each.size for each in inputs)
    for each in inputs:
        if each.follows:
            shape = _shape_of(source, each, declared[each.name])
            each = replace(each, constant=None, shape=shape, start=start)
            start += each.size
        found.append(each)
    return tuple(found)


def _shape_of(source: OpenedSource, state: NamedInput, declared: ModelInput) -> tuple[int, ...]:
    """The shape of a state for one sequence, as samples have it."""
    if not state.shape and (source.kind == "torch" or declared.shape.count(None) > 1):
        said = "PyTorch declares none" if source.kind == "torch" else f"the model leaves {declared.shape} open"
        raise SourceError(
            f"{source.title}: the shape of the state {state.name!r} is needed: {said}",
            hint=f"give it as 'shape', its batch of 1 included, at state.{state.name} in models.yaml",
        )
    if declared.dtype.kind in "iu" and state.constant != round(state.constant or 0):
        raise SourceError(
            f"{source.title}: the state {state.name!r} is {declared.dtype}, and begins with {state.constant:g}",
            hint=f"correct 'initial' at state.{state.name} in models.yaml",
        )
    wanted = state.shape or tuple(size or 1 for size in declared.shape)
    own = wanted if source.kind == "torch" else declared.shape
    if len(own) != len(wanted) or any(size not in (None, of) for size, of in zip(own, wanted, strict=True)):
        raise SourceError(
            f"{source.title}: the state {state.name!r} is {own} in the model, and {wanted} in models.yaml",
            hint=f"correct or remove 'shape' at state.{state.name} in models.yaml",
        )
    layout = source.onnx_layout() if source.kind == "onnx" else source.own_layout
    return as_stored(np.empty(wanted, np.int8), layout).shape


def _places(source: OpenedSource, infer: Inference, inputs: Inputs) -> list[int]:
    """Which of the source's outputs become its states. Raises SourceError where one is not there, or of another shape."""
    names, found = source.output_names(), infer.each(source.images[:1])
    places = []
    for state in (each for each in inputs if each.is_state):
        hint = f"correct 'from' at state.{state.name} in models.yaml"
        if state.follows not in names:
            raise SourceError(
                f"{source.title}: the state {state.name!r} is not given back: the model has no output {state.follows!r};"
                f" {did_you_mean(str(state.follows), list(names))}",
                hint=hint,
            )
        places.append(names.index(state.follows))
        given = found[places[-1]].shape
        _check_constant_size(source, state, given)
        if state.shape not in (given, given[1:]):
            raise SourceError(
                f"{source.title}: the output {state.follows!r} is {given}, and the state {state.name!r} {state.shape}",
                hint=f"{hint}; a state has the same shape at every step",
            )
    return places


def _check_constant_size(source: OpenedSource, state: NamedInput, given: tuple[int, ...]) -> None:
    """Raise SourceError where a state grows with each step, as a cache of keys and values does: it has no shape to be kept in."""
    grows = [axis for axis, (was, after) in enumerate(zip(state.shape, given, strict=False)) if after > was]
    if len(given) == len(state.shape) and grows:
        raise SourceError(
            f"{source.title}: the state {state.name!r} grows: it is {state.shape} before a step, and the output"
            f" {state.follows!r} {given} after it (axis {grows[0]})",
            hint="export the model with a cache of fixed size, of which each step replaces a part; one that grows is not stepped",
        )


def _affordable(stepping: Stepping, sequences: Samples) -> Rows:
    """Which sequences there is time and space for, if they are as long as the longest."""
    lengths = sequences.lengths()
    begun, longest = time.perf_counter(), lengths.max() / lengths[0]
    bytes_each = stepping.rows(_steps(sequences, 0)).nbytes * longest
    wanted = min(SECONDS / (time.perf_counter() - begun) / longest, MAX_BYTES / bytes_each)
    return stratified(len(sequences), min(len(sequences), max(1, int(wanted))))


def _steps(sequences: Samples, row: int) -> Floats:
    """The steps of one sequence, (steps, values)."""
    steps: Floats = steps_of(sequences.inputs, sequences.read(row, row + 1))[0]
    return steps


def _write(stepping: Stepping, sequences: Samples, chosen: Rows, path: Path) -> None:
    ends = np.cumsum(sequences.lengths()[chosen])
    size = _steps(sequences, 0).shape[1] + len(stepping.initial)
    written = np.lib.format.open_memmap(path, "w+", np.float32, (int(ends[-1]), size))
    for row, start, end in zip(chosen, [0, *ends], ends, strict=False):
        written[start:end] = stepping.rows(_steps(sequences, int(row)))
    written.flush()
