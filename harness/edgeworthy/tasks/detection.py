"""Objects in images: boxes with scores and classes, judged by COCO's mean average precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from edgeworthy.errors import SourceError
from edgeworthy.tasks.average_precision import HALF, THRESHOLDS, average_precision
from edgeworthy.tasks.boxes import overlaps
from edgeworthy.tasks.decoders.finished import Finished
from edgeworthy.tasks.decoders.ssd import Ssd
from edgeworthy.tasks.decoders.yolo import Yolov5, Yolov8
from edgeworthy.tasks.detections import MOST_CANDIDATES, Detections
from edgeworthy.tasks.image_sizes import ImageSize, image_size_of
from edgeworthy.tasks.matching import Pairing
from edgeworthy.tasks.object_boxes import checked_boxes
from edgeworthy.tasks.task import Measure, Outputs, Shapes, Targets, Task

AnyDecoder = Annotated[Yolov5 | Yolov8 | Ssd | Finished, Field(discriminator="kind")]
#: Two boxes of a class are the same object where they overlap by this IoU, PASCAL VOC's.
SAME_OBJECT = 0.5


class Detection(Task):
    """Detection of objects. Predictions are :class:`Detections`, one for each sample, best score first.

    Targets are floats (samples, most, 5 or 6), rows of x1, y1, x2, y2 in pixels of the model's image, class, and 1 for a crowd;
    rows of class -1 are padding. A candidate with NaN or infinity in its box or score is dropped.
    """

    METRICS: ClassVar[tuple[str, ...]] = ("map", "map50")

    kind: Literal["detection"] = "detection"
    decoder: AnyDecoder = Field(description="what kind of outputs the model has")
    classes: int | None = Field(None, ge=1, description="number of classes, without a background")
    image_size: ImageSize | None = Field(
        None, description="height and width of the model's image; by default the input's"
    )
    score_threshold: float = Field(0.001, ge=0, le=1, description="candidates with a lower score are dropped")
    nms_iou: float | None = Field(
        0.6,
        gt=0,
        le=1,
        description=f"a box that overlaps a better one of its class by more is dropped, among the {MOST_CANDIDATES} best; "
        "null for none, which is the default of the decoder `boxes`",
    )
    max_detections: int = Field(100, ge=1, description="so many of a sample's best detections are kept")
    agreement_score: float = Field(
        0.5, ge=0, le=1, description="two models' detections are compared from this score on"
    )

    @model_validator(mode="before")
    @classmethod
    def _finished_is_not_suppressed_again(cls, data: Any) -> Any:
        finished = (
            isinstance(data, dict) and isinstance(data.get("decoder"), dict) and data["decoder"].get("kind") == "boxes"
        )
        return {"nms_iou": None, **data} if finished else data

    def fitted(self, outputs: Shapes, targets: Targets, inputs: tuple[int, ...]) -> Detection:
        """With ``image_size`` and ``classes`` filled in."""
        image_size = self.image_size or image_size_of(inputs)
        classes = self.decoder.fitted_classes(outputs, image_size, self.classes)
        checked_boxes(targets, image_size, classes)
        return self.model_copy(update={"image_size": image_size, "classes": classes})

    def padded(self, targets: Targets, sizes: NDArray[np.int64], outputs: Shapes) -> Targets:
        """Rows of class -1 after each sample's own."""
        whole = np.full(targets.shape, -1, targets.dtype)
        for place, target, (own, _) in zip(whole, targets, sizes, strict=True):
            place[:own] = target[:own]
        return whole

    def decode(self, outputs: Outputs) -> list[Detections]:
        """Candidates above the threshold, class by class suppressed, best first."""
        samples = len(next(iter(outputs.values())))
        return [self._detected({name: values[one] for name, values in outputs.items()}) for one in range(samples)]

    def _detected(self, sample: dict[str, NDArray[np.float32]]) -> Detections:
        if self.image_size is None:
            raise SourceError("the task has no `image_size`", hint="give `image_size`, or fit the task first")
        with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is dropped
            found = self.decoder.candidates(sample, self.image_size, self.classes, self.score_threshold)
        if self.nms_iou is None:
            return found.best(self.max_detections)
        return found.best(MOST_CANDIDATES).suppressed(self.nms_iou, self.max_detections)

    def agree(self, first: Sequence[Detections], other: Sequence[Detections]) -> NDArray[np.bool_]:
        """Whether the detections from ``agreement_score`` on match one to one, in class and by an IoU of at least 0.5."""
        return np.array([self._same(*pair) for pair in zip(first, other, strict=True)], np.bool_)

    def _same(self, first: Detections, other: Detections) -> bool:
        from scipy.optimize import linear_sum_assignment  # here: slow to import

        first, other = (one[one.scores >= self.agreement_score] for one in (first, other))
        if len(first) != len(other):
            return False
        same = (overlaps(first.boxes, other.boxes) >= SAME_OBJECT) & (first.classes[:, None] == other.classes)
        return bool(same[linear_sum_assignment(same, maximize=True)].all())

    def measure(self, metric: str) -> Measure:
        """COCO's average precision, percent: over IoU 0.50 to 0.95, or at 0.5."""
        return average_precision(_paired, THRESHOLDS if metric == "map" else HALF)


def _paired(detections: Detections, rows: NDArray[Any]) -> Pairing:
    objects = rows[rows[:, 4] >= 0]
    crowd = objects[:, 5] > 0 if objects.shape[1] > 5 else np.zeros(len(objects), np.bool_)
    similarity = overlaps(detections.boxes, objects[:, :4], crowd)
    return Pairing(detections.scores, detections.classes, similarity, objects[:, 4].astype(np.int64), crowd)
