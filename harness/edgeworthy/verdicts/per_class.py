"""Accuracy class by class: a mean may stay while one class is lost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeworthy.records import Estimate
from edgeworthy.statistics.paired import share


@dataclass(frozen=True)
class ClassAccuracy:
    """One class: its samples, and how many the reference and the candidate got right."""

    label: int
    samples: int
    reference_correct: int
    candidate_correct: int

    @property
    def percent(self) -> Estimate:
        """The candidate's accuracy with Wilson's interval."""
        return share(self.candidate_correct, self.samples)

    @property
    def drop_points(self) -> float:
        """Accuracy lost in percentage points."""
        return 100.0 * (self.reference_correct - self.candidate_correct) / self.samples


def per_class(
    labels: NDArray[np.int64], reference: NDArray[np.bool_], candidate: NDArray[np.bool_]
) -> list[ClassAccuracy]:
    """Every class that has samples, the worst accuracy first; three arrays of shape (samples,)."""
    classes = int(labels.max()) + 1
    samples = np.bincount(labels, minlength=classes)
    right = [np.bincount(labels[correct], minlength=classes) for correct in (reference, candidate)]
    found = [
        ClassAccuracy(label, int(samples[label]), int(right[0][label]), int(right[1][label]))
        for label in np.flatnonzero(samples).tolist()
    ]
    return sorted(found, key=lambda each: (each.percent.value, -each.drop_points, each.label))
