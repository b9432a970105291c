"""The trends of a run's cells as its page shows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from edgeworthy.config import CANARY
from edgeworthy.history.database import History
from edgeworthy.history.location import Location
from edgeworthy.history.trend import Trend, judged_trend, revision
from edgeworthy.reports.columns import id_of
from edgeworthy.reports.html.beside import CellTrend, Moment, Turn
from edgeworthy.reports.html.numbers import latency_column, lost_column

#: A picture has room for so many runs.
NEWEST = 120


def page_trends(location: Location, rows: Sequence[dict[str, Any]]) -> list[CellTrend]:
    """Latency and loss of every cell, canaries apart, over its newest runs, where there are earlier ones. Raises HistoryError."""
    history = History(location)
    return [trend for row in rows if row["variant"] != CANARY for trend in _of_cell(history, row)]


def _of_cell(history: History, row: dict[str, Any]) -> Iterator[CellTrend]:
    for column in (latency_column(row), lost_column(row)):
        points = history.trend(id_of(row), column) if row[column] is not None else []
        if len(points) > 1:
            yield shown_trend(judged_trend(id_of(row), column, points))


def shown_trend(trend: Trend) -> CellTrend:
    """A trend as a page shows it: its newest runs, and every change."""
    judged, first = set(trend.judged), max(len(trend.points) - NEWEST, 0)
    moments = [
        Moment(point.run, point.began_utc, revision(point), point.value, place in judged)
        for place, point in enumerate(trend.points[first:], first)
    ]
    turns = [Turn(found.began.run, found.message(), found.worse) for found in trend.findings]
    return CellTrend(trend.cell, trend.metric, moments, turns)
