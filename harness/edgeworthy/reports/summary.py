"""The run in one table: for the terminal by rich, for a pull request as markdown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from edgeworthy.reports.columns import Row, id_of, layouts
from edgeworthy.reports.page import WIDEST, blank_page, text_of
from edgeworthy.reports.rows import STATUSES
from edgeworthy.text import first_of, one_line, plural

_STYLES = {
    "error": "bold red",
    "fail": "bold red",
    "not comparable": "bold red",
    "not run": "yellow",
    "absent": "yellow",
    "waived": "magenta",
    "refused": "yellow",
    "pass": "green",
    "emulated": "cyan",
    "rejected": "cyan",
}
#: What GitHub and GitLab make a person, an issue or a merge request of, also where it is escaped.
_REFERENCE = re.compile(r"@(?=\w)|[#!](?=\d)")
#: Rows of these statuses are explained below the table.
EXPLAINED = tuple(status for status in STATUSES if status != "pass")


def counts(rows: Sequence[Row]) -> str:
    """``2 fail, 27 pass, 2 rejected``."""
    found = Counter(row["status"] for row in rows)
    return ", ".join(f"{found[status]} {status}" for status in STATUSES if found[status]) or "no cells"


def terminal_table(rows: Sequence[Row], color: bool, width: int = WIDEST) -> str:
    """The table, worst first, and below it message and hint for every cell that did not pass.

    It has as many columns as ``width`` has room for; no number is ever cut.
    """
    page = blank_page(color, width)
    page.print(_fitting(rows, width))
    for causing in by_cause(rows):
        page.print(_explanation(causing), soft_wrap=True)
    return text_of(page)


def markdown(rows: Sequence[Row], title: str, notes: Sequence[str] = ()) -> str:
    """The same table as GitHub-flavoured markdown, and notes on the run as a whole."""
    headers, cells = layouts(rows)[0]
    headers = ["status", "cell", *headers]
    lines = [
        f"## {escape_markdown(title)}",
        "",
        counts(rows),
        "",
        "| " + " | ".join(headers) + " |",
        "|" + " --- |" * len(headers),
    ]
    for row, shown in zip(rows, cells, strict=True):
        lines.append("| " + " | ".join(map(escape_markdown, (row["status"], _cell(row), *shown))) + " |")
    explained = by_cause(rows)
    if explained:
        lines.append("")
    for causing in explained:
        row, cell = causing[0], who(causing)
        step = f" _Hint: {escape_markdown(row['hint'])}_" if row["hint"] else ""
        lines.append(f"- **{row['status']}** {quoted_markdown(cell)}: {escape_markdown(row['message'])}{step}")
    lines += ["", *(f"- {escape_markdown(note)}" for note in notes)] if notes else []
    return "\n".join(lines) + "\n"


def _fitting(rows: Sequence[Row], width: int) -> Table:
    """The first of the layouts that fits; the title names a target that all cells have in common where room is scarce."""
    targets = {row["target"] for row in rows}
    common = targets.pop() if len(targets) == 1 else ""
    table, ample = None, blank_page(color=False)
    for headers, cells in layouts(rows):
        for target in dict.fromkeys(("", common)):
            table = _table(rows, headers, cells, target)
            if Measurement.get(ample, ample.options, table).maximum <= width:
                return table
    assert table is not None
    table.columns[1].no_wrap = False
    table.columns[1].overflow = "fold"
    return table


def _table(rows: Sequence[Row], headers: Sequence[str], cells: Sequence[Sequence[str]], target: str) -> Table:
    """With ``target``, that is said once, in the title."""
    title = Text(one_line(f"edgeworthy{f' on {target}' if target else ''}: {counts(rows)}"))
    table = Table("status", "cell", *headers, title=title, title_justify="left", box=None, pad_edge=False)
    for column in table.columns:
        column.no_wrap = True
    for column in table.columns[2:]:
        column.justify = "right"
    for row, shown in zip(rows, cells, strict=True):
        name = one_line(f"{row['model']}/{row['variant']}") if target else _cell(row)
        table.add_row(Text(row["status"], _STYLES[row["status"]]), Text(name), *map(Text, shown))
    return table


def by_cause(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows to explain; those with one status and message are explained together."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row["status"] in EXPLAINED:
            found.setdefault((row["status"], row["message"]), []).append(row)
    return list(found.values())


def _explanation(causing: Sequence[Row]) -> Text:
    row = causing[0]
    message = f" {who(causing)}: {one_line(row['message'])}"
    step = f"\n    hint: {one_line(row['hint'])}" if row["hint"] else ""
    return Text.assemble((row["status"], _STYLES[row["status"]]), message, step)


def who(causing: Sequence[Row]) -> str:
    """The cell, or how many there are and the first of them."""
    if len(causing) == 1:
        return _cell(causing[0])
    return f"{plural(len(causing), 'cell')} ({first_of([_cell(row) for row in causing])})"


def _cell(row: Row) -> str:
    return str(id_of(row))


def escape_markdown(text: str) -> str:
    """Escape text of a run (names, converters' messages), so that it is no markup in a pull request, and calls nobody."""
    text = one_line(text)
    for sign in "\\`*_[]<>|~$&":
        text = text.replace(sign, f"\\{sign}")
    return _REFERENCE.sub(r"\g<0><!-- -->", text)


def quoted_markdown(text: str) -> str:
    """Text of a run as code, to be copied: its backticks stay what they are."""
    text = one_line(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    pad = " " * (text.startswith("`") or text.endswith("`"))
    return f"{fence}{pad}{text}{pad}{fence}"
