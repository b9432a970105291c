"""A metric over a whole dataset, in pairs: a candidate against its reference on the same resampled samples.

Mean average precision, mean IoU or a word error rate are no means of numbers of samples, so their intervals come from a
paired bootstrap: samples are drawn with replacement, the same for both sides, and the metric of each draw follows from the
evidence that is kept of every sample. The spread of the draws is the standard error, which is more robust than their
percentiles: a draw repeats samples, which lifts a mean average precision, of both sides alike.

B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, chapter 6; the factor n / (n - 1) is their exercise 5.5's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeworthy.records import Estimate
from edgeworthy.tasks.corpus import Corpus

#: With a larger share of draws without a value there is no interval.
MOST_UNDEFINED = 0.05


@dataclass(frozen=True)
class PairedCorpus:
    """The reference and the candidate, on the same samples."""

    reference: Corpus
    candidate: Corpus
    higher_is_better: bool

    @property
    def values(self) -> tuple[float, float]:
        """The metric of all samples: of the reference, and of the candidate."""
        return self.reference.value, self.candidate.value

    @property
    def samples(self) -> int:
        """How many samples both sides have."""
        return self.candidate.samples

    def value(self) -> Estimate:
        """The candidate's, with its 95 % interval."""
        return self._estimate(self.candidate.value, self.candidate.drawn)

    def drop(self) -> Estimate:
        """What the candidate lost, in the metric's unit, with its 95 % interval; negative where it is better."""
        return self._estimate(self._lost(*self.values), self._drawn_losses)

    def drop_percent(self) -> Estimate:
        """The same in percent of the reference's value, which is taken as exact."""
        base, drop = abs(self.values[0]), self.drop()
        if base == 0:
            return Estimate(math.inf if drop.value > 0 else 0.0)
        ends = (None if end is None else 100 * end / base for end in (drop.low, drop.high))
        return Estimate(100 * drop.value / base, *ends)

    def p(self) -> float:
        """Two-sided p-value of no loss; 1.0 where nothing was lost in any draw, NaN without an interval."""
        from scipy.special import stdtr  # here: slow to import

        lost, error = self._lost(*self.values), self._error(self._drawn_losses)
        if error == 0:
            return 1.0 if lost == 0 else 0.0
        return float(2 * stdtr(self.samples - 1, -abs(lost) / error))

    def samples_to_decide(self, limit: float) -> int | None:
        """About how many samples like these make the drop's interval clear the limit; None if the drop equals it."""
        drop = self.drop()
        distance = abs(drop.value - limit)
        if drop.high is None or not distance > 0 or not math.isfinite(distance):
            return None
        return max(2, math.ceil(self.samples * ((drop.high - drop.value) / distance) ** 2))

    def _lost(self, before: NDArray[np.float64] | float, after: NDArray[np.float64] | float) -> NDArray[np.float64]:
        return np.subtract(before, after) if self.higher_is_better else np.subtract(after, before)

    @property
    def _drawn_losses(self) -> NDArray[np.float64]:
        return self._lost(self.reference.drawn, self.candidate.drawn)

    def _estimate(self, value: NDArray[np.float64] | float, drawn: NDArray[np.float64]) -> Estimate:
        from scipy.special import stdtrit  # here: slow to import

        value, error = float(value), self._error(drawn)
        if not math.isfinite(value) or math.isnan(error):
            return Estimate(value)
        half = float(stdtrit(self.samples - 1, 0.975)) * error
        return Estimate(value, value - half, value + half)

    def _error(self, drawn: NDArray[np.float64]) -> float:
        """The standard error; NaN for a single sample, and where too many draws have no value."""
        finite = drawn[np.isfinite(drawn)]
        if self.samples < 2 or finite.size < (1 - MOST_UNDEFINED) * drawn.size:
            return math.nan
        return float(finite.std(ddof=1)) * math.sqrt(self.samples / (self.samples - 1))
