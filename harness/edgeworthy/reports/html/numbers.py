"""Numbers of a cell's row as the page shows them: rounded for people, and exact beside it for sorting and for programs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgeworthy.metrics import METRICS
from edgeworthy.reports.columns import Row, quality


@dataclass(frozen=True)
class Number:
    """A row's ``value`` in ``column`` of cells.parquet, as it is written with its unit, and its 95 % interval, if it has one."""

    column: str
    label: str
    value: float
    text: str
    interval: str


def number_of(row: Row, column: str) -> Number | None:
    """The row's number in a column that is a metric; None where it is not known."""
    value, metric = row[column], METRICS[column]
    if value is None:
        return None
    low, high = row.get(f"{column}_low"), row.get(f"{column}_high")
    known = low is not None and high is not None
    interval = f"{low:.{metric.digits}f} to {high:.{metric.digits}f}" if known else ""
    text = "unknown" if math.isnan(value) else metric.shown(value)
    return Number(column, metric.label, float(value), text, interval)


def numbers_of(row: Row) -> list[Number]:
    """Every metric that is known of the row, in the order of the table of metrics."""
    return [number for column in METRICS if (number := number_of(row, column))]


def latency_column(row: Row) -> str:
    """The median, or the mean where the device's tool reports no more."""
    return "mean_ms" if row["p50_ms"] is None and row["mean_ms"] is not None else "p50_ms"


def lost_column(row: Row) -> str:
    """What is lost against the reference of what the row's model is judged by."""
    return quality(row).lost


def finite(value: float | None) -> float | None:
    """As JSON can hold it: what is infinite or no number is not drawn."""
    return float(value) if value is not None and math.isfinite(value) else None
