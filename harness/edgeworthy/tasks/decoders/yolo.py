"""The heads of YOLO as they are exported: boxes already decoded, probabilities already in the graph."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgeworthy.errors import SourceError
from edgeworthy.tasks.boxes import corners, in_pixels
from edgeworthy.tasks.decoders.decoder import Decoder, Sample, same_count, unfit
from edgeworthy.tasks.detections import Detections, of_every_class
from edgeworthy.tasks.outputs import chosen
from edgeworthy.tasks.task import Shapes


class _Yolo(Decoder):
    output: str | None = Field(None, description="name of the output, where the model has several")
    normalized: bool = Field(
        False, description="the boxes are fractions of the image, as in TFLite files of Ultralytics, not pixels"
    )

    def _corners(self, boxes: NDArray[np.float32], image_size: tuple[int, int]) -> NDArray[np.float64]:
        decoded = corners(boxes, "cxcywh")
        return in_pixels(decoded, image_size) if self.normalized else decoded


class Yolov5(_Yolo):
    """YOLOv5 and v7: (anchors, 5 + classes) of cx, cy, w, h, objectness, and the classes' probabilities given an object.

    The score is objectness times probability (ultralytics/yolov5, utils/general.py, non_max_suppression).
    """

    kind: Literal["yolov5"] = "yolov5"

    def fitted_classes(self, outputs: Shapes, image_size: tuple[int, int], classes: int | None) -> int:
        """The columns after the fifth."""
        shape = chosen(outputs, self.output, "decoder.output")
        if len(shape) != 2 or shape[1] < 6:
            raise unfit(self.kind, outputs, "(anchors, 5 + classes)")
        return same_count(shape[1] - 5, classes)

    def candidates(
        self, sample: Sample, image_size: tuple[int, int], classes: int | None, threshold: float
    ) -> Detections:
        """Every class of every anchor."""
        rows = chosen(sample, self.output, "decoder.output")
        return of_every_class(self._corners(rows[:, :4], image_size), rows[:, 4:5] * rows[:, 5:], threshold)


class Yolov8(_Yolo):
    """YOLOv8, v9, v11: (4 + classes, anchors) of cx, cy, w, h and the classes' probabilities, or the transposed.

    ``classes`` says which axis is which (ultralytics, utils/nms.py, non_max_suppression).
    """

    kind: Literal["yolov8"] = "yolov8"

    def fitted_classes(self, outputs: Shapes, image_size: tuple[int, int], classes: int | None) -> int:
        """``classes``, which fits one of the two axes and not the other."""
        shape = chosen(outputs, self.output, "decoder.output")
        if len(shape) != 2:
            raise unfit(self.kind, outputs, "(4 + classes, anchors) or (anchors, 4 + classes)")
        if classes is None:
            raise SourceError(
                f"an output of shape {shape} may have {shape[0] - 4} or {shape[1] - 4} classes",
                hint="set the task's `classes` to the number that the model was trained for",
            )
        if (4 + classes not in shape) or shape[0] == shape[1]:
            raise unfit(self.kind, outputs, f"{4 + classes} rows or columns, not both, for {classes} classes")
        return classes

    def candidates(
        self, sample: Sample, image_size: tuple[int, int], classes: int | None, threshold: float
    ) -> Detections:
        """Every class of every anchor."""
        rows = chosen(sample, self.output, "decoder.output")
        rows = rows if rows.shape[1] == 4 + (classes or 0) else rows.T
        return of_every_class(self._corners(rows[:, :4], image_size), rows[:, 4:], threshold)
