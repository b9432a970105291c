"""How times are distributed in bars: the same for all series, with none lost."""

from __future__ import annotations

import numpy as np
from edgeworthy.reports.histogram import BARS, histogram

NUMBERS = np.random.default_rng(0)


def times(middle: float, count: int) -> np.ndarray:
    return NUMBERS.lognormal(np.log(middle), 0.1, count).astype(np.int64)


def test_series_share_bars_and_no_time_is_lost() -> None:
    """Counts are those of numpy's histogram up to the later end; what is beyond is counted by itself."""
    series = [times(1e6, 2000), times(2e6, 500)]
    found = histogram(*series)
    ends = (found.low_ms * 1e6, found.high_ms * 1e6)
    assert ends[0] == min(own.min() for own in series)
    for own, counts, later in zip(series, found.counts, found.later, strict=True):
        assert list(counts) == np.histogram(own, BARS, ends)[0].tolist()
        assert sum(counts) + later == len(own)
    assert found.later == (0, 3)  # half a percent of the slower series, rounded up


def test_equal_times_are_in_one_bar() -> None:
    """A clock may be so coarse; one time is enough."""
    for count in (1, 9):
        found = histogram(np.full(count, 5_000_000))
        assert found.counts == ((count, *[0] * (BARS - 1)),)
        assert (found.low_ms, found.later) == (5.0, (0,))
        assert found.high_ms > found.low_ms


def test_page_has_six_digits() -> None:
    """More are none that a clock has."""
    plain = histogram(np.array([1_234_567_890, 2_345_678_901])).plain()
    assert (plain["low_ms"], plain["high_ms"]) == (1234.57, 2340.12)
