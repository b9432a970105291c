"""The inputs of a model that takes several: what each is called, and where its values stand in a sample.

A model with state takes as one of its inputs what one of its outputs was at the step before, or keeps its state inside. Its
samples are sequences: of each input that the dataset gives, the values of all steps, (steps, ...).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.runners.python_runner.casting import LARGEST_INTEGER as LARGEST_INTEGER
from edgeworthy.runners.python_runner.texts import TEXT, texts_of


@dataclass(frozen=True)
class NamedInput:
    """One of several inputs: ``shape`` is that of one sample, whose values begin at ``start`` of a row.

    A row has the values of all of a sample's inputs, float32, one after the other; ``dtype`` is the type in which the dataset
    has them. With a ``constant`` the input is this number for every sample, and has no values in a row.

    A state ``follows`` the output of that name. In a sequence its ``constant`` is the state's before the first step; a step by
    itself has the state's values in its row, and ``shape`` is then the whole input's, the batch of one included.

    An input that is ``stepped`` has the steps of a sequence along its first axis, in which alone sequences may differ. Texts
    stand in a row as the numbers of their characters, ``width`` for each; of numbers the width is 0.

    Where samples differ in size along the axes ``ragged``, ``shape`` is the frame that holds each of them, with zeros after its
    own values; its own sizes along these axes stand in the row from ``sizes`` on.
    """

    name: str
    shape: tuple[int, ...] = ()
    dtype: str = "float32"
    start: int = 0
    constant: float | None = None
    follows: str | None = None
    stepped: bool = False
    width: int = 0
    ragged: tuple[int, ...] = ()
    sizes: int = 0

    @property
    def is_state(self) -> bool:
        """Whether it is the state before a step, which has no batch of its own."""
        return self.follows is not None and self.constant is None

    @property
    def size(self) -> int:
        """How many values of a row it has."""
        return 0 if self.constant is not None else math.prod(self.shape) * (self.width or 1)

    def numbers(self, rows: NDArray[Any]) -> NDArray[Any]:
        """What stands for it in ``rows`` (n, values): (n, size)."""
        return rows[:, self.start : self.start + self.size]

    @property
    def end(self) -> int:
        """Where in a row its values and sizes end."""
        return max(self.start + self.size, self.sizes + len(self.ragged))

    @property
    def open_shape(self) -> tuple[int | None, ...]:
        """The shape of a sample, None along the axes in which samples differ."""
        return tuple(None if axis in self.ragged else size for axis, size in enumerate(self.shape))

    def shape_in(self, row: NDArray[Any]) -> tuple[int, ...]:
        """The shape of the sample in a row (values,). Rounded: inputs are also varied a little, and then still have a size."""
        shape = list(self.shape)
        for axis, size in zip(self.ragged, row[self.sizes :], strict=False):
            shape[axis] = min(max(round(float(size)), 1), shape[axis])
        return tuple(shape)

    def of(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Its values (n, *shape) in ``rows`` (n, values), texts as such; of a state those of the only row, *shape.

        Of samples of different sizes there is one, (1, ...) in its own size. Raises ValueError for several of them.
        """
        if self.is_state:
            return self.numbers(rows).reshape(self.shape)
        values = self.numbers(rows).reshape(len(rows), *self.shape, *([self.width] if self.width else []))
        if self.ragged:
            if len(rows) != 1:
                raise ValueError(f"{len(rows)} samples of {self.name!r}, which have different sizes, are no one array")
            values = values[(slice(None), *map(slice, self.shape_in(rows[0])))]
        return texts_of(values) if self.width else values

    def to_json(self) -> dict[str, Any]:
        """As a job of a child process or a runner describes it."""
        return asdict(self)

    @classmethod
    def from_json(cls, described: Mapping[str, Any]) -> NamedInput:
        """What ``to_json`` described."""
        return cls(**{**described, "shape": tuple(described["shape"]), "ragged": tuple(described["ragged"])})


