"""Samples on disk: the stored numbers, and the steps that turn them into a model's input."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.records import Layout
from edgeworthy.storage import digest, file_digest

#: Images, (N, H, W, C), are the arrays with so many axes; any other array is taken as the model takes it.
IMAGE_RANK = 4
#: So many samples show what a model takes and gives.
FEW = 8
#: An operation of numpy, ``multiply``, ``divide`` or ``subtract``, and its operand for each channel, or one for all.
Step = tuple[str, tuple[float, ...]]


@dataclass(frozen=True)
class Samples:
    """A .npy of float32 or of any integer type, (N, ...), and the steps that follow, one after the other.

    Every step is computed in float32 and rounded, here as in the runners, so that all of them feed the same bits: those
    that Keras, Pillow and torchvision compute. Without steps the values are taken as they are.
    """

    path: Path
    steps: tuple[Step, ...] = ()

    def __len__(self) -> int:
        return len(np.load(self.path, mmap_mode="r"))

    def read(self, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Samples ``start`` to ``stop``, float32 (n, ...); the rest of the file is not read."""
        return self._values(np.load(self.path, mmap_mode="r")[start:stop])

    def take(self, chosen: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """The samples of those indices, float32 (n, ...); the rest of the file is not read."""
        return self._values(np.load(self.path, mmap_mode="r")[chosen])

    def _values(self, stored: NDArray[Any]) -> NDArray[np.float32]:
        values = np.array(stored, np.float32)
        for operation, operand in self.steps:
            getattr(np, operation)(values, np.array(operand, np.float32), out=values)
        return values

    def few(self) -> NDArray[np.float32]:
        """The first FEW samples, float32 (n, ...)."""
        return self.read(0, FEW)

    def checksum(self) -> str:
        """The sha256, as hex, of the file and, where there are any, of the steps."""
        stored = _file_digest(self.path)
        return digest([stored, self.steps]) if self.steps else stored

    def to_json(self) -> dict[str, Any]:
        """As a job of a child process or a runner describes them."""
        return {"path": str(self.path), "steps": [[operation, list(operand)] for operation, operand in self.steps]}

    @classmethod
    def from_json(cls, described: Mapping[str, Any]) -> Samples:
        """The samples that ``to_json`` described."""
        steps = ((str(operation), tuple(operand)) for operation, operand in described["steps"])
        return cls(Path(described["path"]), tuple(steps))


def in_layout(values: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """Images (n, H, W, C) in ``layout``; arrays that are no images as they are."""
    if layout == "nhwc" or values.ndim != IMAGE_RANK:
        return values
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2))


def as_stored(values: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """The inverse of ``in_layout``, for what a model in ``layout`` gives."""
    return values.transpose(0, 2, 3, 1) if layout == "nchw" and values.ndim == IMAGE_RANK else values


@functools.cache
def _file_digest(path: Path) -> str:
    """The sha256 of a file of the store, which never changes."""
    return file_digest(path)
