"""Predictions and targets of each task as a person sees them: one small function for each kind of task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeworthy.metrics import CLASSIFICATION
from edgeworthy.reports.html.shown.picture import mask
from edgeworthy.text import plural, printable

#: Detections of a lower score are noise to a person; a text is cut to so many characters.
LEAST_SCORE, LONGEST = 0.3, 300
#: Of a prediction that is only numbers so many are shown.
NUMBERS = 4


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the model's image, and what it is said to be."""

    x: float
    y: float
    width: float
    height: float
    label: str


@dataclass(frozen=True)
class Shown:
    """A prediction or a target: a ``text``, and over the sample's picture ``boxes`` or a ``mask`` (a data URI)."""

    text: str
    boxes: tuple[Box, ...] = ()
    mask: str = ""


def shown_prediction(kind: str, prediction: Any) -> Shown:
    """A prediction of a task of this kind, of one sample."""
    return _PREDICTIONS.get(kind, _numbers)(prediction)


def shown_target(kind: str, target: Any) -> Shown:
    """The target of one sample."""
    return _TARGETS.get(kind, _target)(target)


def _best_class(scores: Any) -> Shown:
    return Shown("none" if np.isnan(scores).any() else str(int(np.argmax(scores))))


def _text(text: Any) -> Shown:
    return Shown(printable(str(text), LONGEST))


def _detections(found: Any) -> Shown:
    kept = found[found.scores >= LEAST_SCORE]
    labels = [
        f"{number} {score:.2f}" for number, score in zip(kept.classes.tolist(), kept.scores.tolist(), strict=True)
    ]
    return _boxes(kept.boxes, labels)


def _objects(rows: Any) -> Shown:
    there = rows[rows[:, 4] >= 0]
    return _boxes(there[:, :4], [str(int(number)) for number in there[:, 4]])


def _boxes(corners: Any, labels: list[str]) -> Shown:
    boxes = tuple(
        Box(float(x), float(y), float(right - x), float(bottom - y), label)
        for (x, y, right, bottom), label in zip(np.asarray(corners, np.float64).tolist(), labels, strict=True)
    )
    return Shown(plural(len(boxes), "object"), boxes)


def _mask(classes: Any) -> Shown:
    there = [number for number in np.unique(classes).tolist() if number > 0]
    return Shown(plural(len(there), "class") if len(there) == 1 else f"{len(there)} classes", mask=mask(classes))


def _numbers(values: Any) -> Shown:
    try:
        flat = np.asarray(values, np.float64).ravel()
    except (TypeError, ValueError):  # of a task of the user's a prediction may be anything
        return _text(values)
    return Shown(
        ", ".join(f"{value:.4g}" for value in flat[:NUMBERS].tolist()) + (", ..." if flat.size > NUMBERS else "")
    )


def _target(target: Any) -> Shown:
    if isinstance(target, (int, np.integer)) or np.asarray(target).dtype.kind == "U":
        return _text(target)
    return _numbers(target)


_PREDICTIONS: dict[str, Callable[[Any], Shown]] = {
    CLASSIFICATION: _best_class,
    "text": _text,
    "detection": _detections,
    "segmentation": _mask,
}
_TARGETS: dict[str, Callable[[Any], Shown]] = {"detection": _objects, "segmentation": _mask}
