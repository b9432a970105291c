"""The anchors of an SSD, which its offsets are relative to."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from edgeworthy.schema import Positive, Strict


class SsdAnchors(Strict):
    """The options of MediaPipe's SsdAnchorsCalculator, by its names (mediapipe/calculators/tflite/ssd_anchors_calculator.cc).

    TensorFlow's ssd_anchor_generator has the same scales and ratios.
    """

    strides: tuple[int, ...] = Field(min_length=1, description="pixels from cell to cell, layer by layer")
    min_scale: Positive = Field(0.2, description="size of the first layer's anchors, as a share of the image")
    max_scale: Positive = Field(0.95, description="size of the last layer's anchors, as a share of the image")
    aspect_ratios: tuple[Positive, ...] = Field((1.0,), description="width over height of each cell's anchors")
    interpolated_scale_aspect_ratio: float = Field(
        1.0, ge=0, description="aspect ratio of one more anchor, of a size between this layer's and the next's; 0: none"
    )
    reduce_boxes_in_lowest_layer: bool = Field(False, description="only three anchors for a cell of the first layer")
    fixed_anchor_size: bool = Field(False, description="every anchor is as large as the image")
    anchor_offset_x: float = Field(0.5, description="where an anchor's centre lies in its cell, from the left")
    anchor_offset_y: float = Field(0.5, description="where an anchor's centre lies in its cell, from the top")

    @model_validator(mode="after")
    def _has_cells(self) -> SsdAnchors:
        if min(self.strides) < 1:
            raise ValueError("`strides` are whole numbers of pixels, at least 1")
        return self

    def generated(self, image_size: tuple[int, int]) -> NDArray[np.float64]:
        """Rows of centre y, centre x, height, width as shares of an image of (height, width) pixels, (anchors, 4)."""
        layers = itertools.groupby(range(len(self.strides)), key=self.strides.__getitem__)
        return np.concatenate([self._of_stride(stride, list(group), image_size) for stride, group in layers])

    def _of_stride(self, stride: int, layers: list[int], image_size: tuple[int, int]) -> NDArray[np.float64]:
        """Neighbouring layers of one stride share their cells: cell by cell, the anchors of all of them."""
        sizes = np.array([size for layer in layers for size in self._sizes(layer)])
        if self.fixed_anchor_size:
            sizes = np.ones_like(sizes)
        rows, columns = (math.ceil(side / stride) for side in image_size)
        y, x = np.mgrid[:rows, :columns].astype(np.float64)
        centres = np.stack([(y + self.anchor_offset_y) / rows, (x + self.anchor_offset_x) / columns], axis=2)
        cells = rows * columns
        return np.concatenate(
            [np.repeat(centres.reshape(cells, 2), len(sizes), axis=0), np.tile(sizes, (cells, 1))], axis=1
        )  # fmt: skip

    def _sizes(self, layer: int) -> Iterator[tuple[float, float]]:
        """Heights and widths of a layer's anchors in one cell."""
        scale = self._scale(layer)
        shapes = [(scale, ratio) for ratio in self.aspect_ratios]
        if layer == 0 and self.reduce_boxes_in_lowest_layer:
            shapes = [(0.1, 1.0), (scale, 2.0), (scale, 0.5)]
        elif self.interpolated_scale_aspect_ratio > 0:
            following = 1.0 if layer == len(self.strides) - 1 else self._scale(layer + 1)
            shapes.append((math.sqrt(scale * following), self.interpolated_scale_aspect_ratio))
        return ((size / math.sqrt(ratio), size * math.sqrt(ratio)) for size, ratio in shapes)

    def _scale(self, layer: int) -> float:
        if len(self.strides) == 1:
            return (self.min_scale + self.max_scale) / 2
        return self.min_scale + (self.max_scale - self.min_scale) * layer / (len(self.strides) - 1)


#: face_detection_short_range of MediaPipe, BlazeFace: 896 anchors of an image of 128 by 128.
BLAZEFACE = SsdAnchors(strides=(8, 16, 16, 16), min_scale=0.1484375, max_scale=0.75, fixed_anchor_size=True)
