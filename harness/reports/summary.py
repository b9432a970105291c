"""The run in one table: for the terminal by rich, for a pull request as markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from harness.reports.page import blank_page, text_of
from harness.reports.rows import STATUSES

Row = dict[str, Any]
HEADERS = (
    "status",
    "cell",
    "top-1 %",
    "drop, points (95 %)",
    "p50 ms (95 %)",
    "p95 ms",
    "KB",
    "gzip KB",
    "memory MB",
    "delegated",
)
_STYLES = {
    "error": "bold red",
    "fail": "bold red",
    "not comparable": "bold red",
    "not run": "yellow",
    "absent": "yellow",
    "waived": "magenta",
    "refused": "yellow",
    "pass": "green",
    "rejected": "cyan",
}
#: Rows of these statuses are explained below the table.
EXPLAINED = tuple(status for status in STATUSES if status != "pass")


def counts(rows: Sequence[Row]) -> str:
    """``2 fail, 27 pass, 2 rejected``."""
    found = Counter(row["status"] for row in rows)
    return ", ".join(f"{found[status]} {status}" for status in STATUSES if found[status]) or "no cells"


def terminal_table(rows: Sequence[Row], color: bool) -> str:
    """The table, worst first, and under it a sentence and a next step for every cell that did not simply pass."""
    table = Table(*HEADERS, title=f"edgegate: {counts(rows)}", title_justify="left", box=None, pad_edge=False)
    for column in table.columns[2:]:
        column.justify = "right"
        column.no_wrap = True
    table.columns[1].no_wrap = True
    for row in rows:
        status, *cells = _cells(row)
        table.add_row(Text(status, _STYLES[status]), *map(Text, cells))
    page = blank_page(color)
    page.print(table)
    for row in rows:
        if row["status"] in EXPLAINED:
            page.print(_explanation(row), soft_wrap=True)
    return text_of(page)


def markdown(rows: Sequence[Row], title: str, notes: Sequence[str] = ()) -> str:
    """The same table as GitHub-flavoured markdown, and notes on the run as a whole."""
    lines = [f"## {title}", "", counts(rows), "", "| " + " | ".join(HEADERS) + " |", "|" + " --- |" * len(HEADERS)]
    lines += ["| " + " | ".join(map(escape_markdown, _cells(row))) + " |" for row in rows]
    explained = [row for row in rows if row["status"] in EXPLAINED]
    if explained:
        lines.append("")
    for row in explained:
        step = f" _Next: {escape_markdown(row['next_step'])}_" if row["next_step"] else ""
        lines.append(f"- **{row['status']}** `{_cell(row)}`: {escape_markdown(row['sentence'])}{step}")
    lines += ["", *(f"- {escape_markdown(note)}" for note in notes)] if notes else []
    return "\n".join(lines) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row["status"],
        _cell(row),
        _number(row["top1_percent"], 2),
        _with_interval(row, "drop_points", 2),
        _latency(row),
        _number(row["p95_ms"], 4),
        _number(row["size_kb"], 1),
        _number(row["gzip_kb"], 1),
        _number(row["peak_memory_mb"], 2),
        "" if row["graph_nodes"] is None else f"{row['delegated_nodes']}/{row['graph_nodes']}",
    )


def _latency(row: Row) -> str:
    """The median; where a device's tool tells only a mean, that, called so."""
    if row["p50_ms"] is None and row["mean_ms"] is not None:
        return f"mean {_with_interval(row, 'mean_ms', 4)}"
    return _with_interval(row, "p50_ms", 4)


def _explanation(row: Row) -> Text:
    said = f" {_cell(row)}: {printable(row['sentence'])}"
    step = f"\n    next: {printable(row['next_step'])}" if row["next_step"] else ""
    return Text.assemble((row["status"], _STYLES[row["status"]]), said, step)


def _cell(row: Row) -> str:
    return f"{row['model']}/{row['variant']}/{row['target']}"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _with_interval(row: Row, metric: str, digits: int) -> str:
    value, low, high = row[metric], row[f"{metric}_low"], row[f"{metric}_high"]
    interval = f" ({low:.{digits}f} to {high:.{digits}f})" if low is not None else ""
    return _number(value, digits) + interval


def printable(text: str) -> str:
    """On one line, and without what would steer somebody's terminal."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def escape_markdown(text: str) -> str:
    """Text of a run (names, converters' messages) must not become markup in somebody's pull request."""
    for sign in "\\`*_[]<>|":
        text = text.replace(sign, f"\\{sign}")
    return printable(text)
