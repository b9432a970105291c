"""What a site shows of the history: each cell as it was last measured, its trends, and what got worse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgeworthy.cells import CellId
from edgeworthy.history.database import History, Point
from edgeworthy.history.trend import JUDGED, Finding, Trend, judged_trend
from edgeworthy.metrics import METRICS, QUALITIES
from edgeworthy.records import RED_STATUSES

#: What a cell is shown by: the first of each kind that its newest run measured.
LATENCY = ("p50_ms", "mean_ms")
LOST = tuple(dict.fromkeys([*(quality.lost for quality in QUALITIES.values()), "metric_drop"]))
SIZE = ("size_kb",)
SHOWN = (LATENCY, LOST, SIZE)
#: A canary that was rejected, as it must be, is no news.
REJECTED = "rejected"
COLUMNS = tuple(dict.fromkeys(column for kind in SHOWN for column in kind if column in METRICS))


@dataclass(frozen=True)
class CellState:
    """A cell in the newest run that has it; ``current`` where that is its model's newest run.

    ``values`` are column and value of each kind of SHOWN, None where that run measured none.
    """

    cell: CellId
    newest: Point
    current: bool
    values: Sequence[tuple[str, float] | None]
    trends: Sequence[Trend]

    @property
    def fails(self) -> bool:
        """Whether its model's newest run says that it may not ship."""
        return self.current and self.newest.status in RED_STATUSES


@dataclass(frozen=True)
class Regression:
    """A change for the worse that still stands."""

    cell: CellId
    metric: str
    finding: Finding


@dataclass(frozen=True)
class ModelState:
    """The cells of a model, as they were last measured."""

    model: str
    cells: Sequence[CellState]

    @property
    def regressions(self) -> list[Regression]:
        """What got worse and still is, the newest first."""
        found = [
            Regression(trend.cell, trend.metric, finding)
            for cell in self.cells
            for trend in cell.trends
            for finding in trend.regressions()
        ]
        return sorted(found, key=lambda each: each.finding.began.began_utc, reverse=True)


def states(history: History) -> list[ModelState]:
    """Every model of the newest JUDGED runs. Raises HistoryError."""
    recorded = history.table(COLUMNS, JUDGED)
    table = {cell: rows for cell, rows in recorded.items() if rows[-1][0].status != REJECTED}
    newest: dict[str, str] = {}
    for cell, rows in table.items():
        newest[cell.model] = max(newest.get(cell.model, ""), rows[-1][0].began_utc)
    found: dict[str, list[CellState]] = {}
    for cell in sorted(table):
        found.setdefault(cell.model, []).append(_cell(cell, table[cell], newest[cell.model]))
    return [ModelState(model, cells) for model, cells in found.items()]


Rows = Sequence[tuple[Point, dict[str, float | None]]]


def _cell(cell: CellId, rows: Rows, newest: str) -> CellState:
    point, values = rows[-1]
    shown = [_first(kind, values) for kind in SHOWN]
    return CellState(cell, point, point.began_utc == newest, shown, list(_trends(cell, rows)))


def _first(kind: Sequence[str], values: dict[str, float | None]) -> tuple[str, float] | None:
    return next(((column, value) for column in kind if (value := values.get(column)) is not None), None)


def _trends(cell: CellId, rows: Rows) -> Iterator[Trend]:
    """Of latency and of what is lost, each by the column that was last measured."""
    for kind in (LATENCY, LOST):
        column = next((found[0] for _, values in reversed(rows) if (found := _first(kind, values))), None)
        if column is None:
            continue
        known = ((point, values[column]) for point, values in rows)
        points = [point._replace(value=value) for point, value in known if value is not None]
        if len(points) > 1:
            yield judged_trend(cell, column, points)
