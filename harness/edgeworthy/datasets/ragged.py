"""Samples of different sizes, kept as arrays: each at the beginning of a frame that holds them all, zeros after it.

Beside such an array (n, *frame) stand the sizes of its samples, int64 (n, axes).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.errors import SourceError
from edgeworthy.tensors import NamedInput

Array = NDArray[Any]
Arrays = dict[str, Array]
#: Name of an array -> its samples in one array, or each by itself.
Given = Mapping[str, Array | Sequence[Array]]
Sizes = NDArray[np.int64]


def framed(given: Given) -> tuple[Arrays, Arrays]:
    """Every array whole, and the sizes of those whose samples differ; arrays of one name have one frame in all splits.

    Keys are a split, ``_`` and the name. Raises SourceError for samples that differ in more than their sizes.
    """
    names = {_name(key) for key, values in given.items() if not isinstance(values, np.ndarray)}
    arrays = {key: np.asarray(values) for key, values in given.items() if _name(key) not in names}
    sizes: Arrays = {}
    for name in names:
        samples = {key: list(map(np.asarray, values)) for key, values in given.items() if _name(key) == name}
        _check_alike(samples)
        shapes = np.concatenate([sizes_of(each) for each in samples.values()])
        for key, each in samples.items():
            arrays[key] = in_frame(each, shapes.max(axis=0))
            if np.ptp(shapes, axis=0).any():
                sizes[key] = sizes_of(each)
    return {key: arrays[key] for key in given}, sizes


def sizes_beside(array: Path) -> Path:
    """The file of the sizes of samples that are in the file ``array``."""
    return array.with_name(f"{array.stem}_sizes.npy")


def sizes_of(samples: Sequence[Array]) -> Sizes:
    """The shape of each sample, (n, axes)."""
    return np.array([each.shape for each in samples], np.int64).reshape(len(samples), samples[0].ndim)


def in_frame(samples: Sequence[Array], frame: Sequence[int]) -> Array:
    """The samples in one array (n, *frame), zeros after each."""
    whole = np.zeros((len(samples), *frame), np.result_type(*samples))
    for place, each in zip(whole, samples, strict=True):
        place[tuple(map(slice, each.shape))] = each
    return whole


def ragged_axes(sizes: Sequence[Sizes]) -> tuple[int, ...]:
    """The axes of a sample along which samples differ, in any of these splits."""
    every = np.concatenate(list(sizes))
    return tuple(int(axis) for axis in np.flatnonzero(np.ptp(every, axis=0)))


def zero_beyond(values: Array, sizes: Sizes) -> Array:
    """The array (n, *frame) with zeros after each of its samples."""
    for each, size in zip(values, sizes, strict=True):
        own = each[tuple(map(slice, size))].copy()
        each[...] = 0
        each[tuple(map(slice, size))] = own
    return values


def sizes_in(rows: Array, named: NamedInput) -> Sizes:
    """The shape of each sample of an input in ``rows`` (n, values), (n, axes)."""
    return np.array([named.shape_in(row) for row in rows], np.int64).reshape(len(rows), len(named.shape))


def ragged_facts(rows: Array, inputs: Sequence[NamedInput]) -> dict[str, Any]:
    """Of the evaluation samples in ``rows``: the smallest and the largest shape of each ragged input, and which is timed."""
    sizes = {each.name: sizes_in(rows, each) for each in inputs if each.ragged}
    ranges = {name: [found.min(axis=0).tolist(), found.max(axis=0).tolist()] for name, found in sizes.items()}
    return {"ragged": ranges, "timed": median(np.concatenate(list(sizes.values()), axis=1))}


def median(sizes: Sizes) -> int:
    """The first of the samples of median size: it is the one that is timed."""
    count = np.prod(sizes, axis=1)
    return int(np.argmax(count == np.sort(count)[(len(count) - 1) // 2]))


def _name(key: str) -> str:
    """What an array is called without its split."""
    return key.partition("_")[2]


def _check_alike(splits: Mapping[str, Sequence[Array]]) -> None:
    """Raise SourceError where a sample is empty, or has another number of axes than the first."""
    for key, samples in splits.items():
        if not samples:
            raise SourceError(f"{key} is empty", hint="correct the dataset's arrays")
    first = next(iter(splits.values()))[0]
    for key, index, each in ((key, *found) for key, samples in splits.items() for found in enumerate(samples)):
        if not each.size or each.ndim != first.ndim:
            problem = "holds nothing" if not each.size else f"has {each.ndim} axes, and others {first.ndim}"
            raise SourceError(
                f"{key}: sample {index} of shape {each.shape} {problem}; samples may differ in size alone",
                hint="correct the dataset's arrays",
            )
