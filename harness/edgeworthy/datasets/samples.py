"""Samples on disk: the stored numbers, and the steps that turn them into a model's input."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.array_files import load_array
from edgeworthy.records import Layout
from edgeworthy.storage import digest, file_digest
from edgeworthy.tensors import NamedInput, lengths_of

#: Images, (N, H, W, C), are the arrays with so many axes; any other array is taken as the model takes it.
IMAGE_RANK = 4
#: So many samples show what a model takes and gives.
FEW = 8
#: Samples that are read at a time to see how long they are.
AT_ONCE = 64
#: An operation of numpy, ``multiply``, ``divide`` or ``subtract``, and its operand for each channel, or one for all.
Step = tuple[str, tuple[float, ...]]


@dataclass(frozen=True)
class Samples:
    """A .npy of float32 or of any integer type, (N, ...), and the steps that follow, one after the other.

    Every step is computed in float32 and rounded, here as in the runners, so that all of them feed the same bits: those
    that Keras, Pillow and torchvision compute. Without steps the values are taken as they are.

    With ``inputs`` a sample is a row of the values of all of a model's inputs, (N, values). It may be a sequence of steps, of
    which, with ``last``, the outputs of the last one are wanted. Where samples have different sizes, ``timed`` is the one whose
    inferences are timed.
    """

    path: Path
    steps: tuple[Step, ...] = ()
    inputs: tuple[NamedInput, ...] = ()
    last: bool = False
    timed: int = 0

    @property
    def input_names(self) -> list[str]:
        """What several inputs are called."""
        return [each.name for each in self.inputs]

    def __len__(self) -> int:
        return len(load_array(self.path, mapped=True))

    def read(self, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Samples ``start`` to ``stop``, float32 (n, ...); the rest of the file is not read."""
        return self._values(load_array(self.path, mapped=True)[start:stop])

    def take(self, chosen: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """The samples of those indices, float32 (n, ...); the rest of the file is not read."""
        return self._values(load_array(self.path, mapped=True)[chosen])

    def _values(self, stored: NDArray[Any]) -> NDArray[np.float32]:
        values = done(self.steps, stored)
        return values.reshape(len(values), math.prod(values.shape[1:])) if self.inputs else values

    def lengths(self) -> NDArray[np.int64]:
        """How many steps each sequence has, (N,)."""
        starts = range(0, len(self), AT_ONCE)
        return np.concatenate([lengths_of(self.inputs, self.read(row, row + AT_ONCE)) for row in starts])

    def few(self) -> NDArray[np.float32]:
        """The first FEW samples, float32 (n, ...)."""
        return self.read(0, FEW)

    def checksum(self) -> str:
        """The sha256, as hex, of the file and, where there are any, of the steps and the inputs."""
        further = [list(each) for each in (self.steps, map(NamedInput.to_json, self.inputs))]
        stored = _file_digest(self.path)
        return digest([stored, *further]) if any(further) else stored

    def to_json(self) -> dict[str, Any]:
        """As a job of a child process or a runner describes them."""
        steps = [[operation, list(operand)] for operation, operand in self.steps]
        inputs = [each.to_json() for each in self.inputs]
        return {"path": str(self.path), "steps": steps, "inputs": inputs, "last": self.last, "timed": self.timed}

    @classmethod
    def from_json(cls, described: Mapping[str, Any]) -> Samples:
        """The samples that ``to_json`` described."""
        steps = ((str(operation), tuple(operand)) for operation, operand in described["steps"])
        inputs = tuple(map(NamedInput.from_json, described["inputs"]))
        return cls(Path(described["path"]), tuple(steps), inputs, described["last"], described["timed"])


def done(steps: Sequence[Step], stored: NDArray[Any]) -> NDArray[np.float32]:
    """A copy of ``stored`` as float32, after the steps."""
    values = np.array(stored, np.float32)
    for operation, operand in steps:
        getattr(np, operation)(values, np.array(operand, np.float32), out=values)
    return values


def in_layout(values: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """Images (n, H, W, C) in ``layout``; arrays that are no images as they are."""
    if layout == "nhwc" or values.ndim != IMAGE_RANK:
        return values
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2))


def shape_in_layout(sample: Sequence[int], layout: Layout) -> tuple[int, ...]:
    """The shape of a ``sample``, without the batch, in ``layout``."""
    return in_layout(np.empty((1, *sample), np.int8), layout).shape[1:]


def as_stored(values: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """The inverse of ``in_layout``, for what a model in ``layout`` gives."""
    return values.transpose(0, 2, 3, 1) if layout == "nchw" and values.ndim == IMAGE_RANK else values


@functools.cache
def _file_digest(path: Path) -> str:
    """The sha256 of a file of the store, which never changes."""
    return file_digest(path)
