"""The samples of a job."""

from __future__ import annotations

from typing import Any

import numpy as np

from .jobs import IMAGE_RANK, Array, Job, RunnerError, Shape, shape_text
from .signatures import varying_inputs
from .texts import texts_of

#: So much of the mapped inputs may stay in memory.
RESIDENT_BYTES = 256 << 20
#: A float32.
FLOAT_BYTES = 4


class Inputs:
    """The samples of a job in its artifact's layout, a slice read when it is asked for.

    They have the type in which they are stored, or are float32 where they are scaled.
    """

    def __init__(self, job: Job) -> None:
        self.path = job["inputs"]["path"]
        self._map()
        self.named = job["inputs"]["inputs"]
        self.channels_first = job["layout"] == "nchw"
        self.sequences = any(each["stepped"] for each in self.named)
        self.nchw = self.channels_first and self.stored.ndim == IMAGE_RANK and not self.named
        self.steps = [(getattr(np, name), self._operand(each)) for name, each in job["inputs"]["steps"]]
        self.ragged = any(each["ragged"] for each in self.named)
        #: The sample that is timed where they have different sizes.
        self.timed: int = job["inputs"]["timed"]
        #: Of each input, for one sample, or step, in the artifact's layout; () of one that has a constant.
        self.shapes = self._shapes() if self.sequences or not self.ragged else self.shapes_of(self.timed)

    def _shapes(self) -> list[tuple[int, ...]]:
        return [np.shape(each)[1:] for each in (self.steps_of(0)[0] if self.sequences else self[:0])]

    def shapes_of(self, row: int) -> list[tuple[int, ...]]:
        """As ``shapes``, those of one sample."""
        return [np.shape(each)[1:] for each in self[row : row + 1]]

    def _operand(self, per_channel: list[float]) -> Array:
        """Shaped for the layout; repeated along the width, whose long rows numpy goes over three times as fast."""
        operand = np.array(per_channel, np.float32)
        if self.stored.ndim != IMAGE_RANK:
            return operand
        return operand[:, None, None] if self.nchw else np.tile(operand, (self.stored.shape[2], 1))

    def _map(self) -> None:
        self.stored = np.asarray(np.load(self.path, mmap_mode="r"))  # still mapped, without memmap's slow slices
        self.resident = 0

    def __len__(self) -> int:
        return len(self.stored)

    @property
    def bytes_of_sample(self) -> int:
        """What a sample takes as float32, which is what most are made ready in."""
        return int(self.stored[:1].size) * FLOAT_BYTES

    def __getitem__(self, rows: slice) -> list[Any]:
        """What each input is given of these samples, (n, ...); of one that has a constant the number."""
        values = self._read(rows)
        if not self.named:
            return [values]
        return [self._part(values.reshape(len(values), self.stored[0].size), each) for each in self.named]

    def steps_of(self, row: int) -> list[list[Any]]:
        """What each input is given at every step of a sequence, (1, ...); a state, or what has a constant, its number."""
        values = self._read(slice(row, row + 1)).reshape(1, -1)
        sequences = [self._values(values, each) for each in self.named]
        length = next(len(each[0]) for each in sequences if isinstance(each, np.ndarray))
        return [
            [self._as_laid_out(each[:, step]) if isinstance(each, np.ndarray) else each for each in sequences]
            for step in range(length)
        ]

    def _part(self, values: Array, named: dict[str, Any]) -> Any:
        return self._as_laid_out(self._values(values, named))

    def _as_laid_out(self, part: Any) -> Any:
        return part.transpose(0, 3, 1, 2) if self.channels_first and np.ndim(part) == IMAGE_RANK else part

    @staticmethod
    def _values(values: Array, named: dict[str, Any]) -> Any:
        """The values of an input in rows, or its constant."""
        if named["constant"] is not None:
            return named["constant"]
        shape = [*named["shape"], *([named["width"]] if named["width"] else [])]
        size = int(np.prod(shape, dtype=np.int64))
        part = values[:, named["start"] : named["start"] + size].reshape(len(values), *shape)
        # Of samples of different sizes there is one, whose own sizes stand in its row.
        own = dict(zip(named["ragged"], values[:1, named["sizes"] :].ravel(), strict=False))
        part = part[(slice(None), *(_first(own.get(axis, size), size) for axis, size in enumerate(named["shape"])))]
        return texts_of(part) if named["width"] else part

    def _read(self, rows: slice) -> Array:
        values = self.stored[rows]
        self.resident += values.nbytes
        if self.resident > RESIDENT_BYTES:  # mapping anew gives the old pages back
            self._map()
        if self.nchw:
            values = values.transpose(0, 3, 1, 2)
        if self.steps:
            values = values.astype(np.float32, order="C")  # in order at once: moving bytes is cheaper than floats
        for operation, operand in self.steps:
            operation(values, operand, out=values)
        return values


def _first(own: float, size: int) -> slice:
    """What of an axis of this ``size`` is a sample's; an input that was scaled to see what that does still has a size."""
    return slice(min(max(round(own), 1), size))


def read_inputs(job: Job, model: Any) -> Inputs:
    """All samples; the shape must be the model's own."""
    inputs = Inputs(job)
    take_shapes(job, model, inputs.shapes)
    return inputs


def take_shapes(job: Job, model: Any, shapes: list[tuple[int, ...]], sample: str = "the dataset") -> None:
    """Let the model take inputs of these shapes. Raises RunnerError where it does not; ``sample`` is what has them."""
    names = [f" as {each['name']}" for each in job["inputs"]["inputs"]] or [""]
    for wanted, shape, varies, name in zip(model.input_shapes, shapes, varying_inputs(job), names, strict=True):
        if varies and wanted:
            check_shape(job, wanted, shape, name, sample)
    model.fit(shapes)


def check_shape(job: Job, wanted: Shape, shape: tuple[int, ...], name: str, sample: str) -> None:
    """Raise RunnerError unless an input that is declared as ``wanted`` takes single samples of this shape."""
    if wanted[0] not in (None, 1):
        raise RunnerError(
            "input_mismatch", f"the model takes {wanted[0]} samples at once{name}; export it with a dynamic batch, or 1"
        )
    if len(wanted) != 1 + len(shape) or any(
        have not in (None, size) for have, size in zip(wanted[1:], shape, strict=True)
    ):
        shown, given = shape_text(wanted[1:]), shape_text(shape)
        raise RunnerError("input_mismatch", f"the model takes {shown} ({job['layout']}){name}, {sample} gives {given}")
