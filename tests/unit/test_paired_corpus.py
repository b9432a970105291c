"""The paired bootstrap of metrics over all samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from edgeworthy.statistics.paired_corpus import PairedCorpus
from edgeworthy.statistics.paired_scores import PairedScores
from edgeworthy.tasks.corpus import DRAWS, Corpus
from edgeworthy.tasks.task import Measure, mean_of, of_sums
from hypothesis import given, settings
from hypothesis import strategies as st

MEAN = mean_of(lambda predictions, targets: predictions)
#: Errors over words, as a word error rate is.
RATE = of_sums(lambda predictions, targets: predictions, lambda sums: 100 * sums[:, 0] / sums[:, 1])


def corpus(measure: Measure, predictions: np.ndarray) -> Corpus:
    return Corpus(measure, measure.evidence(predictions, np.zeros(len(predictions))), len(predictions))


def pairs(measure: Measure, before: np.ndarray, after: np.ndarray, higher: bool = True) -> PairedCorpus:
    return PairedCorpus(corpus(measure, before), corpus(measure, after), higher)


@given(st.integers(0, 1000), st.integers(20, 300), st.booleans())
@settings(max_examples=20)
def test_a_mean_has_about_students_interval(seed: int, samples: int, higher: bool) -> None:
    """Where there is a formula, the bootstrap gives what it gives, up to its own error."""
    random = np.random.default_rng(seed)
    before, after = random.normal(5, 1, (2, samples))
    found, exact = pairs(MEAN, before, after, higher).drop(), PairedScores(before, after, higher).drop()
    assert found.value == pytest.approx(exact.value)
    assert found.low is not None
    assert exact.low is not None
    assert found.value - found.low == pytest.approx(exact.value - exact.low, rel=0.2)
    percent = pairs(MEAN, before, after, higher).drop_percent()
    assert percent.value == pytest.approx(100 * found.value / before.mean())


def test_equal_sides_lose_nothing_for_sure() -> None:
    counts = np.random.default_rng(0).integers(1, 9, size=(50, 2))
    same = pairs(RATE, counts, counts, higher=False)
    assert (same.drop().value, same.drop().low, same.drop().high) == (0, 0, 0)
    assert same.p() == 1
    assert same.samples_to_decide(1.0) == 2


def test_what_is_lost_has_the_sign_of_the_metric() -> None:
    """More errors are a loss where lower is better, and a gain where higher is."""
    counts = np.tile([1, 10], (30, 1))
    worse = counts + np.array([1, 0])
    assert pairs(RATE, counts, worse, higher=False).drop().value == pytest.approx(10)
    assert pairs(RATE, counts, worse, higher=True).drop().value == pytest.approx(-10)
    assert pairs(RATE, counts, worse, higher=False).p() == 0


def test_the_needed_samples_would_decide() -> None:
    """With as many samples of the same kind the interval clears the limit."""
    random = np.random.default_rng(2)
    before, after = random.normal(10, 2, 40), random.normal(9.7, 2, 40)
    limit = 1.0
    few = pairs(MEAN, before, after)
    needed = few.samples_to_decide(limit)
    assert needed is not None
    repeats = math.ceil(needed / 40) + 1
    many = pairs(MEAN, np.tile(before, repeats), np.tile(after, repeats)).drop()
    assert many.high is not None
    assert many.high < limit or (many.low or 0) > limit


def test_a_metric_that_many_draws_do_not_have_has_no_interval() -> None:
    """One sample alone has an object: a draw without it has no value."""
    counts = np.zeros((10, 2))
    counts[0] = [1, 2]
    with np.errstate(invalid="ignore"):
        found = pairs(RATE, counts, counts).value()
    assert found.value == 50
    assert found.low is None


def test_an_undefined_metric_stays_nan() -> None:
    counts = np.zeros((10, 2))
    with np.errstate(invalid="ignore"):
        assert math.isnan(pairs(RATE, counts, counts).value().value)


def test_a_single_sample_has_no_interval() -> None:
    found = pairs(MEAN, np.array([2.0]), np.array([1.0])).drop()
    assert (found.value, found.low) == (1, None)


def test_draws_are_the_same_for_everything_that_is_compared() -> None:
    values = np.random.default_rng(3).normal(size=500)
    assert np.array_equal(corpus(MEAN, values).drawn, corpus(MEAN, values).drawn)
    assert corpus(MEAN, values).drawn.shape == (DRAWS,)


def test_intervals_hold_the_true_drop_as_often_as_they_say() -> None:
    """A word error rate over 400 data sets; benchmarks/perf/coverage.py has more of them, and other metrics."""
    random = np.random.default_rng(4)
    held = 0
    for _ in range(400):
        words = random.integers(3, 20, size=120)
        before = random.binomial(words, 0.10)
        after = before + random.binomial(words - before, 0.02)
        found = pairs(RATE, np.stack([before, words], 1), np.stack([after, words], 1), higher=False).drop()
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 100 * 0.9 * 0.02 <= found.high
    assert 0.92 <= held / 400 <= 0.98
