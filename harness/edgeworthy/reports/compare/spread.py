"""How the times of a cell are distributed on both sides, in the same bars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgeworthy.cells import CellId
from edgeworthy.reports.compare.sides import OneSide
from edgeworthy.reports.histogram import Histogram, histogram


@dataclass(frozen=True)
class Spread:
    """The times of both sides in the same ``bars``.

    ``what`` says what a time is: a single inference, or the median or mean of a reload where a side has no more.
    """

    what: str
    bars: Histogram


def spread_of(cell: CellId, before: OneSide, after: OneSide) -> Spread | None:
    """That of a cell that both sides have times of; None of another."""
    timings = before.timing(cell), after.timing(cell)
    if all(timing is not None and timing.statistic == "inference" for timing in timings):
        return Spread("inference", histogram(*(timing.samples_ns for timing in timings if timing)))
    sides = [side.snapshots[cell] for side in (before, after) if cell in side.snapshots]
    loads = [side.latency_loads_ns for side in sides]
    if len(loads) < 2 or not all(each.size for each in loads) or sides[0].statistic != sides[1].statistic:
        return None
    return Spread(f"{sides[0].statistic} of a reload", histogram(*loads))


def drawn(spread: Spread | None) -> dict[str, Any] | None:
    """As plain data for a page."""
    return {"what": spread.what, "bars": spread.bars.plain()} if spread else None
