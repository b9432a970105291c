"""Paired accuracy: the interval and the test are the published ones, and keep the coverage they claim."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from edgeworthy.records import Estimate
from edgeworthy.statistics.paired import PairedAccuracy, conclusive, share
from hypothesis import given, settings
from hypothesis import strategies as st

#: scipy is imported on first use, and the machine may be busy.
UNHURRIED = settings(deadline=None)


def pairs(only_reference: int, only_candidate: int, n: int, both: int = 0) -> PairedAccuracy:
    return PairedAccuracy(n, both + only_reference, both + only_candidate, only_reference, only_candidate)


def grid_interval(b: int, c: int, n: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """The drops, in percentage points, that a score test does not reject, by brute force: likelihood and test on fine grids."""
    kept = []
    for drop in np.arange(-0.9995, 1, 0.001):
        p_c = np.linspace(max(0, -drop), (1 - drop) / 2, 4001)[1:-1]
        likelihood = b * np.log(p_c + drop) + c * np.log(p_c) + (n - b - c) * np.log1p(-2 * p_c - drop)
        best = p_c[likelihood.argmax()]
        if (b - c - n * drop) ** 2 <= z**2 * n * (2 * best + drop - drop**2):
            kept.append(100 * drop)
    return kept[0], kept[-1]


@st.composite
def any_pairs(draw: st.DrawFn) -> PairedAccuracy:
    n = draw(st.integers(1, 3000))
    b = draw(st.integers(0, n))
    c = draw(st.integers(0, n - b))
    return pairs(b, c, n, both=draw(st.integers(0, n - b - c)))


def test_counts_every_kind_of_pair():
    """`of` counts who is right where, and the percentages follow."""
    paired = PairedAccuracy.of(np.array([1, 1, 1, 0, 0], bool), np.array([1, 0, 0, 1, 0], bool))
    assert paired == PairedAccuracy(n=5, reference_correct=3, candidate_correct=2, only_reference=2, only_candidate=1)
    assert (paired.reference_percent, paired.candidate_percent, paired.drop_points) == (60, 40, 20)
    assert paired.error_ratio == 1.5


@pytest.mark.parametrize(("reference", "candidate"), [((3,), (4,)), ((0,), (0,)), ((2, 2), (2, 2)), ((1,), (3,))])
def test_unlike_or_empty_arrays_are_refused(reference: tuple[int, ...], candidate: tuple[int, ...]):
    """Arrays that cannot be paired raise; nothing is broadcast."""
    with pytest.raises(ValueError, match="equally long"):
        PairedAccuracy.of(np.ones(reference, bool), np.ones(candidate, bool))


@pytest.mark.parametrize(("reference", "candidate", "ratio"), [(995, 985, 3.0), (1000, 999, math.inf), (1000, 1000, 1)])
def test_error_ratio(reference: int, candidate: int, ratio: float):
    """99.5 -> 98.5 % triples the errors; a flawless reference makes any error infinitely many times as much."""
    assert PairedAccuracy(1000, reference, candidate, reference - candidate, 0).error_ratio == ratio


def test_published_example():
    """Airway hyper-responsiveness before and after stem cell transplantation, 21 children (1 and 7 discordant).

    Fagerland, Lydersen and Laake, Statistics in Medicine 33 (2014) 2850-2875: Tango's interval -0.517 to -0.026;
    McNemar's exact test 2 (1 + 8) / 2^8.
    """
    paired = pairs(1, 7, 21, both=1)
    interval = paired.drop_interval()
    assert (interval.low, interval.high) == (pytest.approx(-51.7, abs=0.05), pytest.approx(-2.6, abs=0.05))
    assert paired.mcnemar_p() == pytest.approx(18 / 256)


@pytest.mark.parametrize(("b", "c", "n"), [(1, 7, 21), (12, 5, 60), (30, 10, 797), (3, 0, 40), (0, 1, 44)])
def test_interval_inverts_the_score_test(b: int, c: int, n: int):
    """The interval holds just the drops that a score test on brute-force likelihoods keeps."""
    interval = pairs(b, c, n).drop_interval()
    assert (interval.low, interval.high) == pytest.approx(grid_interval(b, c, n), abs=0.15)


@UNHURRIED
@given(st.integers(1, 5000))
def test_interval_at_the_edges(n: int):
    """No discordant pair, or nothing else: the closed forms z^2 / (n + z^2) and (n - z^2) / (n + z^2)."""
    z2 = 1.959963984540054**2
    none, all_lost, all_won = (pairs(b, c, n).drop_interval() for b, c in ((0, 0), (n, 0), (0, n)))
    width, least = 100 * z2 / (n + z2), 100 * (n - z2) / (n + z2)
    assert (none.value, none.low, none.high) == (0, pytest.approx(-width), pytest.approx(width))
    assert (all_lost.low, all_lost.high) == (pytest.approx(least), 100)
    assert (all_won.low, all_won.high) == (-100, pytest.approx(-least))


@UNHURRIED
@given(any_pairs())
def test_interval_contains_the_drop_and_swapping_negates_it(paired: PairedAccuracy):
    """The interval lies around its point within -100 and 100, and the sides are treated alike."""
    interval = paired.drop_interval()
    swapped = pairs(paired.only_candidate, paired.only_reference, paired.n).drop_interval()
    assert -100 <= interval.low <= interval.value <= interval.high <= 100
    assert (swapped.low, swapped.high) == pytest.approx((-interval.high, -interval.low), abs=1e-6)


@UNHURRIED
@given(any_pairs())
def test_more_confidence_is_wider(paired: PairedAccuracy):
    """A 99 % interval holds the 95 % one."""
    wide, narrow = paired.drop_interval(0.99), paired.drop_interval()
    assert wide.low <= narrow.low
    assert wide.high >= narrow.high


@UNHURRIED
@given(any_pairs())
def test_mcnemar_is_a_symmetric_probability(paired: PairedAccuracy):
    """p lies in 0 to 1, is 1 where the sides are even, and does not care which side is which."""
    p = paired.mcnemar_p()
    assert 0 <= p <= 1
    assert p == pytest.approx(pairs(paired.only_candidate, paired.only_reference, paired.n).mcnemar_p())
    if paired.only_reference == paired.only_candidate:
        assert p == 1


@pytest.mark.parametrize(("b", "c"), [(5, 0), (10, 2), (8, 6), (1, 0)])
def test_mcnemar_is_the_sum_of_binomial_terms(b: int, c: int):
    """The exact test is twice the smaller tail of a fair coin."""
    tail = sum(math.comb(b + c, k) for k in range(min(b, c) + 1)) / 2 ** (b + c)
    assert pairs(b, c, 100).mcnemar_p() == pytest.approx(min(1.0, 2 * tail))


@UNHURRIED
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_order_of_samples_does_not_matter(samples: list[tuple[bool, bool]], random):
    """Shuffling the samples changes nothing."""
    shuffled = random.sample(samples, len(samples))
    one, other = (PairedAccuracy.of(*np.array(each).T) for each in (samples, shuffled))
    assert one == other


@cache
def drop_interval(b: int, c: int, n: int) -> Estimate:
    return pairs(b, c, n).drop_interval()


@pytest.mark.parametrize(("p_b", "p_c"), [(0.02, 0.02), (0.03, 0.01), (0.01, 0.005), (0.06, 0.02)])
def test_interval_has_its_nominal_coverage(p_b: float, p_c: float):
    """95 +- 1.5 % of 2,000 simulated studies of 797 samples cover the truth.

    Measured here 95.7, 95.3, 95.9, 95.5 %; exactly, summed over all outcomes, 94.9, 94.9, 95.2, 95.1 %. Rarer
    discordant pairs err on the safe side: 97.9 % at (0.003, 0.001).
    """
    studies = np.random.default_rng(1).multinomial(797, [p_b, p_c, 1 - p_b - p_c], 2000)
    intervals = [drop_interval(int(b), int(c), 797) for b, c, _ in studies]
    covered = np.mean([each.low <= 100 * (p_b - p_c) <= each.high for each in intervals])
    assert covered == pytest.approx(0.95, abs=0.015)


@UNHURRIED
@given(any_pairs(), st.sampled_from([-2.0, 0.0, 0.5, 1.0, 3.0]))
def test_samples_to_decide_agrees_with_the_interval(paired: PairedAccuracy, limit: float):
    """No more samples are needed just where the evidence is conclusive; no number of them decides a tie."""
    needed, interval = paired.samples_to_decide(limit), paired.drop_interval()
    if paired.drop_points == limit:
        assert needed is None
    elif min(abs(interval.low - limit), abs(interval.high - limit)) > 1e-6:  # elsewhere rounding decides
        assert (needed <= paired.n) == conclusive(interval, limit, "max")


def test_samples_to_decide_would_decide():
    """That many samples with the same shares of discordant pairs clear the limit, nine tenths of them do not."""
    paired = pairs(12, 6, 797)
    needed = paired.samples_to_decide(1.0)
    for factor, decided in ((needed / 797 * 1.01, True), (needed / 797 * 0.9, False)):
        scaled = PairedAccuracy(math.ceil(797 * factor), 0, 0, 12 * factor, 6 * factor)
        assert conclusive(scaled.drop_interval(), 1.0, "max") is decided


@UNHURRIED
@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_share_contains_its_point(counts: tuple[int, int]):
    """A share and its interval lie within 0 and 100 %; what is not hit mirrors it."""
    hits, n = counts
    estimate, mirrored = share(hits, n), share(n - hits, n)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 100
    assert (mirrored.low, mirrored.high) == pytest.approx((100 - estimate.high, 100 - estimate.low))


def test_share_by_wilson():
    """Newcombe, Statistics in Medicine 17 (1998) 857-872, table I: 81 of 263 is 0.2553 to 0.3662 by Wilson's score."""
    estimate = share(81, 263)
    assert (estimate.low, estimate.high) == (pytest.approx(25.53, abs=0.005), pytest.approx(36.62, abs=0.005))


@pytest.mark.parametrize(("hits", "n"), [(0, 0), (3, 2), (-1, 2)])
def test_impossible_shares_are_refused(hits: int, n: int):
    """A share of nothing, or of more than there is, raises."""
    with pytest.raises(ValueError, match="no share"):
        share(hits, n)


@pytest.mark.parametrize(
    ("low", "high", "side", "expected"),
    [
        (0.0, 0.9, "max", True),
        (0.0, 1.0, "max", True),  # touching from the passing side
        (0.5, 1.5, "max", False),
        (1.0, 1.5, "max", False),  # 1.0 itself would pass
        (1.1, 1.5, "max", True),
        (1.1, 1.5, "min", True),
        (1.0, 1.5, "min", True),
        (0.5, 1.0, "min", False),
        (0.5, 0.9, "min", True),
        (None, None, "max", False),
    ],
)
def test_conclusive(low: float | None, high: float | None, side, expected: bool):
    """Evidence is conclusive where every number in the interval would give the point's verdict."""
    value = 0.0 if low is None else (low + high) / 2
    assert conclusive(Estimate(value, low, high), 1.0, side) is expected
