"""Predictions and targets of each task as a person sees them: one small function for each kind of task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeworthy.metrics import CLASSIFICATION
from edgeworthy.reports.html.shown.picture import mask
from edgeworthy.tasks.class_scores import best_class
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


@dataclass(frozen=True)
class ClassNames:
    """How a class is called: by the text that it is, or by its number and the dataset's name for it, as far as they are known."""

    texts: Sequence[str] = ()
    names: Sequence[str] = ()

    def of(self, number: int) -> str:
        """The class of that number; of -1, none."""
        if number < 0:
            return "none"
        if number < len(self.texts):
            return printable(self.texts[number], LONGEST)
        return printable(f"{number} {self.names[number]}", LONGEST) if number < len(self.names) else str(number)


def shown_prediction(kind: str, prediction: Any, classes: ClassNames) -> Shown:
    """A prediction of a task of this kind, of one sample."""
    return _PREDICTIONS.get(kind, _numbers)(prediction, classes)


def shown_target(kind: str, target: Any, classes: ClassNames) -> Shown:
    """The target of one sample."""
    return _TARGETS.get(kind, _target)(target, classes)


def _best_class(scores: Any, classes: ClassNames) -> Shown:
    return Shown(classes.of(int(best_class(scores))))


def _text(text: Any, classes: ClassNames) -> Shown:
    return Shown(printable(str(text), LONGEST))


def _detections(found: Any, classes: ClassNames) -> Shown:
    kept = found[found.scores >= LEAST_SCORE]
    scored = zip(kept.classes.tolist(), kept.scores.tolist(), strict=True)
    return _boxes(kept.boxes, [f"{classes.of(int(number))} {score:.2f}" for number, score in scored])


def _objects(rows: Any, classes: ClassNames) -> Shown:
    there = rows[rows[:, 4] >= 0]
    return _boxes(there[:, :4], [classes.of(int(number)) for number in there[:, 4]])


def _boxes(corners: Any, labels: list[str]) -> Shown:
    boxes = tuple(
        Box(float(x), float(y), float(right - x), float(bottom - y), label)
        for (x, y, right, bottom), label in zip(np.asarray(corners, np.float64).tolist(), labels, strict=True)
    )
    return Shown(plural(len(boxes), "object"), boxes)


def _mask(pixels: Any, classes: ClassNames) -> Shown:
    there = [number for number in np.unique(pixels).tolist() if number > 0]
    return Shown(plural(len(there), "class") if len(there) == 1 else f"{len(there)} classes", mask=mask(pixels))


def _numbers(values: Any, classes: ClassNames) -> Shown:
    try:
        flat = np.asarray(values, np.float64).ravel()
    except (TypeError, ValueError):  # of a task of the user's a prediction may be anything
        return _text(values, classes)
    return Shown(
        ", ".join(f"{value:.4g}" for value in flat[:NUMBERS].tolist()) + (", ..." if flat.size > NUMBERS else "")
    )


def _target(target: Any, classes: ClassNames) -> Shown:
    if isinstance(target, (int, np.integer)):
        return Shown(classes.of(int(target)))
    return (_text if np.asarray(target).dtype.kind == "U" else _numbers)(target, classes)


_PREDICTIONS: dict[str, Callable[[Any, ClassNames], Shown]] = {
    CLASSIFICATION: _best_class,
    "text": _text,
    "detection": _detections,
    "segmentation": _mask,
}
_TARGETS: dict[str, Callable[[Any, ClassNames], Shown]] = {"detection": _objects, "segmentation": _mask}
