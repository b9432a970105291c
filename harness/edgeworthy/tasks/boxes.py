"""Boxes: rows of x1, y1, x2, y2 in pixels, and how much they overlap."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.floating[Any]]
#: How the four numbers of a box are to be read; c is its centre.
Order = Literal["xyxy", "yxyx", "xywh", "cxcywh", "cycxhw"]


def corners(boxes: Boxes, order: Order) -> NDArray[np.float64]:
    """Boxes (n, 4) of this order as rows of x1, y1, x2, y2."""
    first, second = boxes[:, :2].astype(np.float64), boxes[:, 2:].astype(np.float64)
    if order in ("yxyx", "cycxhw"):
        first, second = first[:, ::-1], second[:, ::-1]
    if order in ("cxcywh", "cycxhw"):
        first = first - second / 2
    if order in ("xyxy", "yxyx"):
        return np.concatenate([first, second], axis=1)
    return np.concatenate([first, first + second], axis=1)


def in_pixels(boxes: NDArray[np.float64], image_size: tuple[int, int]) -> NDArray[np.float64]:
    """Boxes (n, 4) that are fractions of an image of (height, width)."""
    height, width = image_size
    return boxes * np.array([width, height, width, height], np.float64)


def areas(boxes: Boxes) -> NDArray[np.float64]:
    """Widths times heights (n,), in square pixels."""
    sides = boxes[:, 2:].astype(np.float64) - boxes[:, :2].astype(np.float64)
    return np.asarray(sides[:, 0] * sides[:, 1])


def overlaps(boxes: Boxes, objects: Boxes, crowd: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Intersections over unions (n, m), 0 to 1; with an object that is a ``crowd`` (m,), over the box's own area.

    As pycocotools computes it (bbIou in common/maskApi.c).
    """
    mine, theirs = boxes.astype(np.float64)[:, None], objects.astype(np.float64)[None]
    sides = np.minimum(mine[..., 2:], theirs[..., 2:]) - np.maximum(mine[..., :2], theirs[..., :2])
    shared = np.where((sides > 0).all(axis=2), sides[..., 0] * sides[..., 1], 0.0)
    own = areas(boxes)[:, None]
    union = own + areas(objects)[None] - shared
    if crowd is not None:
        union = np.where(crowd[None], own, union)
    return np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)
