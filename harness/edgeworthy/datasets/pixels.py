"""An image's pixels as they are stored: converted, resized, cropped and padded.

The processes that decode import this module and no schema: each of them starts in half the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgeworthy.datasets.geometry import Geometry, Placement, placement
from edgeworthy.errors import SourceError

if TYPE_CHECKING:
    from PIL.Image import Image

#: EXIF's number of the tag that says how to turn an image.
EXIF_ORIENTATION = 0x0112
ALPHA_MODES = ("RGBA", "LA", "PA", "La", "RGBa")
MODES = {"rgb": "RGB", "bgr": "RGB", "gray": "L"}
#: Pillow's modes of more than 8 bits; it clips such values to 0 and 255 where it converts them.
WIDE_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")


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
    oriented, transparent = orientation(image) != 1, _is_transparent(image)
    return Picture(pixels(image, geometry), oriented, transparent)


def pixels(image: Image, geometry: Geometry) -> NDArray[np.uint8]:
    """The image converted, resized, cropped and padded: uint8 (height, width, channels).

    Converted first, as torchvision.transforms; then as ``placement`` says. An EXIF orientation is applied, and alpha
    composited over a colour, where ``geometry`` says so.

    Raises SourceError where the crop is larger than the image, or its values than a byte.
    """
    if image.mode in WIDE_MODES:
        raise SourceError(
            f"holds {'floats' if image.mode == 'F' else 'more than 8 bits a pixel'} (mode {image.mode}),"
            " which would be clipped to 0 to 255: save it with 8 bits, or give arrays (kind: npz or function)",
            hint="convert the image to 8 bits per channel",
        )
    if geometry.exif_orientation and orientation(image) != 1:
        image = _upright(image)
    if geometry.alpha != "drop" and _is_transparent(image):
        image = _over(image, geometry.alpha)
    if image.mode != MODES[geometry.channels]:  # convert() copies also where there is nothing to convert
        image = image.convert(MODES[geometry.channels])
    padding = geometry.letterbox.color if geometry.letterbox else 0
    values = np.asarray(placed(image, placement(image.size, geometry), geometry.interpolation, padding))
    return values[:, :, None] if values.ndim == 2 else values[:, :, ::-1] if geometry.channels == "bgr" else values


def orientation(image: Image) -> int:
    """How the image is to be turned, by EXIF's numbers; 1 is not at all."""
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


def placed(image: Image, where: Placement, interpolation: str, padding: int) -> Image:
    """The image resized, then cropped or, with the value ``padding`` in every channel, padded."""
    from PIL.Image import Resampling, new

    if image.size != where.resized:
        image = image.resize(where.resized, Resampling[interpolation.upper()])
    if image.size == where.size:
        return image
    (left, top), (width, height) = where.corner, where.size
    if width <= image.width and height <= image.height:
        return image.crop((left, top, left + width, top + height))
    canvas = new(image.mode, where.size, (padding,) * len(image.getbands()))
    canvas.paste(image, (-left, -top))
    return canvas
