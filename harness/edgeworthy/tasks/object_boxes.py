"""Targets of detection are checked before anything is judged by them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeworthy.errors import SourceError
from edgeworthy.tasks.task import NothingToFind, Targets

#: Pixels that a box may be beyond the image's edge by: what resizing rounds.
ROUNDING = 0.01
_FORMAT = "rows are x1, y1, x2, y2 in pixels of the model's image, class, and 1 for a crowd; class -1 is padding"


def checked_boxes(targets: Targets, image_size: tuple[int, int], classes: int | None) -> None:
    """Raises SourceError where targets (samples, most, 5 or 6) are no boxes in an image of (height, width)."""
    if targets.ndim != 3 or targets.shape[2] not in (5, 6) or targets.dtype.kind not in "fiu":
        raise SourceError(
            f"targets of detection are numbers (samples, most, 5 or 6), not {targets.dtype} {targets.shape}",
            hint=_FORMAT,
        )
    label = targets[..., 4]
    real = np.asarray(label != -1)
    crowd = targets[..., 5] if targets.shape[2] == 6 else np.zeros_like(label)
    if not (real & (crowd == 0)).any():
        raise NothingToFind("no sample has an object", hint=f"give targets with objects that are no crowds; {_FORMAT}")
    _refuse(np.asarray(~np.isfinite(targets).all(axis=2)), "contain NaN or infinity", _FORMAT)
    _refuse(real & ((label < 0) | (label % 1 != 0)), "have a class that is no whole number from 0 on", _FORMAT)
    if classes is not None:
        hint = f"the model's classes are 0 to {classes - 1}; check `classes`, and whether the targets count from 1"
        _refuse(real & (label >= classes), f"have a class beyond the model's {classes}", hint)
    _refuse(real & ~np.isin(crowd, (0, 1)), "have a crowd flag other than 0 and 1", _FORMAT)
    _checked_corners(targets[..., :4], real, image_size)


def _checked_corners(boxes: NDArray[np.floating], real: NDArray[np.bool_], image_size: tuple[int, int]) -> None:
    height, width = image_size
    first, second = boxes[..., :2], boxes[..., 2:]
    _refuse(real & (second <= first).any(axis=2), "have x2 <= x1 or y2 <= y1", f"{_FORMAT}, not x, y, width, height")
    beyond = (first < -ROUNDING).any(axis=2) | (second > np.array([width, height]) + ROUNDING).any(axis=2)
    _refuse(
        real & beyond, f"lie outside the image, {width} pixels wide and {height} high",
        "scale the boxes as the images are resized, and clip them to the image",
    )  # fmt: skip


def _refuse(wrong: NDArray[np.bool_], what: str, hint: str) -> None:
    """Raises SourceError where rows (samples, most) are wrong, which says how many, and where the first one is."""
    if wrong.any():
        sample, row = np.argwhere(wrong)[0]
        raise SourceError(
            f"{int(wrong.sum())} boxes of the targets {what}; the first is row {row} of sample {sample}", hint=hint
        )
