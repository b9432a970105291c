"""How times are distributed: how many of them are in each of some bars, of one series or of several in the same bars."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Bars, and up to which percentile of each series they reach: a few late times would hide all else.
BARS, LATEST = 24, 99.5


@dataclass(frozen=True)
class Histogram:
    """BARS bars of equal width from ``low_ms`` to ``high_ms``.

    ``counts`` has of each series how many times are in each bar, ``later`` how many are after the last.
    """

    low_ms: float
    high_ms: float
    counts: tuple[tuple[int, ...], ...]
    later: tuple[int, ...]

    def plain(self) -> dict[str, Any]:
        """As plain data for a page; it does not show times to more than six digits."""
        return {**vars(self), "low_ms": _shown(self.low_ms), "high_ms": _shown(self.high_ms)}


def histogram(*series_ns: NDArray[np.int64]) -> Histogram:
    """That of one or several series of times, none of which is empty."""
    ordered = [np.sort(times) for times in series_ns]
    low = min(int(times[0]) for times in ordered)
    high = max(float(np.percentile(times, LATEST)) for times in ordered)
    high = high if high > low else low + 1.0
    inner = np.linspace(low, high, BARS + 1)[1:-1]
    counts, later = zip(*(_counted(times, inner, high) for times in ordered), strict=True)
    return Histogram(low / 1e6, high / 1e6, counts, later)


def _counted(ordered: NDArray[np.int64], inner: NDArray[np.float64], high: float) -> tuple[tuple[int, ...], int]:
    """A bar has the times from its beginning on to before the next one's; the last one those at its end as well."""
    last = int(np.searchsorted(ordered, high, side="right"))
    ends = [0, *np.searchsorted(ordered, inner).tolist(), last]
    return tuple(end - begin for begin, end in pairwise(ends)), len(ordered) - last


def _shown(time_ms: float) -> float:
    return float(f"{time_ms:.6g}")
