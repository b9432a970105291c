"""Semantic segmentation: a class for each pixel."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgeworthy.errors import SourceError
from edgeworthy.tasks.class_counts import class_counts, mean_iou
from edgeworthy.tasks.class_scores import best_class, check_probabilities
from edgeworthy.tasks.layout import Layout, channels_last, layout_of
from edgeworthy.tasks.one_output import OneOutput
from edgeworthy.tasks.target_checks import check_class_numbers
from edgeworthy.tasks.task import Measure, Outputs, Predictions, Shapes, Targets, in_frame, of_sums

#: Masks of which at least this share of the pixels is equal count as the same.
ALIKE = 0.99


class Segmentation(OneOutput):
    """Maps of the masks' size, and targets int (samples, height, width), class numbers; ``ignore`` does not count.

    A map holds scores, (height, width, classes) or (classes, height, width), one channel alone being the foreground's; or
    class numbers, with ``holds: classes``. The mean IoU is scikit-learn's ``jaccard_score(average="macro")`` over all pixels.
    """

    METRICS: ClassVar[tuple[str, ...]] = ("miou", "pixel_accuracy")

    kind: Literal["segmentation"] = "segmentation"
    holds: Literal["scores", "classes"] = Field("scores", description="what the output's values are")
    layout: Layout | None = Field(None, description="needed where height, width and channels are as many")
    classes: int = Field(0, ge=0, description="how many classes there are; needed where the output holds class numbers")
    ignore: int = Field(255, description="pixels of this class do not count")
    threshold: float = Field(0.5, description="a pixel whose one score is above this is foreground; 0 for logits")

    def fitted(self, outputs: Shapes, targets: Targets, inputs: tuple[int, ...]) -> Segmentation:
        """The task with its layout and classes. Raises SourceError where maps and masks are unlike in size or classes."""
        shape = self.judged(outputs)
        if targets.ndim != 3:
            raise SourceError(f"the targets have shape {targets.shape}", hint="give int64 (samples, height, width)")
        layout = layout_of(shape, targets.shape[1:], self.layout)
        channels = 1 if layout is None else shape[-1 if layout == "hwc" else 0]
        classes = self._classes(channels)
        if 0 <= self.ignore < classes and "ignore" not in self.model_fields_set:
            raise SourceError(
                f"class {self.ignore} of the model's {classes} is ignored by default",
                hint="set the task's option 'ignore' to a number that is no class, such as -1",
            )
        check_class_numbers(targets, "samples, height, width", classes, self.ignore)
        return self.model_copy(update={"layout": layout, "classes": classes})

    def padded(self, targets: Targets, sizes: NDArray[np.int64], outputs: Shapes) -> Targets:
        """Masks as large as the maps, padded with ``ignore``."""
        shape = self.judged(outputs)
        ends: dict[Layout, tuple[int, ...]] = (
            {"hwc": shape[:2], "chw": shape[1:]} if len(shape) == 3 else {"hwc": shape}
        )
        largest = tuple(sizes.max(axis=0))
        fitting = [
            end
            for layout, end in ends.items()
            if self.layout in (None, layout) and all(size <= most for size, most in zip(largest, end, strict=True))
        ]
        if len(set(fitting)) > 1:
            raise SourceError(
                f"the output has shape {shape}, and whether the channels are first or last cannot be seen",
                hint="set the task's option 'layout' to hwc or chw",
            )
        return in_frame(targets, sizes, next(iter(fitting), ends["hwc"]), self.ignore)

    def _classes(self, channels: int) -> int:
        given = max(channels, 2) if self.holds == "scores" else self.classes
        if given < 2 or self.classes not in (0, given):
            raise SourceError(
                f"the output holds {self.holds} in {channels} channels, the task's option 'classes' is {self.classes}",
                hint="set 'classes' to the model's number of classes",
            )
        if self.holds == "classes" and channels > 1:
            raise SourceError(
                f"{channels} channels are no class numbers", hint="set the task's option 'holds' to scores"
            )
        return given

    def decode(self, outputs: Outputs) -> NDArray[np.int32]:
        """Class numbers (samples, height, width), -1 where there is none: a NaN, or no whole number of a class."""
        maps = channels_last(self.judged(outputs), self.layout)
        if self.holds == "scores" and maps.shape[-1] == 1 and 0 < self.threshold < 1:
            check_probabilities(maps)
        return np.stack([self._mask(each) for each in maps])  # one by one: isnan of all takes much memory

    def _mask(self, values: NDArray[np.floating[Any]]) -> NDArray[np.int32]:
        if values.shape[-1] > 1:
            return best_class(values)
        pixels = values[..., 0]
        if self.holds == "scores":
            return np.where(np.isnan(pixels), -1, pixels > self.threshold).astype(np.int32)
        known = (pixels >= 0) & (pixels < self.classes) & (pixels == np.rint(pixels))
        return np.where(known, pixels, -1).astype(np.int32)

    def agree(self, first: Predictions, other: Predictions) -> NDArray[np.bool_]:
        """Whether at least ALIKE of the pixels are equal; pixels without a class are not."""
        equal = (first == other) & (first >= 0)
        return np.asarray(equal.mean(axis=(1, 2)) >= ALIKE)

    def measure(self, metric: str) -> Measure:
        """As the table of metrics says; NaN where all pixels are ignored."""
        of = {"miou": mean_iou, "pixel_accuracy": _accuracy}[metric]
        return of_sums(self._counts, lambda sums: of(sums.reshape(len(sums), 3, -1)))

    def _counts(self, predicted: NDArray[np.int32], targets: Targets) -> NDArray[np.float64]:
        """Pixels of each class that are right, predicted and there: (samples, 3 classes)."""
        counts = []
        for target, mask in zip(targets, predicted, strict=True):
            judged = target != self.ignore
            counts.append(class_counts(target[judged], mask[judged], self.classes).ravel())
        return np.stack(counts)


def _accuracy(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    right, _, actual = counts.sum(axis=2).T
    with np.errstate(invalid="ignore"):
        return np.asarray(100 * right / actual)
