"""Turn the labels of a file into class numbers from 0, or into numbers to predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.dataset_schema import MAX_CLASSES
from edgeworthy.errors import SourceError

#: Fewer samples than this are not enough evidence that labels are shifted.
ENOUGH = 50


@dataclass(frozen=True)
class Targets:
    """One target for each sample: class numbers (int64), with how many classes there are; or float32 numbers; or texts.

    ``names`` are those of the classes, where the file has names.
    """

    values: NDArray[Any]
    classes: int | None
    names: tuple[str, ...] = ()


def numbered(texts: Sequence[str], offset: int, classes: int | None, where: str) -> Targets:
    """Targets from the texts of a labels file.

    Whole numbers are class numbers, counted from ``offset``; names are classes in sorted order; other numbers are to be
    predicted. Whole numbers with a decimal point, such as 0.0, are class numbers where ``classes`` is given, or where they
    are all of 0.0 to the largest; else numbers to predict.

    Raises SourceError, beginning with ``where``, for what is none of these and for numbers out of range.
    """
    kinds = [_kind(text) for text in texts]
    if all(kind == "whole" for kind in kinds):
        return _class_numbers(_integers([int(text) for text in texts], where), offset, classes, where)
    if all(kind in ("whole", "number") for kind in kinds):
        numbers = [float(text) for text in texts]
        if _are_classes(numbers, offset, classes):
            return _class_numbers(_integers([int(number) for number in numbers], where), offset, classes, where)
        return Targets(_floats(numbers, where), None)
    odd = next((index for index, kind in enumerate(kinds) if kind != "name"), None)
    if odd is not None or any(not text for text in texts):
        first = next(index for index, kind in enumerate(kinds) if kind == "name" or not texts[index])
        raise SourceError(
            f"{where}: unreadable labels: sample {first} has {texts[first][:40]!r} among numbers",
            hint="give every sample a class number, or every sample a class name",
        )
    names = sorted(set(texts))
    if classes is not None and len(names) != classes:
        raise SourceError(
            f"{where}: {len(names)} class names, 'classes' says {classes}",
            hint="correct 'classes', or complete the labels",
        )
    number = {name: index for index, name in enumerate(names)}
    return Targets(np.array([number[text] for text in texts], np.int64), len(names), tuple(names))


def _kind(text: str) -> str:
    try:
        int(text)
    except ValueError:
        try:
            return "number" if np.isfinite(float(text)) else "name"
        except ValueError:
            return "name"
    return "whole"


def _integers(numbers: list[int], where: str) -> NDArray[np.int64]:
    return np.array([_within(index, number, 2**62, where) for index, number in enumerate(numbers)], np.int64)


def _floats(numbers: list[float], where: str) -> NDArray[np.float32]:
    largest = float(np.finfo(np.float32).max)
    return np.array([_within(index, number, largest, where) for index, number in enumerate(numbers)], np.float32)


def _within(index: int, number: float, largest: float, where: str) -> float:
    if abs(number) > largest:
        raise SourceError(
            f"{where}: sample {index} is {str(number)[:40]}, beyond the largest number that is read, {largest:.4g}",
            hint="correct the labels",
        )
    return number


def _are_classes(numbers: list[float], offset: int, classes: int | None) -> bool:
    """Whether numbers, of which some have a decimal point, are class numbers, as a column with gaps is saved."""
    distinct = sorted(set(numbers))
    if not all(number.is_integer() for number in distinct):
        return False
    return classes is not None or (len(distinct) > 1 and distinct == [offset + step for step in range(len(distinct))])


def _class_numbers(given: NDArray[np.int64], offset: int, classes: int | None, where: str) -> Targets:
    values, lowest, highest = given - offset, int(given.min()), int(given.max())
    from_one = lowest == 1 and offset == 0 and (highest == classes or (classes is None and _is_run(given)))
    if from_one:
        raise SourceError(
            f"{where}: labels off by one: they run from 1 to {highest}, and none is 0",
            hint=f"set 'label_offset: 1', which makes them 0 to {highest - 1}"
            + ("" if classes else f", or 'classes: {highest + 1}' if there is a class 0 without samples"),
        )
    limit = MAX_CLASSES if classes is None else classes
    wrong = np.flatnonzero((values < 0) | (values >= limit))
    if wrong.size:
        allowed = f"{offset} to {limit - 1 + offset}"
        raise SourceError(
            f"{where}: {wrong.size} labels out of range ({allowed}): sample {wrong[0]} is {given[wrong[0]]}",
            hint="correct 'classes' or 'label_offset'",
        )
    return Targets(values, classes or int(values.max()) + 1)


def _is_run(given: NDArray[np.int64]) -> bool:
    """Whether every number from the lowest to the highest is there."""
    return len(np.unique(given)) == int(given.max() - given.min()) + 1


def shifted(predictions: NDArray[np.int64], labels: NDArray[np.int64]) -> int | None:
    """By how much labels are off (+1 or -1) where a model's ``predictions`` (N,) show it beyond doubt, or None.

    Beyond doubt: once shifted, predictions and labels (N,) agree three times as often, and on at least half of the samples.
    """
    if len(labels) < ENOUGH:
        return None
    right = {shift: float((predictions == labels - shift).mean()) for shift in (-1, 0, 1)}
    best = max(right, key=lambda shift: right[shift])
    return best if best and right[best] >= 0.5 and right[best] > 3 * right[0] else None
