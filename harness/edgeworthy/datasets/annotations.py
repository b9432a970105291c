"""What a dataset's images have beside a class: boxes or a mask, which go where the images' pixels go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeworthy.datasets.geometry import Geometry, Placement, placement
from edgeworthy.datasets.pillow import image_module
from edgeworthy.datasets.pixels import orientation
from edgeworthy.errors import SourceError
from edgeworthy.readers import reading
from edgeworthy.storage import Store


class Annotations(Protocol):
    """One annotation for each image of some files."""

    def take(self, rows: NDArray[np.int64]) -> Annotations:
        """Those of some images."""
        ...

    def identity(self, store: Store) -> object:
        """What the targets depend on beside images and geometry, as JSON has it."""
        ...

    def write(self, out: Path, images: Sequence[Path], geometry: Geometry) -> int:
        """Write the targets of ``images`` as a .npy, (samples, ...); how many boxes were dropped. Raises SourceError."""
        ...


def placement_of(path: Path, geometry: Geometry, wanted: tuple[int, int], origin: str) -> Placement:
    """Where the pixels of the image ``path`` go, which by ``origin`` has ``wanted`` (width, height).

    Raises SourceError where it has another size, and where its EXIF orientation would be applied to it alone.
    """
    with reading(path, "image", "replace this image, or leave it out"), image_module().open(path) as image:
        size, turned = image.size, orientation(image) != 1
    if size != wanted:
        raise SourceError(
            f"{path} is {size[1]}x{size[0]} pixels, and {origin} is for {wanted[1]}x{wanted[0]}",
            hint="give the annotations that were made of this image",
        )
    if turned and geometry.exif_orientation:
        raise SourceError(
            f"{path} has an EXIF orientation, and its annotations are for the pixels as they are stored",
            hint="remove 'exif_orientation' from preprocessing, or turn image and annotations and save both",
        )
    return placement(size, geometry)
