"""Samples of one size, of images, outputs and targets: a task is given those of one at a time, and never what is padding.

What is measured of all samples together is given a list of one for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.tasks.task import Evidence, Outputs, Predictions, Shapes, Task
from edgeworthy.truth import Truth

Sizes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Group:
    """Samples of a truth, ``rows`` (n,), whose outputs have one size, and their targets another, and their images one."""

    truth: Truth
    rows: NDArray[np.intp]

    def outputs(self, values: NDArray[np.float32]) -> Outputs:
        """Of outputs (samples, values) of all samples, those of this group by name, in their own sizes."""
        found, axis = {}, 0
        for name, whole in self.truth.named(values[self.rows]).items():
            found[name] = whole if self.truth.sizes is None else _cut(whole, self.truth.sizes[self.rows[0], axis:])
            axis += whole.ndim - 1
        return found

    @property
    def shapes(self) -> Shapes:
        """Those of a sample's outputs, by name."""
        return {name: values.shape[1:] for name, values in self.outputs(self.truth.reference).items()}

    @property
    def image(self) -> tuple[int, ...] | None:
        """Height, width and channels of a sample's image, where the task depends on them."""
        sizes = self.truth.image_sizes
        return None if sizes is None else tuple(map(int, sizes[self.rows[0]]))

    def of(self, task: Task) -> Task:
        """The task for images of this size."""
        return task if self.image is None else task.model_copy(update={"image_size": self.image[:2]})

    @property
    def labels(self) -> NDArray[Any]:
        """The targets in their own size."""
        whole, sizes = self.truth.labels[self.rows], self.truth.label_sizes
        return whole if sizes is None else _cut(whole, sizes[self.rows[0]])

    def described(self) -> str:
        """The sizes of the first sample."""
        parts = [("outputs of", self.truth.sizes), ("a target of", self.truth.label_sizes)]
        shown = (f"{what} {'x'.join(map(str, each[self.rows[0]]))}" for what, each in parts if each is not None)
        return f"sample {self.rows[0]} has {' and '.join(shown)}"


@dataclass(frozen=True, eq=False)
class Grouped:
    """Predictions of all samples: ``parts``, those of each group; by its number that of one sample."""

    groups: Sequence[Group]
    parts: Sequence[Predictions]

    def joined(self) -> Predictions:
        """Those of all samples in their order: an array where all have one shape, otherwise a list."""
        found: list[Any] = [None] * sum(len(group.rows) for group in self.groups)
        for group, part in zip(self.groups, self.parts, strict=True):
            for place, row in enumerate(group.rows):
                found[row] = part[place]
        alike = all(isinstance(each, np.ndarray | np.generic) and each.shape == found[0].shape for each in found)
        return np.stack(found) if alike else found

    def __getitem__(self, sample: int) -> Any:
        found = (
            (part, np.flatnonzero(group.rows == sample)) for group, part in zip(self.groups, self.parts, strict=True)
        )
        return next(part[places[0]] for part, places in found if places.size)


def groups_of(truth: Truth) -> list[Group] | None:
    """The groups of a truth's samples, None where all have outputs and targets of one size."""
    known = [each for each in (truth.sizes, truth.label_sizes, truth.image_sizes) if each is not None]
    if not known:
        return None
    _, group_of = np.unique(np.concatenate(known, axis=1), axis=0, return_inverse=True)
    return [Group(truth, np.flatnonzero(group_of.ravel() == number)) for number in range(group_of.max() + 1)]


def labels_of(truth: Truth) -> Any:
    """The targets of all samples, those that differ in size as a list."""
    if truth.label_sizes is None:
        return truth.labels
    return [target[tuple(map(slice, size))] for target, size in zip(truth.labels, truth.label_sizes, strict=True)]


def merged(parts: Sequence[Evidence], groups: Sequence[Group]) -> Evidence:
    """The evidence of all samples, from that of each group, which is of single samples."""
    found: dict[str, NDArray[Any]] = {}
    for part, group in zip(parts, groups, strict=True):
        for name, values in part.items():
            whole = found.setdefault(name, np.zeros((len(group.truth.labels), *values.shape[1:]), values.dtype))
            whole[group.rows] = values
    return found


def _cut(whole: NDArray[Any], size: Sizes) -> NDArray[Any]:
    """What of arrays (n, *frame) is within ``size``, whose further numbers are of other arrays."""
    return whole[(slice(None), *(slice(int(most)) for most in size[: whole.ndim - 1]))]
