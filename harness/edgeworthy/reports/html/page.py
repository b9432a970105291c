"""``report.html``: the whole page, from a finished run and what is known beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgeworthy.cells import CellId
from edgeworthy.metrics import METRICS
from edgeworthy.records import Verdict
from edgeworthy.reports.columns import Row, id_of
from edgeworthy.reports.gate_report import worst_first
from edgeworthy.reports.html.beside import Beside, CellTrend
from edgeworthy.reports.html.cell import CellSections
from edgeworthy.reports.html.changes import shown_change
from edgeworthy.reports.html.choosing import choices_of
from edgeworthy.reports.html.matrix import SHOWN, matrices_of
from edgeworthy.reports.html.overview import overview_of
from edgeworthy.reports.html.pairs import Album
from edgeworthy.reports.html.statuses import SIGNS
from edgeworthy.reports.html.table import table_of
from edgeworthy.reports.html.template import render
from edgeworthy.reports.rows import STATUSES
from edgeworthy.runs.run import Run
from edgeworthy.storage import read_json

NAME = "report.html"


def page_of(run: Run, rows: Sequence[Row], beside: Beside) -> str:
    """The page of a run with its ``rows``, the worst first. Raises StoreError."""
    verdicts: dict[CellId, list[Verdict]] = {}
    for verdict in run.verdicts():
        verdicts.setdefault(verdict.cell, []).append(verdict)
    album = Album(beside.samples)
    sections = CellSections(run, verdicts, beside, album)
    context = {
        "run": run.name,
        "complete": run.complete,
        "overview": overview_of(rows, beside.troubles, complete=run.complete),
        "beside": beside,
        "environment": read_json(run.folder / "environment.json"),
        "matrices": matrices_of(rows, verdicts),
        "shown": SHOWN,
        "present": [status for status in STATUSES if any(row["status"] == status for row in rows)],
        "table": table_of(rows),
        "changes": [shown_change(change) for change in worst_first(beside.changes or ())],
        "places": {id_of(row): place for place, row in enumerate(rows)},
        "sections": (sections.section(row) for row in rows),
        "data": lambda: _data(rows, verdicts, beside, album),
    }
    return render("page.html.jinja", context)


def _data(rows: Sequence[Row], verdicts: dict[CellId, list[Verdict]], beside: Beside, album: Album) -> dict[str, Any]:
    """What scripts draw and filter by. Asked for last: the sections fill the album."""
    return {
        "cells": [[*id_of(row), row["status"]] for row in rows],
        "choices": choices_of(rows, verdicts),
        "trends": [drawn_trend(trend) for trend in beside.trends],
        "labels": {name: metric.label for name, metric in METRICS.items()},
        "signs": SIGNS,
        "pictures": album.pictures,
    }


def drawn_trend(trend: CellTrend) -> dict[str, Any]:
    """A trend as plain data that the charts draw."""
    metric = METRICS[trend.column]
    return {
        "cell": str(trend.cell),
        "label": f"{metric.label},{metric.unit}" if metric.unit else metric.label,
        "moments": [{**vars(moment), "text": metric.shown(moment.value)} for moment in trend.moments],
        "turns": [vars(turn) for turn in trend.turns],
    }
