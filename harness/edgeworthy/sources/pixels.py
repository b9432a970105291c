"""An image's pixels as they are stored: converted, resized and cropped.

The processes that decode import this module and no schema: each of them starts in half the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgeworthy.errors import SourceError

if TYPE_CHECKING:
    from PIL.Image import Image

#: EXIF's number of the tag that says how to turn an image.
EXIF_ORIENTATION = 0x0112
ALPHA_MODES = ("RGBA", "LA", "PA", "La", "RGBa")
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
    alpha: str = "drop"
    exif_orientation: bool = False


@dataclass(frozen=True)
class Picture:
    """A decoded image, uint8 (height, width, channels), and what its file has beside its colours."""

    values: NDArray[np.uint8]
    oriented: bool
    transparent: bool


def picture(image: Image, geometry: Geometry) -> Picture:
    """The image's pixels, whether it has an EXIF orientation and whether it is transparent somewhere.

    Raises SourceError as ``pixels`` does.
    """
    oriented, transparent = _orientation(image) != 1, _is_transparent(image)
    return Picture(pixels(image, geometry), oriented, transparent)


def pixels(image: Image, geometry: Geometry) -> NDArray[np.uint8]:
    """The image converted, resized and cropped: uint8 (height, width, channels).

    As torchvision.transforms: converted first, the longer side rounded down, the crop centred with halves to even.
    An EXIF orientation is applied, and alpha composited over a colour, where ``geometry`` says so.
    Raises SourceError where the crop is larger than the image, or its values than a byte.
    """
    if image.mode in WIDE_MODES:
        raise SourceError(
            f"holds {'floats' if image.mode == 'F' else 'more than 8 bits a pixel'} (mode {image.mode}),"
            " which would be clipped to 0 to 255: save it with 8 bits, or give arrays (kind: npz or function)",
            hint="convert the image to 8 bits per channel",
        )
    if geometry.exif_orientation and _orientation(image) != 1:
        image = _upright(image)
    if geometry.alpha != "drop" and _is_transparent(image):
        image = _over(image, geometry.alpha)
    if image.mode != MODES[geometry.channels]:  # convert() copies also where there is nothing to convert
        image = image.convert(MODES[geometry.channels])
    if geometry.resize:
        image = _resized(image, geometry.resize, geometry.interpolation)
    if geometry.center_crop:
        image = _cropped(image, geometry.center_crop)
    values = np.asarray(image)
    return values[:, :, None] if values.ndim == 2 else values[:, :, ::-1] if geometry.channels == "bgr" else values


def _orientation(image: Image) -> int:
    try:
        return int(image.getexif().get(EXIF_ORIENTATION, 1))
    except Exception:  # damaged metadata: the pixels do not depend on it
        return 1


def _upright(image: Image) -> Image:
    from PIL.ImageOps import exif_transpose

    return exif_transpose(image)


def _is_transparent(image: Image) -> bool:
    if image.mode not in ALPHA_MODES and "transparency" not in image.info:
        return False
    lowest, _ = image.convert("RGBA").getchannel("A").getextrema()
    return bool(lowest < 255)


def _over(image: Image, colour: str) -> Image:
    from PIL.Image import alpha_composite, new

    return alpha_composite(new("RGBA", image.size, colour), image.convert("RGBA"))


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
        raise SourceError(
            f"is {image.height}x{image.width}, which is smaller than the crop of {height}x{width}",
            hint="make the resize at least as large as the crop, or the crop smaller",
        )
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height))
