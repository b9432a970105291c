"""Any metric that gives a number for each sample, in pairs: a candidate against its reference on the same samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.records import Estimate

Scores = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class PairedScores:
    """Numbers of shape (samples,) that the reference and the candidate got; ``higher_is_better`` says which are good."""

    reference: Scores
    candidate: Scores
    higher_is_better: bool

    @property
    def values(self) -> tuple[float, float]:
        """The mean of the reference's numbers, and of the candidate's."""
        return float(np.mean(self.reference, dtype=np.float64)), float(np.mean(self.candidate, dtype=np.float64))

    @property
    def lost(self) -> NDArray[np.float64]:
        """How much worse the candidate is, sample by sample; negative where it is better."""
        difference = np.subtract(self.reference, self.candidate, dtype=np.float64)
        return difference if self.higher_is_better else -difference

    def drop(self, confidence: float = 0.95) -> Estimate:
        """What the candidate lost on average, in the metric's unit, with Student's interval of the paired differences."""
        return mean_with_interval(self.lost, confidence)

    def drop_percent(self) -> Estimate:
        """The same in percent of the reference's mean, which is taken as exact."""
        base = abs(float(np.mean(self.reference, dtype=np.float64)))
        drop = self.drop()
        if base == 0:
            return Estimate(math.inf if drop.value > 0 else 0.0)
        ends = (None if end is None else 100 * end / base for end in (drop.low, drop.high))
        return Estimate(100 * drop.value / base, *ends)

    def p(self) -> float:
        """Two-sided p-value of the paired t test; 1.0 where no sample differs, NaN for a single sample."""
        lost = self.lost
        if not lost.any():
            return 1.0
        if lost.size < 2:
            return math.nan
        error = _standard_error(lost)
        if error == 0:
            return 0.0
        from scipy.special import stdtr  # here: slow to import

        return float(2 * stdtr(lost.size - 1, -abs(lost.mean()) / error))

    def samples_to_decide(self, limit: float, confidence: float = 0.95) -> int | None:
        """About how many samples like these make the drop's interval clear the limit; None if the drop equals it."""
        lost = self.lost
        distance = abs(float(lost.mean()) - limit)
        if distance == 0 or lost.size < 2 or not math.isfinite(distance):
            return None
        return max(2, math.ceil((_quantile(lost.size, confidence) * float(lost.std(ddof=1)) / distance) ** 2))


def mean_with_interval(values: Scores, confidence: float = 0.95) -> Estimate:
    """The mean of numbers of shape (samples,) with Student's interval; none for a single sample. NaN stays NaN."""
    mean = float(np.mean(values, dtype=np.float64))
    if values.size < 2 or not math.isfinite(mean):
        return Estimate(mean)
    half = _quantile(values.size, confidence) * _standard_error(values)
    return Estimate(mean, mean - half, mean + half)


def _standard_error(values: Scores) -> float:
    return float(np.std(values, ddof=1, dtype=np.float64)) / math.sqrt(values.size)


def _quantile(samples: int, confidence: float) -> float:
    from scipy.special import stdtrit  # here: slow to import

    return float(stdtrit(samples - 1, 0.5 + confidence / 2))
