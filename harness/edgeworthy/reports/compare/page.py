"""A comparison as a page: one file, which loads nothing."""

from __future__ import annotations

from edgeworthy.cells import CellId
from edgeworthy.metrics import COMPARED
from edgeworthy.records import Change
from edgeworthy.reports.compare.comparison import Comparison
from edgeworthy.reports.compare.spread import drawn
from edgeworthy.reports.compare.terminal import flips
from edgeworthy.reports.gate_report import counted
from edgeworthy.reports.html.changes import shown_change
from edgeworthy.reports.html.statuses import SIGNS
from edgeworthy.reports.html.template import render


def page_of(found: Comparison) -> str:
    """The whole page."""
    moved = [change for change in found.changes if change.status != "unchanged"]
    numbers: dict[CellId, list[Change]] = {}
    for change in found.changes:
        numbers.setdefault(change.cell, []).append(change)
    sections = [{"spread": drawn(each.spread), "pairs": each.pairs} for each in found.cells]
    context = {
        "found": found,
        "counted": counted(found.changes),
        "changes": [shown_change(change) for change in moved],
        "numbers": numbers,
        "compared": COMPARED,
        "open": {change.cell for change in moved} | {each.cell for each in found.cells if flips(each.pairs)},
        "places": {},
        "data": {"sections": sections, "pictures": found.pictures, "signs": SIGNS},
    }
    return render("compare.html.jinja", context)
