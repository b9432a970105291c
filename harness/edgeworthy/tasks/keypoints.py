"""Keypoints of one person in each sample, judged by COCO's average precision over OKS."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgeworthy.errors import SourceError
from edgeworthy.schema import Positive
from edgeworthy.tasks import oks
from edgeworthy.tasks.average_precision import average_precision
from edgeworthy.tasks.decoders.poses import Coordinates, Heatmaps, Poses
from edgeworthy.tasks.image_sizes import ImageSize, image_size_of
from edgeworthy.tasks.matching import Pairing
from edgeworthy.tasks.task import Evidence, Measure, NothingToFind, Outputs, Shapes, Targets, Task

AnyPoseDecoder = Annotated[Coordinates | Heatmaps, Field(discriminator="kind")]
#: Two poses are the same where COCO's strictest threshold would take one for the other.
SAME_POSE = 0.95
_FORMAT = "targets are floats (samples, K, 3): x, y in pixels of the model's image, and visibility, 0 for not labelled"


class Keypoints(Task):
    """Top-down pose estimation: a sample is the crop of one person. Predictions are (samples, K, 3): x, y in pixels, score.

    Targets are floats (samples, K, 3): x, y in pixels of the model's image, and COCO's visibility, 0 for a keypoint that is not
    labelled. A person's score is the mean of the keypoints'; one with NaN or infinity in its score is not found. A sample in
    which nothing is labelled counts neither way.
    """

    METRICS: ClassVar[tuple[str, ...]] = ("oks_ap",)

    kind: Literal["keypoints"] = "keypoints"
    decoder: AnyPoseDecoder = Field(description="what kind of output the model has")
    sigmas: tuple[Positive, ...] | None = Field(
        None, description="how exact each keypoint can be labelled; by default COCO's, of the 17 keypoints of a person"
    )
    area: Positive | None = Field(
        None, description="the person's area in square pixels; by default of the box around the labelled keypoints"
    )
    image_size: ImageSize | None = Field(
        None, description="height and width of the model's image; by default the input's"
    )
    agreement_score: float = Field(
        0.3, ge=0, description="two models' keypoints are compared where one of them has at least this score"
    )

    def fitted(self, outputs: Shapes, targets: Targets, inputs: tuple[int, ...]) -> Keypoints:
        """With ``sigmas`` and ``image_size`` filled in."""
        if targets.ndim != 3 or targets.shape[2] != 3 or targets.dtype.kind not in "fiu":
            raise SourceError(f"targets of keypoints are not {targets.dtype} {targets.shape}", hint=_FORMAT)
        keypoints = targets.shape[1]
        self.decoder.check(outputs, keypoints)
        sigmas = self.sigmas or oks.COCO_SIGMAS
        if len(sigmas) != keypoints:
            raise SourceError(
                f"the targets have {keypoints} keypoints, but there are {len(sigmas)} sigmas",
                hint="set `sigmas` to one number for each keypoint; COCO's own are of its 17",
            )
        self._check(targets)
        return self.model_copy(update={"sigmas": sigmas, "image_size": self.image_size or image_size_of(inputs)})

    def _check(self, targets: Targets) -> None:
        labelled = targets[..., 2] > 0
        if not labelled.any():
            raise NothingToFind("no sample has a labelled keypoint", hint=_FORMAT)
        finite = np.isfinite(targets).all(axis=(1, 2))
        _refuse(np.logical_not(finite), "contain NaN or infinity", _FORMAT)
        known = np.isin(targets[..., 2], (0, 1, 2)).all(axis=1)
        _refuse(np.logical_not(known), "have a visibility other than 0, 1 and 2", _FORMAT)
        flat = labelled.any(axis=1) & (oks.enclosing_areas(targets[..., :2], labelled) == 0)
        if self.area is None:
            _refuse(flat, "have labelled keypoints that no area encloses", "set `area`, or drop these samples")

    def decode(self, outputs: Outputs) -> Poses:
        """x, y in pixels, and score, (samples, K, 3)."""
        sigmas, image_size = self._known()
        return self.decoder.poses(outputs, len(sigmas), image_size)

    def _known(self) -> tuple[NDArray[np.float64], tuple[int, int]]:
        if self.sigmas is None or self.image_size is None:
            raise SourceError(
                "the task has no `sigmas` or no `image_size`",
                hint="give both, or fit the task to outputs and targets first",
            )
        return np.array(self.sigmas), self.image_size

    def agree(self, first: Poses, other: Poses) -> NDArray[np.bool_]:
        """Whether the OKS between the two is at least 0.95, and all is finite, (samples,).

        It is over the keypoints that one of the two is sure of, with the area that encloses these; where there are none, they are
        equally unsure.
        """
        finite = np.isfinite(np.concatenate([first, other], axis=2)).all(axis=(1, 2))
        first, other = (np.where(np.reshape(finite, (-1, 1, 1)), one, 0.0) for one in (first, other))
        sure = np.maximum(first[..., 2], other[..., 2]) >= self.agreement_score
        return np.asarray(finite & (self._similarity(other, first, sure) >= SAME_POSE))

    def _similarity(self, found: Poses, truth: NDArray[Any], labelled: NDArray[np.bool_]) -> NDArray[np.float64]:
        keypoints = truth[..., :2]
        area = np.full(len(truth), self.area) if self.area else oks.enclosing_areas(keypoints, labelled)
        return oks.similarity(found[..., :2], keypoints, labelled, area, self._known()[0])

    def measure(self, metric: str) -> Measure:
        """COCO's average precision over OKS 0.50 to 0.95, percent."""
        precision = average_precision(_paired)

        def evidence(poses: Poses, targets: Targets) -> Evidence:
            labelled = np.asarray(targets[..., 2] > 0)
            with np.errstate(invalid="ignore"):  # a score of NaN is no detection
                scores = poses[..., 2].mean(axis=1)
            found = list(zip(scores, self._similarity(poses, targets, labelled), strict=True))
            return precision.evidence(found, np.asarray(labelled.any(axis=1, keepdims=True)))

        return Measure(evidence, precision.value)


def _paired(found: tuple[np.float64, np.float64], labelled: NDArray[np.bool_]) -> Pairing:
    """The one person of a sample, found with this score and similarity; ``labelled`` (1,) says whether any keypoint is."""
    score, similarity = found
    scores = np.array([score])[np.isfinite([score])]
    one = np.zeros(1, np.int64)
    return Pairing(scores, one[: len(scores)], np.full((len(scores), 1), similarity), one, ~labelled)


def _refuse(wrong: NDArray[np.bool_], what: str, hint: str) -> None:
    """Raises SourceError where samples are wrong, (samples,), which says how many and the first."""
    if wrong.any():
        raise SourceError(
            f"the targets of {int(wrong.sum())} samples {what}; the first is sample {int(wrong.argmax())}", hint=hint
        )
