"""Numbers as small pictures, inside of the page."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.datasets.pillow import image_module

#: No side of a picture has more pixels; a browser scales smaller ones up.
LARGEST = 96
#: Pictures of more pixels are photographs, which JPEG stores in a tenth.
PHOTOGRAPH = 48 * 48
#: Classes of a mask, one colour each and then again; class 0 is background and not coloured.
_COLOURS = (
    (230, 80, 60),
    (60, 130, 230),
    (70, 170, 90),
    (220, 160, 30),
    (150, 90, 200),
    (20, 170, 180),
    (230, 110, 170),
)
_OPAQUE = 170


def picture(values: NDArray[Any]) -> str:
    """A data URI of (height, width), (height, width, 1) or (height, width, 3 or more), whatever range the values have."""
    pixels = values if values.dtype == np.uint8 else _in_bytes(values)
    if pixels.ndim == 3:
        pixels = pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., 0]
    return _uri(image_module().fromarray(np.ascontiguousarray(pixels)))


def heat_map(values: NDArray[Any]) -> str:
    """A data URI of (columns, rows), as a spectrogram is: time to the right, the first row at the bottom."""
    return picture(values.T[::-1])


def spectrogram(sound: NDArray[Any]) -> str:
    """A data URI of the spectrogram of a sound (samples,): the logarithm of the power in windows of 256 samples."""
    window = 256
    padded = np.pad(sound.astype(np.float64), (0, max(0, window - sound.size)))
    starts = np.linspace(0, padded.size - window, LARGEST).astype(np.int64)
    pieces = np.stack([padded[start : start + window] for start in starts]) * np.hanning(window)
    power = np.abs(np.fft.rfft(pieces, axis=1)) ** 2
    return heat_map(np.log10(power + 1e-10))


def mask(classes: NDArray[np.integer[Any]]) -> str:
    """A data URI to lay over a picture: class numbers (height, width), transparent where a pixel has class 0 or none."""
    pixels = np.zeros((*classes.shape, 4), np.uint8)
    there = classes > 0
    pixels[there, :3] = np.array(_COLOURS, np.uint8)[(classes[there] - 1) % len(_COLOURS)]
    pixels[there, 3] = _OPAQUE
    return _uri(image_module().fromarray(pixels))


def _in_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Values of any range as 0 to 255, the least black; what is no number is black, too."""
    numbers = np.nan_to_num(np.asarray(values, np.float64), posinf=0.0, neginf=0.0)
    low, high = numbers.min(initial=np.inf), numbers.max(initial=-np.inf)
    scaled = (numbers - low) / (high - low) if high > low else np.zeros_like(numbers)
    return (255 * scaled).round().astype(np.uint8)


def _uri(image: Any) -> str:
    image.thumbnail((LARGEST, LARGEST))
    photograph = image.mode != "RGBA" and image.width * image.height > PHOTOGRAPH
    kind, options = ("jpeg", {"quality": 78}) if photograph else ("png", {"optimize": True})
    stored = io.BytesIO()
    image.save(stored, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(stored.getvalue()).decode()}"