def constant(name: str, number: float) -> NamedInput:
    """An input that is this number for every sample."""
    return NamedInput(name, dtype="int64" if isinstance(number, int) else "float32", constant=number)


def state(name: str, output: str, initial: float, shape: Sequence[int]) -> NamedInput:
    """A state of a sequence: ``initial`` before the first step, then that output; ``shape`` is () where the model says it."""
    return NamedInput(name, tuple(shape), constant=initial, follows=output)


def in_a_row(
    arrays: Mapping[str, NDArray[Any]], ragged: Mapping[str, tuple[int, ...]] | None = None
) -> tuple[NamedInput, ...]:
    """The inputs that are these arrays (n, ...), one after the other, each followed by its sizes along its ``ragged`` axes.

    Texts stand there as the numbers of their characters.
    """
    found: list[NamedInput] = []
    for name, array in arrays.items():
        axes, start = (ragged or {}).get(name, ()), found[-1].end if found else 0
        width, dtype = (width_of(array), TEXT) if array.dtype.kind == "U" else (0, array.dtype.name)
        named = NamedInput(name, array.shape[1:], dtype, start, width=width, ragged=axes)
        found.append(replace(named, sizes=named.start + named.size) if axes else named)
    return tuple(found)


def width_of(texts: NDArray[Any]) -> int:
    """How many characters the longest of these texts may have."""
    return max(texts.dtype.itemsize // np.dtype("<U1").itemsize, 1)


def by_name(inputs: Sequence[NamedInput], names: Sequence[str]) -> list[NamedInput]:
    """The inputs of these names, in that order; an only one, of a model of one input, whatever it is called."""
    if len(inputs) == len(names) == 1:
        return list(inputs)
    found = {each.name: each for each in inputs}
    return [found[name] for name in names]


def is_ragged(inputs: Sequence[NamedInput]) -> bool:
    """Whether samples have different sizes: they are then run one by one."""
    return any(each.ragged for each in inputs)


def largest(inputs: Sequence[NamedInput]) -> NDArray[np.float32]:
    """A row (1, values) of zeros for a sample as large as the frame of each input."""
    row = np.zeros((1, max(each.end for each in inputs)), np.float32)
    for each in inputs:
        row[0, each.sizes : each.sizes + len(each.ragged)] = [each.shape[axis] for axis in each.ragged]
    return row


def has_state(inputs: Sequence[NamedInput]) -> bool:
    """Whether a sample is a step with its state, which belongs to one sequence: such samples are run one by one."""
    return any(each.is_state for each in inputs)


def length_of(inputs: Sequence[NamedInput]) -> int | None:
    """How many steps a sample has, the longest where they differ; None where it is no sequence."""
    return next((each.shape[0] for each in inputs if each.stepped), None)


def of_a_step(inputs: Sequence[NamedInput]) -> tuple[NamedInput, ...]:
    """The inputs of a sequence as those of one of its steps; a state is the number that it is before the first."""
    found: list[NamedInput] = []
    start = 0
    for each in inputs:
        if each.constant is None:
            each = replace(each, shape=each.shape[1:], start=start, stepped=False, ragged=(), sizes=0)
        found.append(each)
        start += found[-1].size
    return tuple(found)


def lengths_of(inputs: Sequence[NamedInput], rows: NDArray[Any]) -> NDArray[np.int64]:
    """How many steps each of the sequences in ``rows`` (n, values) has, (n,)."""
    first = next(each for each in inputs if each.stepped)
    return np.array([first.shape_in(row)[0] for row in rows], np.int64)


def steps_of(inputs: Sequence[NamedInput], rows: NDArray[Any]) -> list[NDArray[Any]]:
    """Of each sequence in ``rows`` (n, values) of ``inputs`` the rows of its steps, (steps, values), of ``of_a_step(inputs)``."""
    given = [each for each in inputs if each.constant is None]
    frames = np.concatenate([each.numbers(rows).reshape(len(rows), each.shape[0], -1) for each in given], axis=2)
    return [frame[:length] for frame, length in zip(frames, lengths_of(inputs, rows), strict=True)]
