"""Which detections of a sample find which of its objects, as COCO's evaluation matches them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: COCO counts the best so many detections of a class in an image (maxDets).
MOST_OF_A_CLASS = 100
#: Less than any similarity that may match.
_NO_MATCH = -3.0


@dataclass(frozen=True)
class Pairing:
    """The n detections of a sample, best score first, beside its m objects.

    ``similarity`` is (n, m), 0 to 1, of each detection to each object. An object that is ``ignored`` need not be found, and what
    finds it, any number of detections, counts neither way.
    """

    scores: NDArray[np.floating]
    classes: NDArray[np.int64]
    similarity: NDArray[np.float64]
    object_classes: NDArray[np.int64]
    ignored: NDArray[np.bool_]

    def within(self, most: int) -> Pairing:
        """With only the best ``most`` detections of each class."""
        if len(self.classes) <= most:
            return self
        kept = np.sort(np.concatenate([np.flatnonzero(self.classes == one)[:most] for one in np.unique(self.classes)]))
        return Pairing(
            self.scores[kept], self.classes[kept], self.similarity[kept], self.object_classes, self.ignored
        )  # fmt: skip


@dataclass(frozen=True)
class Matches:
    """Of each detection at each threshold, both (n, thresholds): whether it ``found`` an object, or an ``ignored`` one."""

    found: NDArray[np.bool_]
    ignored: NDArray[np.bool_]


def match(pairing: Pairing, thresholds: NDArray[np.float64]) -> Matches:
    """Greedy, best score first: each detection takes the most similar object of its class that is still free.

    An ignored object is taken only where no other fits; of equally similar ones the last, as in COCOeval.evaluateImg
    (pycocotools/cocoeval.py).
    """
    same_class = pairing.classes[:, None] == pairing.object_classes[None]
    similarity = np.where(same_class, pairing.similarity, -1.0)[:, ::-1]  # reversed: argmax takes the first of equals
    ignored = pairing.ignored[::-1]
    preference = similarity - 2.0 * ignored
    free = np.ones((len(thresholds), similarity.shape[1]), np.bool_)
    matches = Matches(*np.zeros((2, len(similarity), len(thresholds)), np.bool_))
    for detection in np.flatnonzero(similarity.max(axis=1, initial=-1.0) >= thresholds.min()):
        fits = free & (similarity[detection] >= thresholds[:, None])
        best = np.where(fits, preference[detection], _NO_MATCH).argmax(axis=1)
        taken = fits.any(axis=1)
        matches.found[detection] = taken & ~ignored[best]
        matches.ignored[detection] = taken & ignored[best]
        free[taken, best[taken]] = ignored[best[taken]]
    return matches
