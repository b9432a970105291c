"""What a detector finds in a sample, and the suppression of what it finds twice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeworthy.tasks.boxes import Boxes, areas

#: Suppression looks at so many candidates of a sample, the best ones: what RetinaNet keeps of its five levels, 1000 of each.
MOST_CANDIDATES = 5000


@dataclass(frozen=True)
class Detections:
    """Of one sample: boxes (n, 4) as x1, y1, x2, y2 in pixels, float32, scores (n,) float32, classes (n,) int64."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, which: NDArray[np.bool_] | NDArray[np.int64] | slice) -> Detections:
        return Detections(self.boxes[which], self.scores[which], self.classes[which])

    def best(self, most: int) -> Detections:
        """The ``most`` best, by descending score; equal ones stay in their order."""
        return self[np.argsort(-self.scores, kind="stable")[:most]]

    def suppressed(self, iou: float, most: int) -> Detections:
        """The ``most`` best without those that overlap a better one of their class by more than ``iou``.

        Greedy non-maximum suppression of detections that are sorted.
        """
        kept: list[int] = []
        low, high = np.split(self.boxes.astype(np.float64).T, 2)  # column by column, and areas once: as fast again
        own, left = areas(self.boxes), np.arange(len(self))
        while len(left) and len(kept) < most:
            first, left = int(left[0]), left[1:]
            kept.append(first)
            sides = np.minimum(high[:, left], high[:, [first]]) - np.maximum(low[:, left], low[:, [first]])
            shared = np.where((sides > 0).all(axis=0), sides[0] * sides[1], 0.0)
            over = shared > iou * (own[left] + own[first] - shared)
            left = left[~(over & (self.classes[left] == self.classes[first]))]
        return self[np.array(kept, np.int64)]


def finite(boxes: Boxes, scores: NDArray[np.floating], classes: NDArray[np.integer], threshold: float) -> Detections:
    """Those with a score of at least ``threshold``, but none with NaN or infinity in its box or score."""
    boxes, scores = boxes.astype(np.float32), scores.astype(np.float32)
    valid = (scores >= threshold) & np.isfinite(scores) & np.isfinite(boxes).all(axis=1)
    return Detections(boxes, scores, classes.astype(np.int64))[valid]


def of_every_class(boxes: Boxes, scores: NDArray[np.floating], threshold: float) -> Detections:
    """From one box (n, 4) for scores of all classes (n, classes): a detection for each score of at least ``threshold``."""
    anchors, classes = np.nonzero(scores >= threshold)
    return finite(boxes[anchors], scores[anchors, classes], classes, threshold)
