"""All cells in one table that can be sorted: the numbers that the terminal's table has, each with its interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgeworthy.cells import CellId
from edgeworthy.reports.columns import Row, id_of, quality
from edgeworthy.reports.html.numbers import Number, latency_column, lost_column, number_of


def _column(name: str) -> Callable[[Row], str]:
    return lambda row: name


#: Name in the page's address -> header, and which column of cells.parquet a row has there.
COLUMNS: dict[str, tuple[str, Callable[[Row], str]]] = {
    "quality": ("Judged by", lambda row: quality(row).metric),
    "drop": ("Lost against the reference", lost_column),
    "latency": ("Latency", latency_column),
    "p95": ("p95", _column("p95_ms")),
    "size": ("Size", _column("size_kb")),
    "memory": ("Memory", _column("peak_memory_mb")),
    "arena": ("Arena", _column("arena_kb")),
    "flash": ("Flash", _column("flash_kb")),
    "cpu_ops": ("Left to the processor", _column("cpu_ops")),
    "accelerated": ("Accelerated", _column("delegated_percent")),
}


@dataclass(frozen=True)
class Line:
    """One cell: its status, and a number for each of the table's columns, None where it is not known."""

    cell: CellId
    status: str
    numbers: Sequence[Number | None]


@dataclass(frozen=True)
class Table:
    """``headers`` are the names of columns and what they are called; those that no cell has are left out."""

    headers: Sequence[tuple[str, str]]
    lines: Sequence[Line]


def table_of(rows: Sequence[Row]) -> Table:
    """The rows, in their order."""
    found = {name: [number_of(row, column(row)) for row in rows] for name, (_, column) in COLUMNS.items()}
    known = [name for name, numbers in found.items() if any(numbers)]
    lines = [Line(id_of(row), row["status"], [found[name][place] for name in known]) for place, row in enumerate(rows)]
    return Table([(name, COLUMNS[name][0]) for name in known], lines)
