"""A comparison for a terminal: verdict changes first, then metrics, times and samples of what is not as it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Column, Table
from rich.text import Text

from edgeworthy.records import Change
from edgeworthy.reports import gate_report
from edgeworthy.reports.compare.comparison import CellOfBoth, Comparison, Turned
from edgeworthy.reports.compare.sides import OneSide
from edgeworthy.reports.page import blank_page, text_of
from edgeworthy.text import one_line, plural

_BARS = "▁▂▃▄▅▆▇█"
#: A bar without any time: not a small one.
_NONE = "·"


def terminal(found: Comparison, color: bool) -> str:
    """Lines for a terminal, or for a file; no number is cut."""
    page = blank_page(color)
    for letter, side in (("A", found.before), ("B", found.after)):
        page.print(Text(f"{letter}: {one_line(side.name)}, {_cells(side)}"))
    page.print(Text(f"verdicts: {plural(len(found.turned), 'change') if found.turned else 'none changed'}", "bold"))
    for turned in found.turned:
        page.print(_turned(turned), soft_wrap=True)
    page.print(Text(f"metrics: {gate_report.counted(found.changes)}", "bold"))
    if any(change.status != "unchanged" for change in found.changes):
        page.print(changes_table(found.changes, "A", "B"))
    moved = {change.cell for change in found.changes if change.status != "unchanged"}
    shown = [each for each in found.cells if each.cell in moved or flips(each.pairs)]
    for each in shown:
        page.print(Text(str(each.cell), "bold"))
        for line in (*_latency(each), *_samples(each.pairs)):
            page.print(Text(f"  {line}"), soft_wrap=True)
    if len(found.cells) > len(shown):
        page.print(Text(f"{plural(len(found.cells) - len(shown), 'cell')} as before"))
    return text_of(page)


def changes_table(changes: Sequence[Change], before: str, after: str) -> Table:
    """What is not as it was, the worst first."""
    table = Table(
        "status", "cell", "metric", Column(Text(before)), Column(Text(after)), "evidence", box=None, pad_edge=False
    )
    for change in changes:
        if change.status != "unchanged":
            table.add_row(*map(Text, gate_report.row(change)))
    return table


def flips(pairs: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The kinds of samples whose prediction changed."""
    return list(pairs.get("groups", ())) if pairs else []


def _cells(side: OneSide) -> str:
    what = "a run" if side.run else "accepted baselines"
    return f"{what}, {plural(len(side.rows or side.snapshots), 'cell')}"


def _turned(turned: Turned) -> Text:
    said = f"  {turned.before or 'not there'} -> {turned.after or 'not there'}: {turned.cell}"
    message = f": {one_line(turned.message)}" if turned.message else ""
    hint = f"\n      hint: {one_line(turned.hint)}" if turned.hint else ""
    return Text(said + message + hint)


def _latency(each: CellOfBoth) -> Iterator[str]:
    """Both distributions in the same bars."""
    if each.spread is None:
        return
    found, times = each.spread.bars, each.latency_ms
    yield f"latency, ms: {found.low_ms:.4f} to {found.high_ms:.4f}, {each.spread.what}"
    for letter, time, counts, later in zip("AB", times, found.counts, found.later, strict=True):
        more = f" and {later} later" if later else ""
        yield f"  {letter} {bars(counts)} {'' if time is None else f'{time:.4f}'} of {sum(counts) + later}{more}"


def bars(counts: Sequence[int]) -> str:
    """A bar for each count; the tallest is the most frequent."""
    most = max(counts, default=0)
    return "".join(_BARS[(len(_BARS) * count - 1) // most] if count else _NONE for count in counts)


def _samples(pairs: dict[str, Any] | None) -> Iterator[str]:
    groups = flips(pairs)
    if pairs and pairs["unseen"] and not groups:
        yield f"samples: {one_line(pairs['unseen'])}"
    for group in groups:
        assert pairs is not None
        shown = [str(each["index"]) for each in group["shown"]]
        more = " ..." if group["count"] > len(shown) else ""
        yield f"{group['title'].lower()}: {group['count']} of {pairs['samples']} samples ({', '.join(shown)}{more})"
