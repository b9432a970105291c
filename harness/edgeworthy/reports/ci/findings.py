"""What the gate found, one by one: a broken limit, a change, what kept a cell from being judged; each with its place."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgeworthy.cells import CellId
from edgeworthy.judging.gate import GateResult
from edgeworthy.metrics import COMPARED, METRICS
from edgeworthy.records import Change, Checked, Estimate, Verdict
from edgeworthy.reports.ci.places import Place, Places
from edgeworthy.reports.gate_report import explained, worst_first
from edgeworthy.text import one_line
from edgeworthy.verdicts.limits import Check
from edgeworthy.verdicts.regression import AXIS
from edgeworthy.verdicts.sides import RED

#: Where there is no number; a cell left empty would look like one that was forgotten.
NONE = "-"


@dataclass(frozen=True)
class Finding:
    """One thing that was found; ``cell`` is None where it is the run's. The numbers are written with their units.

    ``status`` is that of a verdict or of a change, ``name`` the metric, or the axis where no number is meant.
    """

    cell: CellId | None
    status: str
    name: str
    message: str
    hint: str
    place: Place
    before: str = NONE
    after: str = NONE
    difference: str = NONE
    limit: str = NONE
    evidence: str = ""

    @property
    def who(self) -> str:
        """The cell's name, or ``run``."""
        return str(self.cell or "run")

    @property
    def said(self) -> str:
        """Message and hint, of whom."""
        return one_line(f"{self.who}: {self.message}{f' Hint: {self.hint}' if self.hint else ''}")


def findings(result: GateResult, places: Places) -> list[Finding]:
    """All of them: of the run, then those of the verdicts that did not pass, then every metric that is not as it was."""
    found = [Finding(None, "fail", "run", said, "", places.file()) for said in result.troubles]
    for verdict in explained(result):
        if verdict.axis != AXIS:
            found += _of_verdict(verdict, result.changes, places)
    moved = [change for change in result.changes if change.status != "unchanged"]
    return found + [_of_change(change, change in result.waived, places) for change in worst_first(moved)]


def failing(found: Sequence[Finding]) -> list[Finding]:
    """Those that fail the gate, or would without a waiver."""
    return [finding for finding in found if finding.status != "improved"]


def _of_verdict(verdict: Verdict, changes: Sequence[Change], places: Places) -> Iterator[Finding]:
    """One for each broken limit; where none is, the verdict itself."""
    broken = [check for check in verdict.checks if not check.passed]
    if not broken or verdict.status not in ("fail", "waived"):
        place = places.cell(verdict.cell)
        yield Finding(verdict.cell, verdict.status, verdict.axis, verdict.message, verdict.hint, place)
        return
    for check in broken:
        worst = check is verdict.checks[0]  # the verdict's message is about this one
        message, hint = (verdict.message, verdict.hint) if worst else (_message(check), "")
        yield Finding(
            verdict.cell,
            verdict.status,
            check.metric,
            message,
            hint,
            places.limit(verdict.cell, check),
            **_numbers(verdict.cell, check, changes),
            evidence=check.evidence,
        )


def _message(check: Checked) -> str:
    return Check(check.metric, check.side, check.limit, Estimate(check.value, check.low, check.high)).message()


def _numbers(cell: CellId, check: Checked, changes: Sequence[Change]) -> dict[str, str]:
    """A broken limit's value and bound, and what the baseline had where it has the same metric."""
    row, known = METRICS[check.metric], not math.isnan(check.value)
    before = next(
        (
            change.before
            for change in changes
            if change.cell == cell and COMPARED[change.metric].metric == check.metric and change.before is not None
        ),
        None,
    )
    bound = "at most" if check.side == "max" else "at least"
    shown = {"after": row.shown(check.value) if known else "unknown", "limit": f"{bound} {row.shown(check.limit)}"}
    if before is not None:
        shown["before"] = row.shown(before)
        if known:
            shown["difference"] = row.shown_difference(before, check.value)
    return shown


def _of_change(change: Change, waived: bool, places: Places) -> Finding:
    row, before, after = COMPARED[change.metric], change.before, change.after
    numbers = {name: row.shown(value) for name, value in (("before", before), ("after", after)) if value is not None}
    if before is not None and after is not None:
        numbers["difference"] = row.shown_difference(before, after)
    if change.effect:
        numbers["limit"] = f"at most {change.effect.tolerance:g} {change.effect.unit} worse"
    return Finding(
        change.cell,
        "waived" if waived else change.status,
        change.metric,
        change.message,
        change.hint if change.status in RED and not waived else "",
        places.tolerance(change),
        **numbers,
        evidence=change.evidence,
    )
