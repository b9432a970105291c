"""How the times of a cell are distributed on both sides, in the same bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.cells import CellId
from edgeworthy.reports.compare.sides import OneSide

#: Bars, and up to which percentile of each side they reach: a few late samples would hide all else.
BARS, LATEST = 24, 99.5


@dataclass(frozen=True)
class Spread:
    """How many times of each side are in each of BARS bars of equal width from ``low_ms`` to ``high_ms``, and how many later.

    ``what`` says what a time is: a single inference, or the median or mean of a reload where a side has no more.
    """

    what: str
    low_ms: float
    high_ms: float
    before: tuple[int, ...]
    after: tuple[int, ...]
    later: tuple[int, int]


def spread_of(cell: CellId, before: OneSide, after: OneSide) -> Spread | None:
    """That of a cell that both sides have times of; None of another."""
    timings = before.timing(cell), after.timing(cell)
    if all(timing is not None and timing.statistic == "inference" for timing in timings):
        return _spread("inference", [timing.samples_ns for timing in timings if timing])
    sides = [side.snapshots[cell] for side in (before, after) if cell in side.snapshots]
    loads = [side.latency_loads_ns for side in sides]
    if len(loads) < 2 or not all(each.size for each in loads) or sides[0].statistic != sides[1].statistic:
        return None
    return _spread(f"{sides[0].statistic} of a reload", loads)


def _spread(what: str, times_ns: Sequence[NDArray[np.int64]]) -> Spread:
    low = min(int(times.min()) for times in times_ns)
    high = max(float(np.percentile(times, LATEST)) for times in times_ns)
    high = high if high > low else low + 1.0
    counts = [tuple(np.histogram(times, BARS, (low, high))[0].tolist()) for times in times_ns]
    before, after = (int((times > high).sum()) for times in times_ns)
    return Spread(what, low / 1e6, high / 1e6, counts[0], counts[1], (before, after))


def drawn(spread: Spread | None) -> dict[str, Any] | None:
    """As plain data for a page."""
    if spread is None:
        return None
    sides = {"before": spread.before, "after": spread.after}
    return {"what": spread.what, "low": spread.low_ms, "high": spread.high_ms, "later": spread.later, **sides}
