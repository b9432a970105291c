"""How images get their size and form, and where their pixels go: boxes and masks go the same way.

The processes that decode import this module and no schema: each of them starts in half the time.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from edgeworthy.errors import SourceError

#: The shorter side, or [height, width] as models.yaml has them.
Size = int | tuple[int, int]
#: As Pillow has them.
WidthAndHeight = tuple[int, int]


@dataclass(frozen=True)
class Letterbox:
    """The key ``preprocessing.letterbox``."""

    size: tuple[int, int]
    color: int
    align: str


@dataclass(frozen=True)
class Geometry:
    """What is done to images before they are stored, by ``packages``; the keys of ``preprocessing`` of the same names."""

    resize: Size | None = None
    interpolation: str = "bilinear"
    center_crop: Size | None = None
    channels: str = "rgb"
    alpha: str = "drop"
    exif_orientation: bool = False
    letterbox: Letterbox | None = None
    packages: ClassVar[tuple[str, ...]] = ("pillow",)

    def identity(self) -> dict[str, Any]:
        """What checksums are made of. Without a letterbox it is left out, so that older checksums hold."""
        known = asdict(self)
        if self.letterbox is None:
            del known["letterbox"]
        return known


@dataclass(frozen=True)
class Placement:
    """An image of ``stored`` pixels is resized to ``resized``, and the window of ``size`` at ``corner`` of it is kept.

    All are (width, height); ``corner`` is (left, top), negative where the window is padded.
    """

    stored: WidthAndHeight
    resized: WidthAndHeight
    corner: tuple[int, int]
    size: WidthAndHeight


def placement(stored: WidthAndHeight, geometry: Geometry) -> Placement:
    """Where the pixels of an image of ``stored`` (width, height) go.

    As torchvision.transforms: the longer side rounded down, the crop centred with halves to even.
    Raises SourceError where the crop is larger than the image.
    """
    if geometry.letterbox:
        return _letterboxed(stored, geometry.letterbox)
    resized = _resized(stored, geometry.resize) if geometry.resize else stored
    if not geometry.center_crop:
        return Placement(stored, resized, (0, 0), resized)
    size = _width_and_height(geometry.center_crop)
    if size[0] > resized[0] or size[1] > resized[1]:
        raise SourceError(
            f"is {resized[1]}x{resized[0]}, which is smaller than the crop of {size[1]}x{size[0]}",
            hint="make the resize at least as large as the crop, or the crop smaller",
        )
    corner = round((resized[0] - size[0]) / 2), round((resized[1] - size[1]) / 2)
    return Placement(stored, resized, corner, size)


def _width_and_height(size: Size) -> WidthAndHeight:
    return (size, size) if isinstance(size, int) else (size[1], size[0])


def _resized(stored: WidthAndHeight, size: Size) -> WidthAndHeight:
    if not isinstance(size, int):
        return _width_and_height(size)
    width, height = stored
    longer = int(size * max(stored) / min(stored))
    return (size, longer) if width <= height else (longer, size)


def _letterboxed(stored: WidthAndHeight, letterbox: Letterbox) -> Placement:
    """As Ultralytics' LetterBox: sides are rounded; of an odd number of padded rows the larger half is at the end."""
    width, height = _width_and_height(letterbox.size)
    scale = min(width / stored[0], height / stored[1])
    resized = max(1, round(stored[0] * scale)), max(1, round(stored[1] * scale))
    centered = letterbox.align == "center"
    left, top = ((width - resized[0]) // 2, (height - resized[1]) // 2) if centered else (0, 0)
    return Placement(stored, resized, (-left, -top), (width, height))
