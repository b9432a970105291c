"""Labels as a file has them become class numbers from 0, or numbers to predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import SourceError

#: Fewer samples than this are no ground to call labels shifted.
ENOUGH = 50


@dataclass(frozen=True)
class Targets:
    """One target for each sample: class numbers (int64), with how many classes there are, or float32 numbers."""

    values: NDArray[Any]
    classes: int | None


def numbered(texts: Sequence[str], offset: int, classes: int | None, where: str) -> Targets:
    """Targets from the texts of a labels file.

    Whole numbers are class numbers, counted from ``offset``; other numbers are to be predicted; names are classes in
    sorted order. Raises SourceError, beginning with ``where``, for what is none of these and for numbers out of range.
    """
    kinds = [_kind(text) for text in texts]
    if all(kind == "whole" for kind in kinds):
        return _class_numbers(np.array([int(text) for text in texts], np.int64), offset, classes, where)
    if all(kind in ("whole", "number") for kind in kinds):
        return Targets(np.array([float(text) for text in texts], np.float32), None)
    odd = next((index for index, kind in enumerate(kinds) if kind != "name"), None)
    if odd is not None or any(not text for text in texts):
        first = next(index for index, kind in enumerate(kinds) if kind == "name" or not texts[index])
        raise SourceError(
            f"{where}: unreadable labels: sample {first} has {texts[first]!r} among numbers",
            next_step="give every sample a class number, or every sample a class name",
        )
    names = sorted(set(texts))
    if classes is not None and len(names) != classes:
        raise SourceError(
            f"{where}: {len(names)} class names, 'classes' says {classes}",
            next_step="correct 'classes', or complete the labels",
        )
    number = {name: index for index, name in enumerate(names)}
    return Targets(np.array([number[text] for text in texts], np.int64), len(names))


def _kind(text: str) -> str:
    try:
        int(text)
    except ValueError:
        try:
            return "number" if np.isfinite(float(text)) else "name"
        except ValueError:
            return "name"
    return "whole"


def _class_numbers(given: NDArray[np.int64], offset: int, classes: int | None, where: str) -> Targets:
    values, lowest, highest = given - offset, int(given.min()), int(given.max())
    from_one = lowest == 1 and offset == 0 and (highest == classes or (classes is None and _is_run(given)))
    if from_one:
        raise SourceError(
            f"{where}: labels off by one: they run from 1 to {highest}, and none is 0",
            next_step=f"set 'label_offset: 1', which makes them 0 to {highest - 1}"
            + ("" if classes else f", or 'classes: {highest + 1}' if there is a class 0 without samples"),
        )
    limit = np.inf if classes is None else classes
    wrong = np.flatnonzero((values < 0) | (values >= limit))
    if wrong.size:
        allowed = f"{offset} and up" if classes is None else f"{offset} to {classes - 1 + offset}"
        raise SourceError(
            f"{where}: {wrong.size} labels out of range ({allowed}): sample {wrong[0]} is {given[wrong[0]]}",
            next_step="correct 'classes' or 'label_offset'",
        )
    return Targets(values, classes or int(values.max()) + 1)


def _is_run(given: NDArray[np.int64]) -> bool:
    """Whether every number from the lowest to the highest is there."""
    return len(np.unique(given)) == int(given.max() - given.min()) + 1


def shifted(answers: NDArray[np.int64], labels: NDArray[np.int64]) -> int | None:
    """By how much labels are off (+1 or -1) where a model's ``answers`` say so beyond doubt, or None.

    Beyond doubt: answers and labels agree at least three times as often, and on half of the samples, once shifted.
    """
    if len(labels) < ENOUGH:
        return None
    right = {shift: float((answers == labels - shift).mean()) for shift in (-1, 0, 1)}
    best = max(right, key=lambda shift: right[shift])
    return best if best and right[best] >= 0.5 and right[best] > 3 * right[0] else None
