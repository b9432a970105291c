"""The sequential test keeps its error rate however often it looks, and sees what it must."""

from __future__ import annotations

import math

import numpy as np
import pytest
from edgeworthy.measurements.interleaved import BLOCK, FIRST_ROUNDS, GROWTH
from edgeworthy.records import Conditions, PairedTiming
from edgeworthy.statistics.sequential import ERROR_RATE, decided, slowdown

TRIALS = 2000
TOLERANCE = 2.5
CONDITIONS = Conditions({}, {}, {})


def comparison(
    random: np.random.Generator, percent: float, spread: float, bursts: float, most_rounds: int
) -> PairedTiming:
    """A simulated comparison: log-normal rounds, some of them hit by a burst of noise ten times as large."""
    ratios, wanted, look = np.empty(0), FIRST_ROUNDS, 0
    while True:
        count = math.ceil((wanted - len(ratios)) / BLOCK) * BLOCK
        drawn = random.normal(math.log1p(percent / 100), spread, count)
        drawn += np.where(random.random(count) < bursts, random.normal(0, 10 * spread, count), 0)
        ratios, look = np.concatenate([ratios, drawn]), look + 1
        if decided(ratios, look, TOLERANCE) or len(ratios) >= most_rounds:
            break
        wanted = math.ceil(len(ratios) * GROWTH)
    baseline = np.full(len(ratios), 10**9)
    return PairedTiming(baseline, np.rint(baseline * np.exp(ratios)).astype(np.int64), look, 1.0, CONDITIONS)


def share(percent: float, bursts: float = 0.0, trials: int = TRIALS, conclusive: bool = False) -> float:
    """The share of simulated comparisons that find a regression (conclusively)."""
    random = np.random.default_rng(7)
    found = [slowdown(comparison(random, percent, 0.03, bursts, 100), TOLERANCE) for _ in range(trials)]
    return sum(one.regressed and (one.evidence == "conclusive" or not conclusive) for one in found) / trials


@pytest.mark.parametrize("bursts", [0.0, 0.1])
def test_equal_artifacts_are_not_flagged(bursts: float):
    """At no slowdown at all, hardly one of 2,000 comparisons finds one, with and without bursts of noise."""
    assert share(0.0, bursts) <= 0.001


@pytest.mark.parametrize("bursts", [0.0, 0.1])
def test_error_rate_is_kept_at_the_tolerance(bursts: float):
    """A slowdown of just the tolerance is conclusively above it no more often than the error rate, over all looks."""
    assert share(TOLERANCE, bursts, conclusive=True) <= ERROR_RATE / 2 + 0.006  # two standard errors of 2,000 trials


def test_twice_the_tolerance_is_found():
    """A slowdown of twice the tolerance is found nearly always, and conclusively."""
    assert share(2 * TOLERANCE, 0.1, trials=300, conclusive=True) >= 0.99


def test_improvement_is_no_regression():
    """A faster candidate is never flagged; its slowdown is negative and its interval holds the truth."""
    random = np.random.default_rng(3)
    found = slowdown(comparison(random, -10, 0.01, 0.0, 60), TOLERANCE)
    assert not found.regressed
    assert found.percent.low < -10 < found.percent.high
    assert found.evidence == "conclusive"


def test_one_outlier_round_decides_nothing():
    """A single round that is 50 times slower (another process woke up) does not move the verdict."""
    baseline = np.full(24, 10**6)
    candidate = np.random.default_rng(0).normal(1e6, 1e3, 24).astype(np.int64)
    candidate[5] *= 50
    assert not slowdown(PairedTiming(baseline, candidate, 1, 1.0, CONDITIONS), TOLERANCE).regressed
