"""Landmarks of one face or hand in each sample, judged by the normalized mean error."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from edgeworthy.errors import SourceError
from edgeworthy.tasks.image_sizes import ImageSize, image_size_of
from edgeworthy.tasks.outputs import chosen
from edgeworthy.tasks.task import Measure, Outputs, Shapes, Targets, Task, mean_of

#: Two models' landmarks are the same below this error, percent: a third of what a good model errs by itself, 3.3 % of the eyes'
#: distance on 300-W (HRNet, Sun et al. 2019).
SAME_LANDMARKS_PERCENT = 1.0
_FORMAT = "targets are floats (samples, K, 2 or 3): the landmarks in the output's coordinates"


class Landmarks(Task):
    """Landmarks that are always there. Predictions are (samples, K, dimensions), in pixels where ``normalized``.

    Targets are floats (samples, K, 2 or 3) in the output's coordinates; distances are measured in the targets' dimensions. With
    NaN in an output the error is NaN.
    """

    METRICS: ClassVar[tuple[str, ...]] = ("nme",)

    kind: Literal["landmarks"] = "landmarks"
    output: str | None = Field(None, description="name of the output with the landmarks, where the model has several")
    dimensions: Literal[2, 3] | None = Field(
        None, description="numbers of a landmark in the output; by default the targets'"
    )
    normalized: bool = Field(False, description="output and targets are fractions of the image: x and z of its width")
    normalize: Literal["box", "image"] | tuple[int, int] = Field(
        "box",
        description="what a distance is divided by: box, the root of the area around the target's landmarks; image, the image's "
        "diagonal; or [i, j], the distance of two of the target's landmarks, such as the eyes' outer corners",
    )
    image_size: ImageSize | None = Field(
        None, description="height and width of the model's image; by default the input's"
    )

    @model_validator(mode="after")
    def _is_a_distance(self) -> Landmarks:
        if isinstance(self.normalize, tuple) and (min(self.normalize) < 0 or self.normalize[0] == self.normalize[1]):
            raise ValueError("`normalize` names two different landmarks, counted from 0")
        return self

    def fitted(self, outputs: Shapes, targets: Targets, inputs: tuple[int, ...]) -> Landmarks:
        """With ``dimensions``, and ``image_size`` where it is needed, filled in."""
        if targets.ndim != 3 or targets.shape[2] not in (2, 3) or targets.dtype.kind not in "fiu":
            raise SourceError(f"targets of landmarks are not {targets.dtype} {targets.shape}", hint=_FORMAT)
        update: dict[str, Any] = {"dimensions": self._fitted_dimensions(outputs, targets)}
        if self.normalized or self.normalize == "image":
            update["image_size"] = self.image_size or image_size_of(inputs)
        fitted = self.model_copy(update=update)
        fitted._check(targets)
        return fitted

    def _fitted_dimensions(self, outputs: Shapes, targets: Targets) -> int:
        shape = chosen(outputs, self.output, "output")
        landmarks, least = targets.shape[1:]
        dimensions = self.dimensions or least
        if dimensions < least:
            raise SourceError(f"the targets have {least} dimensions, but `dimensions` is {dimensions}", hint=_FORMAT)
        if np.prod(shape) != landmarks * dimensions or (
            shape[-1] != np.prod(shape) and shape[-2:] != (landmarks, dimensions)
        ):
            raise SourceError(
                f"{landmarks} landmarks of {dimensions} dimensions are {landmarks * dimensions} numbers or ({landmarks}, "
                f"{dimensions}), but the output is {shape}",
                hint="set `dimensions` to the numbers of a landmark in the output, and give targets of all its landmarks",
            )
        return dimensions

    def _check(self, targets: Targets) -> None:
        if not np.isfinite(targets).all():
            raise SourceError("the targets of landmarks contain NaN or infinity", hint=_FORMAT)
        if isinstance(self.normalize, tuple) and max(self.normalize) >= targets.shape[1]:
            raise SourceError(
                f"`normalize` is {list(self.normalize)}, but there are {targets.shape[1]} landmarks",
                hint=f"give two from 0 to {targets.shape[1] - 1}",
            )
        none = self._distances(self._in_pixels(targets)) == 0
        if none.any():
            raise SourceError(
                f"the normalizing distance is 0 in {int(none.sum())} samples; the first is sample {int(none.argmax())}",
                hint="correct these targets, or choose another `normalize`",
            )

    def decode(self, outputs: Outputs) -> NDArray[np.float64]:
        """Landmarks of all samples, (samples, K, dimensions)."""
        values = chosen(outputs, self.output, "output")
        if self.dimensions is None:
            raise SourceError(
                "the task has no `dimensions`", hint="give `dimensions`, or fit the task to targets first"
            )
        return self._in_pixels(values.reshape(len(values), -1, self.dimensions))

    def _in_pixels(self, landmarks: NDArray[Any]) -> NDArray[np.float64]:
        values = landmarks.astype(np.float64)
        if self.normalized and self.image_size:
            height, width = self.image_size
            values *= np.array([width, height, width])[: values.shape[2]]
        return values

    def _distances(self, truth: NDArray[np.float64]) -> NDArray[np.float64]:
        """What errors are divided by, (samples,)."""
        if isinstance(self.normalize, tuple):
            one, other = self.normalize
            return np.asarray(np.linalg.norm(truth[:, one] - truth[:, other], axis=1))
        if self.normalize == "image" and self.image_size:
            return np.full(len(truth), float(np.hypot(*self.image_size)))
        return np.asarray(np.sqrt(np.ptp(truth[..., :2], axis=1).prod(axis=1)))

    def _errors(self, found: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean distance over the normalizing distance, percent, (samples,)."""
        apart = np.linalg.norm(found[..., : truth.shape[2]] - truth, axis=2).mean(axis=1)
        return np.asarray(100 * apart / self._distances(truth))

    def agree(self, first: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether the other's error against the first is below 1 %, (samples,)."""
        with np.errstate(divide="ignore", invalid="ignore"):  # a model whose landmarks all coincide agrees with none
            return self._errors(other, first) < SAME_LANDMARKS_PERCENT

    def measure(self, metric: str) -> Measure:
        """The normalized mean error, percent."""
        return mean_of(lambda found, targets: self._errors(found, self._in_pixels(targets)))
