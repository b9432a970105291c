"""Printed lines for the models that read: words of the Zen of Python, in typefaces that matplotlib carries."""

from __future__ import annotations

import codecs
import contextlib
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
from fetch import MATERIAL
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Arrays = dict[str, NDArray[Any]]
SEED = 0
FONTS = MATERIAL / "fonts" / "ttf"
FACES = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSerif", "DejaVuSerif-Italic")
#: A text's area is drawn in by this share of its own (Liao et al. 2020, differentiable binarization).
SHRINKING = 0.4


def _words() -> list[str]:
    with contextlib.redirect_stdout(io.StringIO()):
        import this
    return re.findall(r"[A-Za-z']+", codecs.decode(this.s, "rot13"))


class Printer:
    """Paper, ink and type at random."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(SEED)
        self._words = _words()

    def paper(self, width: int, height: int) -> Image.Image:
        """An empty sheet, light, of any tint."""
        return Image.new("RGB", (width, height), tuple(int(part) for part in self.random.integers(170, 256, 3)))

    def line(
        self, sheet: Image.Image, left: float, top: float, size: float, width: int
    ) -> tuple[str, tuple[float, ...]]:
        """Print as many words as go into the width. The text, and the area that it takes: x1, y1, x2, y2."""
        font = ImageFont.truetype(str(Path(FONTS, f"{self.random.choice(FACES)}.ttf")), size)
        text = str(self.random.choice(self._words))
        while font.getlength(longer := f"{text} {self.random.choice(self._words)}") < width:
            text = longer
        ink = tuple(int(part) for part in self.random.integers(0, 110, 3))
        ImageDraw.Draw(sheet).text((left, top), text, ink, font)
        return text, (left, top, left + font.getlength(text), top + sum(font.getmetrics()))

    def scanned(self, sheet: Image.Image) -> NDArray[np.float32]:
        """The pixels in [-1, 1], with a scanner's noise."""
        pixels = np.asarray(sheet, np.float32)
        return np.clip(pixels + self.random.normal(0, 6, pixels.shape), 0, 255).astype(np.float32) / 127.5 - 1


def lines_upright_or_not() -> Arrays:
    """A printed line, (48, 192, 3); every other one turned by 180 degrees, which is class 1."""
    x, y = np.stack([line for line, _ in _lines(360, 192)]), np.arange(360) % 2
    x[1::2] = x[1::2, ::-1, ::-1]
    return {"evaluation_x": x[:320], "evaluation_y": y[:320], "calibration_x": x[320:]}


def lines_with_text() -> Arrays:
    """A printed line, (48, 320, 3), and what it says."""
    x, y = zip(*_lines(152, 320), strict=True)
    return {"evaluation_x": np.stack(x[:120]), "evaluation_y": np.array(y[:120]), "calibration_x": np.stack(x[120:])}


def _lines(count: int, width: int) -> list[tuple[NDArray[np.float32], str]]:
    printer, found = Printer(), []
    for _ in range(count):
        sheet = printer.paper(width, 48)
        size = printer.random.uniform(20, 30)
        text, _ = printer.line(sheet, printer.random.uniform(3, 12), printer.random.uniform(4, 12), size, width - 20)
        found.append((printer.scanned(sheet), text))
    return found


def pages() -> Arrays:
    """Some printed lines, (160, 224, 3), and the pixels of their texts, each area drawn in as the detector learnt it."""
    printer = Printer()
    made = [_page(printer, 224, 160) for _ in range(64)]
    x, y = (np.stack(parts) for parts in zip(*made, strict=True))
    return {"evaluation_x": x[:48], "evaluation_y": y[:48], "calibration_x": x[48:]}


def _page(printer: Printer, width: int, height: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    sheet, mask, top = printer.paper(width, height), np.zeros((height, width), np.int64), printer.random.uniform(2, 20)
    while top < height - 32:
        size, left = printer.random.uniform(13, 24), printer.random.uniform(4, 60)
        _, (x1, y1, x2, y2) = printer.line(
            sheet, left, top, size, int(printer.random.uniform(0.5, 1) * (width - left - 4))
        )
        inwards = (x2 - x1) * (y2 - y1) * (1 - SHRINKING**2) / (2 * (x2 - x1 + y2 - y1))
        mask[round(y1 + inwards) : round(y2 - inwards), round(x1 + inwards) : round(x2 - inwards)] = 1
        top = y2 + printer.random.uniform(10, 30)
    return printer.scanned(sheet), mask
