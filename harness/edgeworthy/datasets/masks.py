"""Masks, which give the class of each pixel of an image, as the targets of a segmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeworthy.datasets.annotations import placement_of
from edgeworthy.datasets.file_digests import file_digests
from edgeworthy.datasets.geometry import Geometry, placement
from edgeworthy.datasets.pillow import image_module
from edgeworthy.datasets.pixels import placed
from edgeworthy.datasets.ragged import sizes_beside
from edgeworthy.errors import SourceError
from edgeworthy.readers import reading
from edgeworthy.storage import Store

#: The class of pixels that do not count, as Pascal VOC and Cityscapes mark them; padding is of it.
IGNORED = 255
#: Pillow's modes of one class number for each pixel: a palette's index, a gray value, a bit.
MODES = ("P", "L", "1")
_HINT = "save it as PNG with 8 bits a pixel: a palette's index or a gray value is the pixel's class number"


@dataclass(frozen=True)
class Masks:
    """A PNG file for each image, of the image's size."""

    paths: list[Path]

    def take(self, rows: NDArray[np.int64]) -> Masks:
        """Those of some images."""
        return Masks([self.paths[index] for index in rows])

    def identity(self, store: Store) -> object:
        """The files' contents."""
        return file_digests(store, self.paths)

    def write(self, out: Path, images: Sequence[Path], geometry: Geometry) -> int:
        """Write int64 (samples, H, W), class numbers of the pixels as a model is given them; 0, for no box is dropped.

        Resized to the nearest pixel's class; a letterbox's padding is IGNORED. Of different sizes they are followed by
        zeros, and ``sizes_beside`` them stand their heights and widths. Raises SourceError for masks of another size
        than their image and for those that have no class numbers.
        """
        pairs = list(zip(self.paths, images, strict=True))
        sizes = np.array([_height_and_width(image, geometry) for image in images], np.int64)
        stored = np.lib.format.open_memmap(out, "w+", np.int64, (len(images), *sizes.max(axis=0).tolist()))
        for place, (height, width), each in zip(stored, sizes, pairs, strict=True):
            place[:height, :width] = class_numbers(*each, geometry)
        stored.flush()
        if np.ptp(sizes, axis=0).any():
            np.save(sizes_beside(out), sizes)
        return 0


def _height_and_width(image: Path, geometry: Geometry) -> tuple[int, int]:
    """Of an image as a model is given it."""
    with reading(image, "image", "replace this image, or leave it out"), image_module().open(image) as opened:
        width, height = placement(opened.size, geometry).size
    return height, width


def class_numbers(path: Path, image: Path, geometry: Geometry) -> NDArray[np.uint8]:
    """A mask's class numbers (H, W) where the pixels of its image go. Raises SourceError."""
    module = image_module()
    with reading(path, "mask", _HINT), module.open(path) as mask:
        if mask.mode not in MODES:
            raise SourceError(f"{path}: is a mask of Pillow's mode {mask.mode}, not of class numbers", hint=_HINT)
        values = np.asarray(mask).astype(np.uint8)
    where = placement_of(image, geometry, mask.size, f"its mask {path}")
    numbers: NDArray[np.uint8] = np.asarray(placed(module.fromarray(values), where, "nearest", IGNORED))
    return numbers


def masks_of(images: Sequence[Path], folder: Path, masks: Path) -> list[Path]:
    """The mask of each image below ``folder``: the .png of its name, without the suffix, below ``masks``.

    Raises SourceError where one is missing, and where two images have the same.
    """
    found = [(masks / path.relative_to(folder)).with_suffix(".png") for path in images]
    missing = [number for number, path in enumerate(found) if not path.is_file()]
    if missing:
        first = missing[0]
        raise SourceError(
            f"{len(missing)} of {len(found)} images have no mask: {images[first]} has no {found[first]}",
            hint="give each image a PNG of the same name in 'masks', or move the image elsewhere",
        )
    owners: dict[Path, Path] = {}
    for image, path in zip(images, found, strict=True):
        if owners.setdefault(path, image) != image:
            raise SourceError(
                f"{path} would be the mask of two images, {owners[path]} and {image}", hint="rename one of the two"
            )
    return found
