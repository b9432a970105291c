"""Percentiles of latency: numpy's point, an interval that knows that samples of one load are alike."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from edgeworthy.records import Estimate
from edgeworthy.statistics import percentiles
from edgeworthy.statistics.percentiles import mean, over_loads, percentile
from hypothesis import given, settings
from hypothesis import strategies as st

#: scipy is imported on first use, and the machine may be busy.
UNHURRIED = settings(deadline=None)
QUANTILES = st.sampled_from([0, 10, 50, 90, 95, 99, 100])


@st.composite
def timings(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    sizes = draw(st.lists(st.integers(1, 12), min_size=3, max_size=6))
    samples = draw(st.lists(st.integers(1, 10**9), min_size=sum(sizes), max_size=sum(sizes)))
    return np.array(samples), np.repeat(np.arange(len(sizes)), sizes)


def clustered(rng: np.random.Generator, loads: int, each: int, between: float, within: float) -> np.ndarray:
    """Log-normal samples around 1 ms whose loads differ by ``between`` and whose samples by ``within``."""
    offset = np.repeat(between * rng.standard_normal(loads), each)
    return 1e6 * np.exp(offset + within * rng.standard_normal(loads * each))


@UNHURRIED
@given(timings(), QUANTILES)
def test_point_is_numpys_and_the_interval_holds_it(timing: tuple[np.ndarray, np.ndarray], q: float):
    """The value is np.percentile of all samples, the interval lies around it and within the data."""
    samples, load_of = timing
    estimate = percentile(samples, load_of, q)
    assert estimate.value == np.percentile(samples, q)
    assert samples.min() <= estimate.low <= estimate.value <= estimate.high <= samples.max()


@UNHURRIED
@given(timings())
def test_mean_is_numpys_and_the_interval_holds_it(timing: tuple[np.ndarray, np.ndarray]):
    """The value is np.mean of all samples; the interval lies around it and within the means of the loads."""
    samples, load_of = timing
    estimate = mean(samples, load_of)
    means = [samples[load_of == load].mean() for load in np.unique(load_of)]
    assert estimate.value == np.mean(samples)
    assert min(means) <= estimate.low * (1 + 1e-9)
    assert estimate.low <= estimate.value <= estimate.high <= max(means) * (1 + 1e-9)


@UNHURRIED
@given(timings(), QUANTILES, st.integers(0, 2**32 - 1))
def test_order_of_samples_does_not_matter(timing: tuple[np.ndarray, np.ndarray], q: float, seed: int):
    """Shuffling the samples with their loads gives the same estimate, bit for bit."""
    samples, load_of = timing
    order = np.random.default_rng(seed).permutation(samples.size)
    assert percentile(samples[order], load_of[order], q) == percentile(samples, load_of, q)


@UNHURRIED
@given(timings(), QUANTILES, st.sampled_from([2, 7, 1000]))
def test_scaling_the_samples_scales_the_estimate(timing: tuple[np.ndarray, np.ndarray], q: float, factor: int):
    """Another unit of time scales value and interval."""
    samples, load_of = timing
    one, scaled = percentile(samples, load_of, q), percentile(samples * factor, load_of, q)
    assert (scaled.low, scaled.high) == pytest.approx((factor * one.low, factor * one.high))


@settings(UNHURRIED, max_examples=20)
@given(timings(), QUANTILES)
def test_resamples_are_np_percentile_of_whole_loads(timing: tuple[np.ndarray, np.ndarray], q: float):
    """The bisection gives what np.percentile gives of the loads put together one by one, also for unequal loads."""
    samples, load_of = timing
    loads = load_of.max() + 1
    drawn = np.random.default_rng(percentiles.SEED).multinomial(loads, [1 / loads] * loads, percentiles.RESAMPLES)
    quick = percentiles._resampled(samples, load_of, q)
    for times, value in list(zip(drawn, quick, strict=True))[:100]:
        assert value == pytest.approx(np.percentile(np.repeat(samples, times[load_of]), q))


def test_few_loads_have_no_interval():
    """Two loads say nothing about how much loads differ."""
    samples = np.arange(1, 101)
    assert percentile(samples, np.arange(100) % 2, 50) == Estimate(50.5, None, None)
    assert over_loads(np.array([3, 5])) == Estimate(4.0, None, None)


@pytest.mark.parametrize(("samples", "loads"), [(0, 0), (3, 2)])
def test_samples_without_load_are_refused(samples: int, loads: int):
    """Empty or unequal arrays raise."""
    with pytest.raises(ValueError, match="every sample needs its load"):
        percentile(np.ones(samples), np.ones(loads, int), 50)
    with pytest.raises(ValueError, match="every sample needs its load"):
        mean(np.ones(samples), np.ones(loads, int))


def test_samples_of_one_load_are_not_independent():
    """Where only loads differ, 400 samples of each are no more evidence than one of each."""
    per_load = np.array([100, 104, 98, 107, 95, 101, 99, 110, 103, 97])
    many = percentile(np.repeat(per_load, 400), np.repeat(np.arange(10), 400), 50)
    assert (many.low, many.high) == pytest.approx((over_loads(per_load).low, over_loads(per_load).high), abs=1)


@pytest.mark.parametrize(
    ("between", "within", "q", "least"), [(0.05, 0.05, 50, 0.92), (0.02, 0.1, 50, 0.92), (0.02, 0.1, 95, 0.88)]
)
def test_interval_over_clustered_samples_covers(between: float, within: float, q: float, least: float):
    """With 10 loads of 40 samples the interval holds the true percentile about as often as it says.

    Measured in 1,000 trials: 95.0, 95.0 and 93.2 % (plain percentile intervals: 90.2, 90.4 and 89.6 %). The tail of
    strongly unlike loads is harder: p95 at (0.05, 0.05) only 80.8 %, which the module's docstring admits.
    """
    rng, load_of = np.random.default_rng(7), np.repeat(np.arange(10), 40)
    truth = 1e6 * math.exp(math.hypot(between, within) * NormalDist().inv_cdf(q / 100))
    estimates = [percentile(clustered(rng, 10, 40, between, within), load_of, q) for _ in range(500)]
    assert np.mean([each.low <= truth <= each.high for each in estimates]) >= least


def test_interval_of_the_mean_covers():
    """With 10 loads the interval holds the true mean in at least 92 % of 500 trials."""
    rng, load_of = np.random.default_rng(7), np.repeat(np.arange(10), 40)
    truth = 1e6 * math.exp((0.05**2 + 0.05**2) / 2)
    estimates = [mean(clustered(rng, 10, 40, 0.05, 0.05), load_of) for _ in range(500)]
    assert np.mean([each.low <= truth <= each.high for each in estimates]) >= 0.92


def test_interval_over_loads_covers():
    """The median of 10 skewed per-load numbers is held in at least 92 % of 1,000 trials (measured: 96.4 %)."""
    rng = np.random.default_rng(3)
    estimates = [over_loads(rng.exponential(size=10)) for _ in range(1000)]
    assert np.mean([each.low <= math.log(2) <= each.high for each in estimates]) >= 0.92
