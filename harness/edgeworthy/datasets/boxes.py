"""Boxes of objects, read from a COCO file, as the targets of a detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeworthy.datasets.annotations import placement_of
from edgeworthy.datasets.coco_file import Annotation, Category, CocoFile, Image
from edgeworthy.datasets.geometry import Geometry, Placement
from edgeworthy.datasets.overlap import row_digests
from edgeworthy.errors import SourceError
from edgeworthy.storage import Store

#: Tools that draw boxes round their numbers: so many pixels over the edge are cut off, more are refused.
ROUNDING = 1.0
#: The row of a sample that has fewer boxes than another: no class.
NO_BOX = (0.0, 0.0, 0.0, 0.0, -1.0, 0.0)
Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Boxes:
    """For each image its size, (width, height), and its boxes (boxes, 6): x1, y1, x2, y2 in pixels, class, crowd.

    ``origin`` is the file that they are from.
    """

    origin: str
    sizes: list[tuple[int, int]]
    rows: list[Rows]

    def take(self, rows: NDArray[np.int64]) -> Boxes:
        """Those of some images."""
        return Boxes(self.origin, [self.sizes[index] for index in rows], [self.rows[index] for index in rows])

    def identity(self, store: Store) -> object:
        """Sizes and boxes."""
        return [self.sizes, row_digests(self.rows)]

    def write(self, out: Path, images: Sequence[Path], geometry: Geometry) -> int:
        """Write float32 (samples, most, 6) in pixels of the images as a model is given them, padded with NO_BOX.

        Boxes are cut to the crop; how many of them lie outside of it and are dropped. Raises SourceError where an image
        has another size than the file says, or is turned.
        """
        places = [
            placement_of(path, geometry, size, self.origin) for path, size in zip(images, self.sizes, strict=True)
        ]
        found = [moved(rows, where) for rows, where in zip(self.rows, places, strict=True)]
        padded = np.full((len(found), max(1, *map(len, found)), len(NO_BOX)), NO_BOX, np.float32)
        for target, rows in zip(padded, found, strict=True):
            target[: len(rows)] = rows
        np.save(out, padded)
        return sum(map(len, self.rows)) - sum(map(len, found))


def moved(rows: Rows, where: Placement) -> Rows:
    """The boxes (n, 6) where the image's pixels go, cut to its window; those without area in it are left out."""
    scale = np.divide(where.resized, where.stored)
    corners = rows[:, :4].reshape(-1, 2, 2) * scale - where.corner
    corners = np.clip(corners, 0, where.size)
    kept = (corners[:, 0] < corners[:, 1]).all(axis=1)
    return np.concatenate([corners.reshape(-1, 4), rows[:, 4:]], axis=1)[kept]


def boxes_of(found: CocoFile, origin: Path) -> Boxes:
    """The boxes of each image, in the order of the file's images.

    Classes are numbered from 0 in ascending order of category ids, as detectors that are trained on COCO number its 80.
    Raises SourceError for a box without area or outside of its image, naming its annotation.
    """
    numbers = {category.id: number for number, category in enumerate(classes_of(found))}
    images = {image.id: image for image in found.images}
    rows: dict[int, list[list[float]]] = {image.id: [] for image in found.images}
    for each in found.annotations:
        box = _corners(each, images[each.image_id], origin)
        rows[each.image_id].append([*box, numbers[each.category_id], each.iscrowd])
    sizes = [(image.width, image.height) for image in found.images]
    return Boxes(str(origin), sizes, [np.array(each, np.float64).reshape(-1, 6) for each in rows.values()])


def classes_of(found: CocoFile) -> list[Category]:
    """The categories in the order of their class numbers."""
    return sorted(found.categories, key=lambda category: category.id)


def _corners(each: Annotation, image: Image, origin: Path) -> list[float]:
    left, top, width, height = each.bbox
    right, bottom = left + width, top + height
    inside = [max(0.0, left), max(0.0, top), min(right, image.width), min(bottom, image.height)]
    over = max(-left, -top, right - image.width, bottom - image.height) > ROUNDING
    if width <= 0 or height <= 0:
        raise _refusal(each, origin, "has no area")
    if over or inside[0] >= inside[2] or inside[1] >= inside[3]:
        raise _refusal(
            each, origin, f"reaches out of {image.file_name!r} of {image.width}x{image.height} (width x height)"
        )
    return inside


def _refusal(each: Annotation, origin: Path, problem: str) -> SourceError:
    shown = ", ".join(f"{value:g}" for value in each.bbox)
    return SourceError(
        f"{origin}: the box of annotation {each.id}, [{shown}], {problem}",
        hint="correct or remove the annotation; a 'bbox' is left, top, width and height in pixels",
    )
