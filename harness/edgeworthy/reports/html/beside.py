"""What a page shows beside its run: the baseline, the history, and the samples, each where there is one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgeworthy.cells import CellId
from edgeworthy.records import Change
from edgeworthy.reports.html.shown.samples import Samples
from edgeworthy.verdicts.snapshots import Snapshot


@dataclass(frozen=True)
class Moment:
    """One earlier run in a trend; ``comparable`` where it was measured under the newest one's conditions."""

    run: str
    began_utc: str
    revision: str
    value: float
    comparable: bool


@dataclass(frozen=True)
class Turn:
    """Where a trend changed: the run with which it began, the sentence that says so, and whether that is for the worse."""

    run: str
    message: str
    worse: bool


@dataclass(frozen=True)
class CellTrend:
    """One metric of a cell over its runs, the oldest first."""

    cell: CellId
    column: str
    moments: Sequence[Moment]
    turns: Sequence[Turn]


@dataclass(frozen=True)
class Beside:
    """``changes`` since the baseline are None where the run was not compared; ``before`` finds a cell's baseline.

    ``samples`` finds those of a model; None, and why, where they are not at hand.
    """

    notes: Sequence[str] = ()
    troubles: Sequence[str] = ()
    changes: Sequence[Change] | None = None
    before: Callable[[CellId], Snapshot | None] = lambda cell: None
    samples: Callable[[str], Samples | str] = lambda model: "the dataset is not at hand"
    trends: Sequence[CellTrend] = ()
