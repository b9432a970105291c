"""Pillow, which decodes images, and the suffixes of the files that it reads."""

from __future__ import annotations

import contextlib
import functools
from typing import Any

from edgeworthy.errors import SourceError

#: Formats of photographs and drawings. Pillow opens others too, such as PostScript by another program; these are not read.
FORMATS = (
    "AVIF", "BMP", "DIB", "GIF", "HEIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TGA", "TIFF", "WEBP",
)  # fmt: skip


@functools.cache
def image_module() -> Any:
    """``PIL.Image``; with pillow-heif, where that is installed, it reads .heic too. Raises SourceError without Pillow."""
    try:
        from PIL import Image
    except ImportError as error:
        raise SourceError(
            "images are decoded by Pillow, which is not installed", hint="pip install 'edgeworthy[images]'"
        ) from error
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    return Image


@functools.cache
def suffixes() -> frozenset[str]:
    """The suffixes, in lower case, of files that are read as images. Raises SourceError without Pillow."""
    module = image_module()
    module.init()
    known = module.registered_extensions().items()
    return frozenset(suffix for suffix, name in known if name in FORMATS and name in module.OPEN)
