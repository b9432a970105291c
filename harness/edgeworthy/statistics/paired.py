"""Accuracy in pairs: a variant against its reference on the same samples, and what counts as evidence.

Two accuracies measured on the same samples share most of their luck. What tells them apart are the samples on which
only one of the two is right, so the interval and the test below look at those alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgeworthy.records import Estimate

Side = Literal["max", "min"]


@dataclass(frozen=True)
class PairedAccuracy:
    """How many of ``n`` samples reference and candidate got right: each, and only one of them (discordant pairs)."""

    n: int
    reference_correct: int
    candidate_correct: int
    only_reference: int
    only_candidate: int

    @classmethod
    def of(cls, reference_correct: NDArray[np.bool_], candidate_correct: NDArray[np.bool_]) -> PairedAccuracy:
        """Count the pairs of two arrays of shape (samples,). Raises ValueError if empty or unlike in length."""
        reference, candidate = np.asarray(reference_correct, bool), np.asarray(candidate_correct, bool)
        if reference.shape != candidate.shape or reference.ndim != 1 or reference.size == 0:
            raise ValueError(f"pairs need two equally long arrays, not shapes {reference.shape} and {candidate.shape}")
        return cls(
            n=reference.size,
            reference_correct=int(reference.sum()),
            candidate_correct=int(candidate.sum()),
            only_reference=int((reference & ~candidate).sum()),
            only_candidate=int((candidate & ~reference).sum()),
        )

    @property
    def reference_percent(self) -> float:
        """Accuracy of the reference."""
        return 100.0 * self.reference_correct / self.n

    @property
    def candidate_percent(self) -> float:
        """Accuracy of the candidate."""
        return 100.0 * self.candidate_correct / self.n

    @property
    def drop_points(self) -> float:
        """Accuracy lost in percentage points; negative where the candidate is the better one."""
        return 100.0 * (self.only_reference - self.only_candidate) / self.n

    @property
    def error_ratio(self) -> float:
        """The candidate's errors over the reference's; infinite if only the candidate errs, 1.0 if neither does."""
        reference, candidate = self.n - self.reference_correct, self.n - self.candidate_correct
        if reference == 0:
            return math.inf if candidate else 1.0
        return candidate / reference

    def drop_interval(self, confidence: float = 0.95) -> Estimate:
        """The drop in percentage points with Tango's asymptotic score interval; it has a width even where no pair is discordant.

        T. Tango, Equivalence test and confidence interval for the difference in proportions for the paired-sample
        design, Statistics in Medicine 17 (1998) 891-908.
        """
        z, point = _z(confidence), (self.only_reference - self.only_candidate) / self.n

        def excess(drop: float) -> float:
            # Has the roots of |score| = z, but stays within -1 and 1 where the variance vanishes.
            distance, variance = self._score(drop)
            if distance == 0:
                return -1.0
            return (distance**2 - z**2 * variance) / (distance**2 + z**2 * variance)

        low, high = (100.0 * _root(excess, point, end) for end in (-1.0, 1.0))
        return Estimate(self.drop_points, min(low, self.drop_points), max(high, self.drop_points))

    def mcnemar_p(self) -> float:
        """Two-sided p-value of McNemar's exact test: the discordant pairs fall on either side like a fair coin."""
        discordant = self.only_reference + self.only_candidate
        if discordant == 0:
            return 1.0
        from scipy.special import bdtr  # here: slow to import, though scipy.stats is three times slower

        return min(1.0, 2 * float(bdtr(min(self.only_reference, self.only_candidate), discordant, 0.5)))

    def samples_to_decide(self, limit_points: float, confidence: float = 0.95) -> int | None:
        """About how many samples like these make the drop's interval clear the limit; None if the drop equals it.

        The limit lies within -100 and 100 pp. The result is at most ``n`` where the evidence is conclusive already.
        With the shares of discordant pairs held, the score at the limit grows as sqrt(n): solved for score = z.
        """
        if self.drop_points == limit_points:
            return None
        distance, variance = self._score(limit_points / 100.0)
        return max(1, math.ceil(self.n * _z(confidence) ** 2 * variance / distance**2))

    def _score(self, drop: float) -> tuple[float, float]:
        """Tango's score statistic under a true ``drop`` (-1 to 1): its numerator and the numerator's variance.

        ``constrained`` is the closed-form maximum likelihood estimate, given the drop, of the probability that only
        the candidate is right (q21 in his paper).
        """
        b, c, n = self.only_reference, self.only_candidate, self.n
        linear = (2 * n - b + c) * drop - b - c
        constant = -c * drop * (1 - drop)
        constrained = (math.sqrt(max(0.0, linear**2 - 8 * n * constant)) - linear) / (4 * n)
        return b - c - n * drop, max(0.0, n * (2 * constrained + drop * (1 - drop)))


def share(hits: int, n: int, confidence: float = 0.95) -> Estimate:
    """``hits`` of ``n`` in percent with Wilson's score interval. Raises ValueError unless 0 <= hits <= n and n >= 1."""
    if not 0 <= hits <= n or n < 1:
        raise ValueError(f"no share: {hits} of {n}")
    part, pull = hits / n, _z(confidence) ** 2 / n
    center = (part + pull / 2) / (1 + pull)
    half = math.sqrt(pull * (part * (1 - part) + pull / 4)) / (1 + pull)
    value = 100.0 * part
    return Estimate(value, min(value, 100.0 * max(center - half, 0.0)), max(value, 100.0 * min(center + half, 1.0)))


def conclusive(estimate: Estimate, limit: float, side: Side) -> bool:
    """Whether the whole interval says what its point says of a limit: ``max`` passes at <= limit, ``min`` at >= limit.

    An interval that touches the limit from its passing side lies on that side. An estimate without an interval is no
    evidence here: who knows that a number is exact calls it exact.
    """
    if estimate.low is None or estimate.high is None:
        return False
    if side == "max":
        return estimate.high <= limit or estimate.low > limit
    return estimate.low >= limit or estimate.high < limit


def _z(confidence: float) -> float:
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def _root(function: Callable[[float], float], point: float, end: float) -> float:
    """Where ``function``, negative at ``point``, turns positive on the way to ``end``: to the last bit, by bisection."""
    below, above = point, end
    for _ in range(64):
        middle = (below + above) / 2
        below, above = (middle, above) if function(middle) < 0 else (below, middle)
    return above
