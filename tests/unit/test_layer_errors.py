"""The arithmetic of layers' errors: shares, rounding, what is clipped, dead or to blame."""

from __future__ import annotations

import numpy as np
import pytest
from edgeworthy.diagnosis.graph import Range
from edgeworthy.diagnosis.layer_errors import LayerSums, decibels, rounded, shares_percent
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

FLOATS = arrays.arrays(np.float32, (1, 4, 3), elements=st.floats(-8, 8, width=32))
RANGES = st.builds(
    lambda low, step: Range(low, low + 255 * step, step), st.floats(-4, 0), st.sampled_from([0.001, 0.01, 0.125])
)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20))
def test_shares_are_percent_of_the_sum_and_keep_the_order(reached: list[float]) -> None:
    """They add up to 100, unless nothing arrives at all; the larger error has the larger share."""
    shares = shares_percent(reached)
    assert sum(shares) == pytest.approx(100 if sum(reached) > 0 else 0)
    assert shares[int(np.argmax(reached))] == max(shares)


@given(FLOATS, RANGES)
def test_rounding_stays_in_the_range_and_within_half_a_step(values: np.ndarray, held: Range) -> None:
    """What lies inside moves by half a step at most, what lies outside ends at the edge; a second time changes nothing."""
    found = rounded(values, held)
    assert (found >= held.low - 1e-6).all()
    assert (found <= held.high + 1e-6).all()
    inside = (values >= held.low) & (values <= held.high)
    assert (np.abs(found - values)[inside] <= held.step / 2 + 1e-5).all()
    assert np.allclose(rounded(found, held), found, atol=1e-6)


@given(FLOATS, RANGES)
def test_output_rounding_is_named_as_a_range_cause(values: np.ndarray, held: Range) -> None:
    """The cause is the range where the output is what rounding the float layer's own answer gives."""
    sums = LayerSums(held, -1, 1)
    found = rounded(values, held)
    sums.add(values, found, values, reached=[1.0])
    assert sums.cause == ("range" if np.square(found - values, dtype=np.float64).sum() > 0 else "weights")


def test_other_weights_are_named_as_the_cause() -> None:
    """Rounding explains a small part of the error only."""
    sums = LayerSums(Range(-1.28, 1.27, 0.01), -1, 1)
    values = np.linspace(-1, 1, 12, dtype=np.float32).reshape(1, 4, 3)
    sums.add(values, rounded(values * 0.5, Range(-1.28, 1.27, 0.01)), values, reached=[1.0])
    assert sums.cause == "weights"
    assert sums.added_sqnr_db == pytest.approx(6.0, abs=0.2)


@given(st.lists(FLOATS, min_size=1, max_size=4), RANGES)
def test_samples_add_up(samples: list[np.ndarray], held: Range) -> None:
    """Sample by sample gives what all at once gives, at each output by itself."""
    one, whole = LayerSums(held, -1, 2), LayerSums(held, -1, 2)
    for sample in samples:
        one.add(sample, rounded(sample, held), sample, reached=[1.0, 2.0])
    everything = np.concatenate(samples)
    whole.add(everything, rounded(everything, held), everything, reached=[1.0 * len(samples), 2.0 * len(samples)])
    assert one.saturated_percent == pytest.approx(whole.saturated_percent)
    assert (one.low, one.high, one.dead_channels, one.reached) == (
        whole.low,
        whole.high,
        whole.dead_channels,
        whole.reached,
    )
    assert one.sqnr_db == pytest.approx(whole.sqnr_db)


def test_clipped_values_and_dead_channels_are_counted() -> None:
    """A third of the values lies outside; of three channels one varies in float only, one nowhere."""
    floats = np.array([[0.1, 5.0, 2.0], [0.2, 6.0, 2.0]], np.float32)
    quantized = np.array([[0.0, 1.0, 2.0], [0.0, 3.0, 2.0]], np.float32)
    sums = LayerSums(Range(0, 2.55, 0.01), -1, 1)
    sums.add(floats, quantized, floats, reached=[0.0])
    assert sums.saturated_percent == pytest.approx(100 / 3)
    assert (sums.dead_channels, sums.channels) == (1, 3)


@pytest.mark.parametrize(("signal", "noise", "db"), [(100, 1, 20), (1, 0, None), (0, 1, -200), (1, 1e300, -200)])
def test_decibels(signal: float, noise: float, db: float | None) -> None:
    """None where there is no noise; never below -200."""
    assert decibels(signal, noise) == db


def test_nan_is_the_largest_error_and_no_crash() -> None:
    """A layer whose quantized output is NaN has the worst ratio there is."""
    values = np.ones((1, 2), np.float32)
    sums = LayerSums(None, -1, 1)
    sums.add(values, np.full((1, 2), np.nan, np.float32), values, reached=[1.0])
    assert sums.sqnr_db == -200
