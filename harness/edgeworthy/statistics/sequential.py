"""Is the candidate slower? A sequential test on two artifacts that were timed interleaved (A/B).

Each round gives the logarithm of candidate over baseline. Their trimmed mean has an interval (Yuen 1974) that a burst
of noise in a few rounds does not move. The evidence is looked at again and again while rounds are added; so that this
does not raise the error rate, look k gets the share 6 / (pi^2 k^2) of it, and all shares together are one (Bonferroni).

K. K. Yuen, The two-sample trimmed t for unequal population variances, Biometrika 61 (1974) 165-170.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeworthy.records import Estimate, Evidence, PairedTiming

#: Two-sided error rate of a whole comparison, however many looks it takes.
ERROR_RATE = 0.05
TRIMMED = 0.2


@dataclass(frozen=True)
class Slowdown:
    """Candidate over baseline, in percent slower (negative: faster), and the evidence against a tolerance."""

    percent: Estimate
    regressed: bool
    evidence: Evidence
    rounds: int


def interval(ratios: NDArray[np.float64], look: int) -> tuple[float, float, float]:
    """Trimmed mean of the log ratios and its interval at the ``look``-th look (from 1): point, low, high."""
    from scipy.stats import mstats, trim_mean  # here: takes a second to import

    alpha = ERROR_RATE * 6 / (math.pi**2 * look**2)
    low, high = mstats.trimmed_mean_ci(ratios, limits=(TRIMMED, TRIMMED), alpha=alpha)
    return float(trim_mean(ratios, TRIMMED)), float(low), float(high)


def decided(ratios: NDArray[np.float64], look: int, tolerance_percent: float) -> bool:
    """Whether the whole interval lies on one side of the tolerance."""
    _, low, high = interval(ratios, look)
    limit = math.log1p(tolerance_percent / 100)
    return low > limit or high <= limit


def slowdown(timing: PairedTiming, tolerance_percent: float) -> Slowdown:
    """The verdict on what was timed.

    Regressed is an effect above the tolerance with evidence against noise: the interval lies above zero. Conclusive is
    an interval that lies on one side of the tolerance as a whole.
    """
    ratios = log_ratios(timing.baseline_ns, timing.candidate_ns)
    point, low, high = interval(ratios, timing.looks)
    limit = math.log1p(tolerance_percent / 100)
    return Slowdown(
        percent=Estimate(*(100 * math.expm1(value) for value in (point, low, high))),
        regressed=point > limit and low > 0,
        evidence="conclusive" if low > limit or high <= limit else "inconclusive",
        rounds=len(ratios),
    )


def log_ratios(baseline_ns: NDArray[np.int64], candidate_ns: NDArray[np.int64]) -> NDArray[np.float64]:
    """The logarithm of candidate over baseline, one per round."""
    ratios: NDArray[np.float64] = np.log(candidate_ns / baseline_ns)
    return ratios
