"""The columns of the table for people: what they show, and which of them a terminal has room for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edgeworthy.cells import CellId
from edgeworthy.metrics import METRICS, Metric, Quality, quality_of

Row = dict[str, Any]


def id_of(row: Row) -> CellId:
    """The cell that a row is of."""
    return CellId(row["model"], row["variant"], row["target"])


@dataclass(frozen=True)
class Column:
    """``header`` and ``shown`` of a cell's row; both may depend on all ``rows`` of the table."""

    header: Callable[[Sequence[Row]], str]
    shown: Callable[[Row, Sequence[Row]], str]


def layouts(rows: Sequence[Row]) -> list[tuple[list[str], list[list[str]]]]:
    """Headers and cells of the table, from all columns with intervals to the fewest without."""
    return [
        ([column.header(rows) for column in columns], [[column.shown(row, rows) for column in columns] for row in rows])
        for columns in _LAYOUTS
    ]


def _plain(header: str, shown: Callable[[Row], str]) -> Column:
    return Column(lambda rows: header, lambda row, rows: shown(row))


def number(value: float | None, digits: int) -> str:
    """The value with so many digits, or nothing."""
    return "" if value is None else f"{value:.{digits}f}"


def _with_interval(row: Row, metric: str, digits: int) -> str:
    value, low, high = row[metric], row[f"{metric}_low"], row[f"{metric}_high"]
    interval = f" ({low:.{digits}f} to {high:.{digits}f})" if low is not None else ""
    return number(value, digits) + interval


def quality(row: Row) -> Quality:
    """What the row's model is judged by."""
    return quality_of(row["metric"] or "top1", higher_is_better=row["score"] is not None)


def _quality_header(rows: Sequence[Row]) -> str:
    headers = {quality(row).header for row in rows}
    return headers.pop() if len(headers) == 1 else "metric"


def _quality_shown(row: Row, rows: Sequence[Row]) -> str:
    judged_by = quality(row)
    shown = number(row[judged_by.metric], METRICS[judged_by.metric].digits)
    return f"{shown} {judged_by.header}" if shown and _quality_header(rows) == "metric" else shown


def _lost(row: Row) -> Metric | None:
    """What the cell loses against its reference, where that is another number than what it is judged by."""
    judged_by = quality(row)
    return METRICS[judged_by.lost] if judged_by.lost != judged_by.metric else None


def _lost_unit(rows: Sequence[Row]) -> str:
    units = {lost.unit for row in rows if (lost := _lost(row))}
    return units.pop().strip() if len(units) == 1 else ""


def _lost_column(*, interval: bool) -> Column:
    def header(rows: Sequence[Row]) -> str:
        unit = _lost_unit(rows)
        return ("drop, " + unit if unit else "drop") + (" (95 %)" if interval else "")

    def shown(row: Row, rows: Sequence[Row]) -> str:
        lost = _lost(row)
        if lost is None:
            return ""
        text = _with_interval(row, lost.name, lost.digits) if interval else number(row[lost.name], lost.digits)
        return text if _lost_unit(rows) or not text else f"{text}{lost.unit}"

    return Column(header, shown)


def _latency_column(*, interval: bool) -> Column:
    """The median, or the mean where the device's tool reports only that; an emulation has neither."""

    def shown(row: Row) -> str:
        if row["emulated"]:
            return "emulated"
        mean = row["p50_ms"] is None and row["mean_ms"] is not None
        name = "mean_ms" if mean else "p50_ms"
        text = _with_interval(row, name, 4) if interval else number(row[name], 4)
        return f"mean {text}" if mean else text

    return _plain("p50 ms (95 %)" if interval else "p50 ms", shown)


def _delegated(row: Row) -> str:
    return "" if row["graph_nodes"] is None else f"{row['delegated_nodes']}/{row['graph_nodes']}"


def _memory(row: Row) -> str:
    """Of the process, or of a microcontroller the arena."""
    arena = METRICS["arena_kb"]
    return number(row["peak_memory_mb"], 2) if row[arena.name] is None else f"arena {arena.shown(row[arena.name])}"


_Q = Column(_quality_header, _quality_shown)
_P95 = _plain("p95 ms", lambda row: number(row["p95_ms"], 4))
_KB = _plain("KB", lambda row: number(row["size_kb"], 1))
_GZIP = _plain("gzip KB", lambda row: number(row["gzip_kb"], 1))
_MEMORY = _plain("memory MB", _memory)
_DELEGATED = _plain("delegated", _delegated)
_LAYOUTS = (
    (_Q, _lost_column(interval=True), _latency_column(interval=True), _P95, _KB, _GZIP, _MEMORY, _DELEGATED),
    (_Q, _lost_column(interval=True), _latency_column(interval=True), _P95, _KB, _DELEGATED),
    (_Q, _lost_column(interval=False), _latency_column(interval=False), _P95, _KB, _MEMORY, _DELEGATED),
    (_Q, _lost_column(interval=False), _latency_column(interval=False), _KB, _DELEGATED),
    (_Q, _lost_column(interval=False), _latency_column(interval=False), _KB),
    (_Q, _lost_column(interval=False), _latency_column(interval=False)),
)
