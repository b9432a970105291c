"""Canvases on which digits lie among clutter: what a detector and a segmenter are trained and judged on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from digits import digits
from numpy.typing import NDArray

SIDE = 48
#: Digits on a canvas, and their sides in pixels.
MOST_DIGITS, SIDES = 3, (14, 23)
#: So dark is a pixel at most that is not the digit's.
INK = 0.3
#: A row of the boxes that is no object.
NO_OBJECT = -1

Random = np.random.Generator


@dataclass(frozen=True)
class Canvases:
    """Images float32 (samples, SIDE, SIDE, 1) from 0 to 1 and what is on them.

    ``boxes`` are float32 (samples, MOST_DIGITS, 5): x1, y1, x2, y2 in pixels and the digit, rows of NO_OBJECT where there are
    fewer. ``masks`` are int64 (samples, SIDE, SIDE): 0 for the background, 1 + the digit.
    """

    images: NDArray[np.float32]
    boxes: NDArray[np.float32]
    masks: NDArray[np.int64]


def canvases(split: str, count: int, seed: int) -> Canvases:
    """``count`` canvases with digits of the split; ``seed`` says which, where and among what."""
    random = np.random.default_rng(seed)
    images, labels = digits(split)
    made = [_canvas(images, labels, random) for _ in range(count)]
    return Canvases(*(np.stack(parts) for parts in zip(*made, strict=True)))


def _canvas(images: NDArray[Any], labels: NDArray[Any], random: Random) -> tuple[NDArray[Any], ...]:
    """The image, the boxes and the mask of one canvas; digits do not overlap."""
    image = _clutter(random)
    boxes = np.full((MOST_DIGITS, 5), NO_OBJECT, np.float32)
    mask = np.zeros((SIDE, SIDE), np.int64)
    placed = 0
    for number in random.integers(len(images), size=random.integers(1, MOST_DIGITS + 1)):
        digit = _resized(images[number], int(random.integers(*SIDES)))
        top, left = random.integers(0, SIDE - len(digit) + 1, size=2)
        region = np.s_[top : top + len(digit), left : left + len(digit)]
        if mask[region].any():
            continue
        inked = digit > INK
        image[region] = np.where(inked, digit * random.uniform(0.7, 1), image[region])
        mask[region][inked] = 1 + labels[number]
        boxes[placed] = *_around(inked, left, top), labels[number]
        placed += 1
    noisy = image + random.normal(0, 0.04, image.shape)
    return np.clip(noisy, 0, 1).astype(np.float32)[..., None], boxes, mask


def _clutter(random: Random) -> NDArray[np.float64]:
    """A dim slope of light, with bars across it."""
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    image = 0.25 * random.random() * rows + 0.25 * random.random() * columns
    for _ in range(random.integers(2, 7)):
        angle, offset = random.uniform(0, np.pi), random.uniform(0, 1)
        distance = np.abs((columns - 0.5) * np.cos(angle) + (rows - 0.5) * np.sin(angle) - offset + 0.5)
        along = (columns - 0.5) * np.sin(angle) - (rows - 0.5) * np.cos(angle)
        bar = (distance < 0.5 / SIDE * random.integers(1, 4)) & (np.abs(along - random.uniform(-0.5, 0.5)) < 0.2)
        image[bar] = random.uniform(0.2, 0.9)
    return image


def _resized(digit: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    from scipy.ndimage import zoom

    return np.asarray(zoom(digit, side / len(digit), order=1, grid_mode=True, mode="nearest"))


def _around(inked: NDArray[np.bool_], left: int, top: int) -> tuple[int, int, int, int]:
    """The box x1, y1, x2, y2 of the inked pixels of a region at ``left`` and ``top``."""
    rows, columns = (np.flatnonzero(inked.any(axis=axis)) for axis in (1, 0))
    return left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1
