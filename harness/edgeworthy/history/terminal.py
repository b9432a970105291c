"""A trend in the terminal: the newest runs as a table, all of them as a plot, and a sentence per change."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from rich.text import Text

from edgeworthy.history.database import Point
from edgeworthy.history.trend import Finding, Trend
from edgeworthy.metrics import METRICS
from edgeworthy.reports.page import blank_page, text_of
from edgeworthy.text import one_line

#: Size of the plot in characters, and how many runs the table has.
HEIGHT, WIDTH, NEWEST = 8, 72, 15
#: Eighths of a character's height.
_BLOCKS = " ▁▂▃▄▅▆▇█"


def terminal_trend(trend: Trend, color: bool) -> str:
    """The table, the plot and the findings. Names stay text: no markup or control character comes through."""
    page = blank_page(color)
    metric = METRICS[trend.metric]
    page.print(Text(one_line(f"{trend.cell}: {metric.label},{metric.unit or ' no unit'}"), "bold"))
    page.print(_table(trend))
    page.print(Text("\n".join(_plot(trend))))
    page.print(Text(trend.summary()))
    for found in trend.findings:
        page.print(Text(one_line(found.message()), _style(found)))
    return text_of(page)


def _table(trend: Trend) -> Table:
    began = {found.began.run: found for found in trend.findings}
    judged = set(trend.judged)
    table = Table("run", "revision", "status", METRICS[trend.metric].label, "", box=None, pad_edge=False)
    table.columns[3].justify = "right"
    for index in range(max(0, len(trend.points) - NEWEST), len(trend.points)):
        point = trend.points[index]
        value = f"{point.value:.{METRICS[trend.metric].digits}f}"
        found = began.get(point.run)
        note = (
            Text(f"<- {found.status} from here", _style(found)) if found else Text("" if index in judged else "other")
        )
        table.add_row(Text(one_line(point.run)), Text(_revision(point)), Text(point.status), Text(value), note)
    return table


def _plot(trend: Trend) -> list[str]:
    """Columns of a chart over all runs, with a mark under each where a change began; an outlier is cut at the top."""
    values = np.array([point.value for point in trend.points])
    columns = np.array_split(values, min(WIDTH, len(values)))
    heights = np.array([float(np.median(column)) for column in columns])
    low, high = _range(heights)
    eighths = np.clip(np.round((heights - low) / (high - low) * HEIGHT * 8), 1, HEIGHT * 8).astype(int)
    digits = METRICS[trend.metric].digits
    edges = {0: f"{high:.{digits}f}", HEIGHT - 1: f"{low:.{digits}f}"}
    width = max(map(len, edges.values()))
    rows = [
        f"{edges.get(row, ''):>{width}} │" + "".join(_block(eighth - 8 * (HEIGHT - 1 - row)) for eighth in eighths)
        for row in range(HEIGHT)
    ]
    return [*rows, " " * width + " │" + _marks(trend, columns)]


def _range(heights: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(heights, (0.0, 0.97))
    margin = (high - low) * 0.1 or abs(high) * 0.1 or 1.0
    return float(low - margin), float(high + margin)


def _block(eighths: int) -> str:
    return _BLOCKS[min(max(eighths, 0), 8)]


def _marks(trend: Trend, columns: list[NDArray[np.float64]]) -> str:
    began = {found.began.run for found in trend.findings}
    starts = np.cumsum([0, *map(len, columns)])
    spans = itertools.pairwise(starts)
    return "".join("▲" if any(point.run in began for point in trend.points[a:b]) else " " for a, b in spans).rstrip()


def _revision(point: Point) -> str:
    return f"{(point.revision or 'unknown')[:10]}{'+' if point.modified else ''}"


def _style(found: Finding) -> str:
    return "dim" if not found.stands else "bold red" if found.worse else "green"
