"""Fidelity of outputs: the numbers are what their formulas say, and broken outputs never look good."""

from __future__ import annotations

import math

import numpy as np
import pytest
from edgeworthy.verdicts.fidelity import agreement, in_top_k, max_difference, sqnr_db, top1
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

#: scipy is imported on first use, and the machine may be busy.
UNHURRIED = settings(deadline=None)
SCORES = arrays(
    np.float32,
    st.tuples(st.integers(1, 30), st.integers(2, 8)),
    elements=st.sampled_from(np.linspace(-1, 1, 9, dtype=np.float32)),  # few values, so that ties are common
)


def varied(samples: int = 30, classes: int = 4) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((samples, classes)).astype(np.float32)


def test_sqnr_of_a_tenth_is_20_db():
    """Noise of a tenth of the signal's amplitude is 20 dB below it."""
    reference = varied()
    assert sqnr_db(reference, reference * np.float32(1.1)) == pytest.approx(20, abs=1e-4)


def test_sqnr_at_the_extremes():
    """Equal outputs have no noise; noise without signal is infinitely bad; NaN stays NaN, which no limit passes."""
    ones, zeros = np.ones((2, 3), np.float32), np.zeros((2, 3), np.float32)
    assert sqnr_db(ones, ones) == math.inf
    assert sqnr_db(zeros, ones) == -math.inf
    assert math.isnan(sqnr_db(ones, ones * np.nan))
    assert math.isnan(max_difference(ones * np.inf, ones * np.inf))


@UNHURRIED
@given(SCORES, st.sampled_from([-4.0, 0.125, 2.0]), st.integers(0, 2**32 - 1))
def test_sqnr_ignores_scale_and_order(reference: np.ndarray, factor: float, seed: int):
    """Scaling both sides or permuting the samples changes nothing; the largest difference scales along."""
    candidate = reference + np.float32(0.25) * np.roll(reference, 1) + np.float32(0.125)
    order = np.random.default_rng(seed).permutation(len(reference))
    scaled, moved = (reference * factor, candidate * factor), (reference[order], candidate[order])
    assert sqnr_db(*scaled) == pytest.approx(sqnr_db(reference, candidate))
    assert sqnr_db(*moved) == pytest.approx(sqnr_db(reference, candidate))
    assert max_difference(*scaled) == pytest.approx(abs(factor) * max_difference(reference, candidate))


@pytest.mark.parametrize("compare", [sqnr_db, max_difference, agreement])
def test_unlike_shapes_are_refused(compare):
    """Outputs of different shapes raise; nothing is broadcast."""
    with pytest.raises(ValueError, match=r"\(4, 3\).*\(1, 3\)"):
        compare(np.zeros((4, 3)), np.zeros((1, 3)))


def test_top1():
    """Ties go to the lowest class index; NaN is no prediction."""
    assert top1(np.array([[0, 2, 1], [1, 0, 1], [np.nan, 5, 1]])).tolist() == [1, 0, -1]


@UNHURRIED
@given(SCORES, st.integers(1, 8), st.data())
def test_top_k_counts_higher_scores(values: np.ndarray, k: int, data: st.DataObject):
    """A label counts if fewer than k classes stand before it in a stable order from the best score down."""
    samples, classes = values.shape
    labels = data.draw(arrays(np.int64, samples, elements=st.integers(0, classes - 1)))
    ranked = np.argsort(-values, axis=1, kind="stable")
    expected = [label in row[:k] for row, label in zip(ranked, labels, strict=True)]
    assert in_top_k(values, labels, k).tolist() == expected


@given(SCORES)
def test_top1_equals_argmax(values: np.ndarray):
    """Also where scores tie, as coarsely quantized ones do, a sample is right as a device's argmax would be."""
    assert in_top_k(values, top1(values), 1).all()


@pytest.mark.parametrize(("value", "right"), [(0.0, 10), (0.25, 10), (np.nan, 0)])
def test_constant_outputs_are_right_by_chance_at_best(value: float, right: int):
    """A constant output predicts one class: right for its samples alone, and never where it is NaN."""
    labels = np.arange(40) % 4
    assert in_top_k(np.full((40, 4), value, np.float32), labels, 1).sum() == right


def test_nan_ranks_first():
    """A NaN beside the label pushes it down; a NaN at the label is wrong even with k = classes."""
    values = np.array([[np.nan, 3, 1], [np.nan, 3, 1], [3, np.nan, np.nan]])
    assert in_top_k(values, np.array([1, 0, 0]), 1).tolist() == [False, False, False]
    assert in_top_k(values, np.array([1, 0, 0]), 2).tolist() == [True, False, False]
    assert in_top_k(values, np.array([1, 0, 0]), 3).tolist() == [True, False, True]


@pytest.mark.parametrize(("labels", "k"), [([0, 3], 1), ([-1, 0], 1), ([0], 1), ([0, 1], 0)])
def test_labels_must_fit_the_outputs(labels: list[int], k: int):
    """Labels beyond the classes, negative or too few, and k = 0, raise rather than index something else."""
    with pytest.raises(ValueError, match="labels from 0 to 2"):
        in_top_k(np.eye(2, 3), np.array(labels), k)


@UNHURRIED
@given(SCORES)
def test_agreement_with_itself_is_100_percent(values: np.ndarray):
    """Outputs agree with themselves, ties included."""
    estimate = agreement(values, values)
    assert (estimate.value, estimate.high) == (100, 100)


def test_agreement_counts_equal_predictions():
    """Three of four equal predictions are 75 %; NaN on both sides is not agreement."""
    reference = np.eye(4)
    candidate = reference[[0, 1, 2, 0]]
    assert agreement(reference, candidate).value == 75
    assert agreement(reference * np.nan, reference * np.nan).value == 0
