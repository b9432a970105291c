"""May it ship: what a reader asks first. The verdict, what keeps a cell from shipping, and what was not judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from edgeworthy.cells import CellId
from edgeworthy.config import CANARY
from edgeworthy.records import JUDGED_STATUSES, RED_STATUSES
from edgeworthy.reports.columns import Row, id_of
from edgeworthy.reports.rows import STATUSES
from edgeworthy.reports.summary import by_cause


@dataclass(frozen=True)
class Cause:
    """What several cells have in common: status, message and hint."""

    status: str
    message: str
    hint: str
    cells: Sequence[CellId]


@dataclass(frozen=True)
class Overview:
    """The verdict on a run. ``counts`` are of cells by status, the worst first, and ``canaries`` of canaries."""

    ships: bool
    title: str
    counts: Sequence[tuple[str, int]]
    failing: Sequence[Cause]
    not_judged: Sequence[Cause]
    canaries: Sequence[tuple[str, int]]


def overview_of(rows: Sequence[Row], troubles: Sequence[str], *, complete: bool) -> Overview:
    """The verdict on the run's ``rows``, the worst first; ``troubles`` are why it fails beside them."""
    causes = [_cause(rows) for rows in by_cause(rows)]
    failing = [cause for cause in causes if cause.status in RED_STATUSES]
    canaries, cells = ([row for row in rows if (row["variant"] == CANARY) == canary] for canary in (True, False))
    ships = complete and not failing and not troubles
    return Overview(
        ships=ships,
        title="May ship" if ships else "May not ship" if complete else "Did not finish",
        counts=_counts(cells),
        failing=failing,
        not_judged=[cause for cause in causes if cause.status not in (*JUDGED_STATUSES, "rejected")],
        canaries=_counts(canaries),
    )


def _counts(rows: Sequence[Row]) -> list[tuple[str, int]]:
    found = Counter(row["status"] for row in rows)
    return [(status, found[status]) for status in STATUSES if found[status]]


def _cause(rows: Sequence[Row]) -> Cause:
    first = rows[0]
    return Cause(first["status"], first["message"], first["hint"] or "", [id_of(row) for row in rows])
