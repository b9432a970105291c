"""An image's pixels as they are stored: resized, cropped, in the order of channels that was asked for.

The processes that decode import this module and no schema: each of them starts in half the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from harness.errors import SourceError

if TYPE_CHECKING:
    from PIL.Image import Image

Size = int | tuple[int, int]
MODES = {"rgb": "RGB", "bgr": "RGB", "gray": "L"}
#: Pillow's modes of more than 8 bits; it clips such values to 0 and 255 where it converts them.
WIDE_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")


@dataclass(frozen=True)
class Geometry:
    """What is done to images before they are stored; the keys of ``preprocessing`` of the same names."""

    resize: Size | None = None
    interpolation: str = "bilinear"
    center_crop: Size | None = None
    channels: str = "rgb"


def pixels(image: Image, geometry: Geometry) -> NDArray[np.uint8]:
    """The image resized, cropped and in the order of channels that was asked for: uint8 (height, width, channels).

    As torchvision.transforms: converted first, the longer side rounded down, the crop centred with halves to even.
    EXIF orientation is not applied. Raises SourceError where the crop is larger than the image, or its values than a byte.
    """
    if image.mode in WIDE_MODES:
        raise SourceError(
            f"holds {'floats' if image.mode == 'F' else 'more than 8 bits a pixel'} (mode {image.mode}),"
            " which would be clipped to 0 to 255: save it with 8 bits, or give arrays (kind: npz or function)"
        )
    if image.mode != MODES[geometry.channels]:  # convert() copies also where there is nothing to convert
        image = image.convert(MODES[geometry.channels])
    if geometry.resize:
        image = _resized(image, geometry.resize, geometry.interpolation)
    if geometry.center_crop:
        image = _cropped(image, geometry.center_crop)
    values = np.asarray(image)
    return values[:, :, None] if values.ndim == 2 else values[:, :, ::-1] if geometry.channels == "bgr" else values


def _resized(image: Image, size: Size, interpolation: str) -> Image:
    from PIL.Image import Resampling

    if isinstance(size, int):
        width, height = image.size
        longer = int(size * max(width, height) / min(width, height))
        wanted = (size, longer) if width <= height else (longer, size)
    else:
        wanted = size[1], size[0]
    return image if wanted == image.size else image.resize(wanted, Resampling[interpolation.upper()])


def _cropped(image: Image, size: Size) -> Image:
    height, width = (size, size) if isinstance(size, int) else size
    if width > image.width or height > image.height:
        raise SourceError(f"is {image.height}x{image.width} where {height}x{width} are to be cut out of it")
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height))
