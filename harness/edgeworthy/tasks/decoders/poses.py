"""How a model's outputs become the keypoints of the one person that a sample shows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgeworthy.schema import Strict
from edgeworthy.tasks.decoders.decoder import unfit
from edgeworthy.tasks.outputs import chosen
from edgeworthy.tasks.task import Outputs, Shapes

#: Keypoints (samples, K, 3): x and y in pixels of the image, and score.
Poses = NDArray[np.float64]


class PoseDecoder(Strict, ABC):
    """The options of one kind of output."""

    output: str | None = Field(None, description="name of the output, where the model has several")

    @abstractmethod
    def check(self, outputs: Shapes, keypoints: int) -> None:
        """Raises SourceError where the shapes are not those of so many keypoints."""

    @abstractmethod
    def poses(self, outputs: Outputs, keypoints: int, image_size: tuple[int, int]) -> Poses:
        """The keypoints of all samples; ``image_size`` is (height, width) in pixels."""


class Coordinates(PoseDecoder):
    """Rows of x, y and score, (K, 3), with leading axes of 1 or none.

    ``order: yx, normalized: true`` is MoveNet.
    """

    kind: Literal["coordinates"] = "coordinates"
    order: Literal["xy", "yx"] = Field("xy", description="which coordinate comes first")
    normalized: bool = Field(False, description="the coordinates are fractions of the image, not pixels")

    def check(self, outputs: Shapes, keypoints: int) -> None:
        """(..., K, 3)."""
        shape = chosen(outputs, self.output, "decoder.output")
        if shape[-2:] != (keypoints, 3) or np.prod(shape) != 3 * keypoints:
            raise unfit(self.kind, outputs, f"x, y and score of {keypoints} keypoints ({keypoints}, 3)")

    def poses(self, outputs: Outputs, keypoints: int, image_size: tuple[int, int]) -> Poses:
        """As given, in pixels."""
        rows = chosen(outputs, self.output, "decoder.output").reshape(-1, keypoints, 3).astype(np.float64)
        rows = rows if self.order == "xy" else rows[..., [1, 0, 2]]
        return rows * np.array([*image_size[::-1], 1]) if self.normalized else rows


class Heatmaps(PoseDecoder):
    """One map for each keypoint, (K, h, w) or (h, w, K).

    A keypoint is where its map is highest, moved by a quarter of a cell to the higher neighbour in both directions; its score is
    that height (Simple Baselines, Xiao et al. 2018; get_final_preds of microsoft/human-pose-estimation.pytorch).
    """

    kind: Literal["heatmaps"] = "heatmaps"

    def check(self, outputs: Shapes, keypoints: int) -> None:
        """K is the first axis or the last, not both."""
        shape = chosen(outputs, self.output, "decoder.output")
        if len(shape) != 3 or (shape[0] == keypoints) == (shape[2] == keypoints):
            raise unfit(self.kind, outputs, f"maps ({keypoints}, h, w) or (h, w, {keypoints})")

    def poses(self, outputs: Outputs, keypoints: int, image_size: tuple[int, int]) -> Poses:
        """A cell's coordinate times the image's side over the map's."""
        maps = chosen(outputs, self.output, "decoder.output")
        maps = maps if maps.shape[1] == keypoints else np.moveaxis(maps, -1, 1)
        height, width = maps.shape[2:]
        flat = maps.reshape(len(maps), keypoints, height * width)
        highest = flat.argmax(axis=2)
        y, x = np.divmod(highest, width)
        offsets = _quarter_offsets(maps, y, x)
        cells = np.stack([x, y], axis=2) + offsets
        score = np.take_along_axis(flat, highest[..., None], axis=2)
        return np.concatenate([cells * [image_size[1] / width, image_size[0] / height], score], axis=2)


def _quarter_offsets(maps: NDArray[np.float32], y: NDArray[np.intp], x: NDArray[np.intp]) -> NDArray[np.float64]:
    """0 for cells at the border, (samples, K, 2)."""
    height, width = maps.shape[2:]
    inside = (x > 1) & (x < width - 1) & (y > 1) & (y < height - 1)
    at_x, at_y = np.clip(x, 1, max(width - 2, 1)), np.clip(y, 1, max(height - 2, 1))
    one, joint = np.ogrid[: maps.shape[0], : maps.shape[1]]
    right = np.sign(maps[one, joint, at_y, at_x + 1] - maps[one, joint, at_y, at_x - 1])
    down = np.sign(maps[one, joint, at_y + 1, at_x] - maps[one, joint, at_y - 1, at_x])
    return np.where(inside[..., None], 0.25 * np.stack([right, down], axis=2), 0.0)
