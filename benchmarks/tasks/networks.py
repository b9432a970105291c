"""The networks of models.yaml, as torch.nn.Modules; a factory of each builds it untrained."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

DIGITS = 10
WORDS = 12
MEASUREMENTS = 30
HIDDEN = 48


def _block(channels_in: int, channels_out: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution of 3x3, batch normalization, ReLU."""
    convolution = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels_out), nn.ReLU())


class Detector(nn.Module):
    """One box and ten scores of each cell of 8x8 pixels: what an object is whose centre lies in it (Liu et al. 2016, SSD).

    Input (batch, 1, 48, 48); outputs boxes (batch, 36, 4), offsets of y, x, height and width from an anchor in the middle of the
    cell, and scores (batch, 36, 10), logits of the digits.
    """

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _block(1, 12, 2), _block(12, 24, 2), _block(24, 24), _block(24, 28, 2), _block(28, 28)
        )
        self.boxes, self.scores = nn.Conv2d(28, 4, 1), nn.Conv2d(28, DIGITS, 1)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Offsets and logits."""
        features = self.body(image)
        heads = {"boxes": self.boxes(features), "scores": self.scores(features)}
        return {name: values.flatten(2).transpose(1, 2) for name, values in heads.items()}


class Segmenter(nn.Module):
    """Down twice and up again, with what was there before (Ronneberger et al. 2015, U-Net).

    Input (batch, 1, 48, 48), output (batch, 11, 48, 48): logits of the background and the digits.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.middle = _block(1, 8), nn.Sequential(_block(8, 16, 2), _block(16, 16))
        self.coarse = nn.Sequential(_block(16, 24, 2), _block(24, 24), _block(24, 24))
        self.to_middle, self.to_fine = _block(40, 16), _block(24, 12)
        self.classes = nn.Conv2d(12, 1 + DIGITS, 1)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")

    def forward(self, image: Tensor) -> Tensor:
        """Logits of each pixel."""
        fine = self.fine(image)
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        middle = self.to_middle(torch.cat([self.up(coarse), middle], dim=1))
        return self.classes(self.to_fine(torch.cat([self.up(middle), fine], dim=1)))


class TumorClassifier(nn.Module):
    """Standardized measurements, a hidden layer. Input (batch, 30), output (batch, 2) logits: malignant, benign."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(MEASUREMENTS))
        self.register_buffer("deviation", torch.ones(MEASUREMENTS))
        self.layers = nn.Sequential(nn.Linear(MEASUREMENTS, 16), nn.ReLU(), nn.Linear(16, 2))

    def forward(self, measurements: Tensor) -> Tensor:
        """Logits."""
        return self.layers((measurements - self.mean) / self.deviation)


class LineClassifier(nn.Module):
    """Bytes, embedded, their trigrams, the mean of those that the mask has. Output (batch, 2) logits: code, prose."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(128, 16)
        self.trigrams = nn.Conv1d(16, 32, 3, padding=1)
        self.last = nn.Linear(32, 2)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Logits of ids (batch, 48), whole numbers, and mask (batch, 48), 1 or 0."""
        embedded = self.embedding(ids) * mask.unsqueeze(2)
        found = self.trigrams(embedded.transpose(1, 2)).relu() * mask.unsqueeze(1)
        return self.last(found.sum(dim=2) / mask.sum(dim=1, keepdim=True))


class RowReader(nn.Module):
    """A gated recurrent unit that reads a digit row by row.

    Inputs row (batch, 8) and state (batch, 48); outputs logits (batch, 10) and the next state.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.last = nn.GRUCell(8, HIDDEN), nn.Linear(HIDDEN, DIGITS)

    def forward(self, row: Tensor, state: Tensor) -> dict[str, Tensor]:
        """One step."""
        state = self.cell(row, state)
        return {"logits": self.last(state), "state": state}


def detector() -> Any:
    """Finds digits on a canvas."""
    return Detector()


def segmenter() -> Any:
    """Says of each pixel of a canvas which digit it is of."""
    return Segmenter()


def word_spotter() -> Any:
    """Which word is spoken: input (batch, 1, 49, 32), log-mel spectra; output (batch, 12) logits.

    Depthwise separable convolutions (Zhang et al. 2017, Hello Edge: Keyword Spotting on Microcontrollers).
    """
    separable = [layer for _ in range(3) for layer in (_block(32, 32, groups=32), nn.Conv2d(32, 32, 1), nn.ReLU())]
    return nn.Sequential(_block(1, 32, 2), *separable, nn.AvgPool2d((5, 8)), nn.Flatten(), nn.Linear(320, WORDS))


def tumor_classifier() -> Any:
    """Says whether a tumor is benign."""
    return TumorClassifier()


def line_classifier() -> Any:
    """Says whether a line is code or prose."""
    return LineClassifier()


def row_reader() -> Any:
    """Reads a digit row by row."""
    return RowReader()
