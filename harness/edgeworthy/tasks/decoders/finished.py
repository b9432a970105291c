"""Detections as a detector gives them that suppresses in its own graph, so many for each sample."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from edgeworthy.tasks.boxes import Order, corners, in_pixels
from edgeworthy.tasks.decoders.decoder import Decoder, Sample, unfit
from edgeworthy.tasks.detections import Detections, finite
from edgeworthy.tasks.outputs import chosen
from edgeworthy.tasks.task import Shapes

_EXPECTED = "boxes (n, 4), scores (n,), classes (n,) and maybe a count, or rows of box, score and class (n, 6)"


class Finished(Decoder):
    """Boxes (n, 4), scores (n,), classes (n,) and maybe the count of valid ones; or one output, rows (n, 6) of all three.

    ``order: yxyx, normalized: true`` is TensorFlow Lite's TFLite_Detection_PostProcess; the rows are YOLOv10's and YOLO26's.
    """

    kind: Literal["boxes"] = "boxes"
    boxes: str | None = Field(None, description="name of the output with the boxes")
    scores: str | None = Field(None, description="name of the output with the scores")
    classes: str | None = Field(None, description="name of the output with the classes, counted from 0")
    count: str | None = Field(None, description="name of the output that says how many detections are valid")
    order: Order = Field("xyxy", description="what the four numbers of a box are; c is the centre")
    normalized: bool = Field(False, description="the boxes are fractions of the image, not pixels")

    def fitted_classes(self, outputs: Shapes, image_size: tuple[int, int], classes: int | None) -> int | None:
        """As given: finished detections do not say how many classes there are."""
        shape = chosen(outputs, self.boxes, "decoder.boxes")
        fits = len(shape) == 2 and shape[1] in (4, 6)
        if not self._in_rows(shape):
            fits = shape[1:] == (4,) and all(chosen(outputs, *one) == shape[:1] for one in self._others())
        if not fits or (self.count is not None and np.prod(chosen(outputs, self.count, "decoder.count")) != 1):
            raise unfit(self.kind, outputs, _EXPECTED)
        return classes

    def candidates(
        self, sample: Sample, image_size: tuple[int, int], classes: int | None, threshold: float
    ) -> Detections:
        """The valid ones: before the count, and of a class from 0 on."""
        rows = chosen(sample, self.boxes, "decoder.boxes")
        if self._in_rows(rows.shape):
            scores, labels = rows[:, 4], rows[:, 5]
        else:
            scores, labels = (chosen(sample, *one) for one in self._others())
        valid = np.flatnonzero(np.isfinite(labels) & (labels >= 0))
        valid = valid[valid < (len(rows) if self.count is None else sample[self.count].item())]
        boxes = corners(rows[valid, :4], self.order)
        boxes = in_pixels(boxes, image_size) if self.normalized else boxes
        return finite(boxes, scores[valid], np.rint(labels[valid]).astype(np.int64), threshold)

    def _in_rows(self, shape: tuple[int, ...]) -> bool:
        """Whether scores and classes are columns of the same output."""
        return self.scores is None and self.classes is None and shape[-1:] == (6,)

    def _others(self) -> tuple[tuple[str | None, str], ...]:
        return (self.scores, "decoder.scores"), (self.classes, "decoder.classes")
