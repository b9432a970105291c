"""The raw outputs of an SSD: offsets of boxes from anchors, and scores."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, model_validator

from edgeworthy.errors import SourceError
from edgeworthy.schema import Positive
from edgeworthy.tasks.boxes import corners, in_pixels
from edgeworthy.tasks.decoders.decoder import Decoder, Sample, same_count, unfit
from edgeworthy.tasks.decoders.ssd_anchors import BLAZEFACE, SsdAnchors
from edgeworthy.tasks.detections import Detections, of_every_class
from edgeworthy.tasks.outputs import chosen
from edgeworthy.tasks.task import Shapes

#: What a preset stands for; MediaPipe's face_detection_short_range scales by the 128 pixels of its image.
PRESETS: dict[str, dict[str, Any]] = {
    "blazeface": {
        "anchors": BLAZEFACE, "order": "xywh", "scales": (128.0, 128.0, 128.0, 128.0), "exponential": False,
        "activation": "sigmoid", "clip_scores": 100.0, "background": False,
    }
}  # fmt: skip


class Ssd(Decoder):
    """Offsets (anchors, 4 or more), of which the first four are a box, and scores (anchors, classes).

    A box's centre is its offset over the scale, times the anchor's side, plus the anchor's centre; its side is the anchor's times
    the offset over the scale, or its exponential (mediapipe/calculators/tensor/tensors_to_detections_calculator.cc).
    """

    model_config = ConfigDict(
        json_schema_extra={
            "required": ["boxes", "scores"],
            "anyOf": [{"required": ["anchors"]}, {"required": ["preset"]}],
        }
    )

    kind: Literal["ssd"] = "ssd"
    preset: Literal["blazeface"] | None = Field(
        None, description="options of a published model; keys beside it overrule them"
    )
    boxes: str = Field(description="name of the output with the offsets")
    scores: str = Field(description="name of the output with the scores")
    anchors: SsdAnchors = Field(description="how the anchors were made")
    order: Literal["yxhw", "xywh"] = Field(
        "yxhw", description="of a box's four offsets; MediaPipe's reverse_output_order is xywh"
    )
    scales: tuple[Positive, Positive, Positive, Positive] = Field(
        (10.0, 10.0, 5.0, 5.0), description="what offsets of y, x, height and width are divided by"
    )
    exponential: bool = Field(True, description="a side is the exponential of its offset")
    activation: Literal["sigmoid", "softmax", "none"] = Field("sigmoid", description="what makes a score of an output")
    clip_scores: Positive | None = Field(
        None, description="outputs are clipped to plus and minus this before the sigmoid"
    )
    background: bool = Field(True, description="the first score is the background's, and class 0 the second")

    @model_validator(mode="before")
    @classmethod
    def _with_preset(cls, data: Any) -> Any:
        return {**PRESETS.get(str(data.get("preset")), {}), **data} if isinstance(data, dict) else data

    def fitted_classes(self, outputs: Shapes, image_size: tuple[int, int], classes: int | None) -> int:
        """The columns of scores, without the background's."""
        boxes, scores = chosen(outputs, self.boxes, "decoder.boxes"), chosen(outputs, self.scores, "decoder.scores")
        least = 1 + self.background
        if len(boxes) != 2 or boxes[1] < 4 or len(scores) != 2 or scores[1] < least or boxes[0] != scores[0]:
            raise unfit(self.kind, outputs, f"offsets (anchors, 4 or more) and scores (anchors, {least} or more)")
        anchors = len(self.anchors.generated(image_size))
        if boxes[0] != anchors:
            raise SourceError(
                f"the model has boxes of {boxes[0]} anchors, but `anchors` makes {anchors} for an image of {image_size}",
                hint="give `anchors` the options that the model was trained with",
            )
        return same_count(scores[1] - self.background, classes)

    def candidates(
        self, sample: Sample, image_size: tuple[int, int], classes: int | None, threshold: float
    ) -> Detections:
        """Every class of every anchor."""
        boxes = self._boxes(sample[self.boxes][:, :4].astype(np.float64), self.anchors.generated(image_size))
        scores = self._activated(sample[self.scores].astype(np.float64))
        return of_every_class(in_pixels(boxes, image_size), scores[:, int(self.background) :], threshold)

    def _boxes(self, offsets: NDArray[np.float64], anchors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Corners as shares of the image."""
        if self.order == "xywh":
            offsets = offsets[:, [1, 0, 3, 2]]
        scaled = offsets / np.array(self.scales)
        sides = (np.exp(scaled[:, 2:]) if self.exponential else scaled[:, 2:]) * anchors[:, 2:]
        return corners(np.concatenate([scaled[:, :2] * anchors[:, 2:] + anchors[:, :2], sides], axis=1), "cycxhw")

    def _activated(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        from scipy.special import expit, softmax  # here: slow to import

        if self.activation == "softmax":
            return np.asarray(softmax(scores, axis=1))
        if self.activation == "none":
            return scores
        limit = self.clip_scores
        return np.asarray(expit(scores if limit is None else np.clip(scores, -limit, limit)))
