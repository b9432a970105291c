"""A whole run against its baselines, from stored results alone: nothing is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgeworthy.cells import CellId
from edgeworthy.config import CANARY, Regression
from edgeworthy.errors import StoreError
from edgeworthy.records import JUDGED_STATUSES, Change, Timing, Verdict, identity_of
from edgeworthy.runs.run import Run
from edgeworthy.runs.run_file import Scope
from edgeworthy.verdicts.baselines import Baselines
from edgeworthy.verdicts.completeness import missing_cells, scope_in_words, unproven
from edgeworthy.verdicts.interleaving import stored_interleaved
from edgeworthy.verdicts.noise import noise_note
from edgeworthy.verdicts.regression import AXIS, RED, compare_cell, new_cell
from edgeworthy.verdicts.snapshots import stored_snapshot
from edgeworthy.verdicts.waivers import Waivers

PASSED, REGRESSED, NOT_JUDGED = 0, 1, 2


@dataclass(frozen=True)
class GateResult:
    """The gate's result: every change, a verdict per cell and axis, other failures (``troubles``), and notes."""

    run: str
    baseline: str
    changes: Sequence[Change]
    verdicts: Sequence[Verdict]
    troubles: Sequence[str]
    notes: Sequence[str]
    status: int


def judge_run(run: Run, baselines: Baselines, tolerances: Regression, waivers: Waivers) -> GateResult:
    """Judge a finished run. Raises StoreError where it, or the baselines, cannot be read."""
    run.check_complete()
    accepted = baselines.cells()
    if not accepted:
        raise StoreError(
            f"{baselines.origin}: there is no baseline",
            hint=f'edgeworthy baseline accept {run.folder} --reason "..."',
        )
    changes = run_changes(run, baselines, tolerances)
    stored = [_again(verdict, waivers) for verdict in run.verdicts() if verdict.axis != AXIS]
    compared = [waivers.judge(cell, own) for cell, own in _by_cell(changes).items()]
    verdicts = [*stored, *compared]
    if run.scope == Scope():  # of a part of the project, not every name is known here
        waivers.check_names([*accepted, *run.cells])
    troubles = [*waivers.expired, *unproven(run.cells, stored)]
    if not any(verdict.status in JUDGED_STATUSES for verdict in compared):
        troubles.append("no cell was compared with a baseline")
    scope = scope_in_words(run.scope, accepted)
    notes = [*([scope] if scope else []), *waivers.unneeded(verdicts), *noise_notes(run)]
    status = _status(verdicts, changes, waivers, troubles)
    return GateResult(str(run.folder), baselines.origin, changes, verdicts, troubles, notes, status)


def noise_notes(run: Run) -> list[str]:
    """For each target, the smallest slowdown visible there, from the noise studies beside the runs."""
    fingerprints: dict[str, dict[str, str]] = {}
    for cell in run.cells:
        timing = run.journal.find(Timing, cell)
        if timing:
            fingerprints[cell.target] = identity_of(timing.conditions.fingerprint)
    results = run.folder.resolve().parent
    return [noise_note(results, target, identity) for target, identity in fingerprints.items()]


def run_changes(run: Run, baselines: Baselines, tolerances: Regression) -> list[Change]:
    """Every change of every cell of the run, canaries apart, and the cells that are new or missing."""
    name = str(run.folder)
    changes: list[Change] = []
    measured: list[CellId] = []
    for cell in run.cells:
        after = stored_snapshot(run.journal, cell) if cell.variant != CANARY else None
        if after is None:
            continue
        measured.append(cell)
        before = baselines.find(cell)
        if before is None:
            changes.append(new_cell(cell, name))
            continue
        turn = stored_interleaved(run.journal, cell, before, after, tolerances.latency_percent)
        changes += compare_cell(cell, before, after, tolerances, run=name, interleaved=turn)
    return [*changes, *missing_cells(baselines.cells(), measured, run.scope, name)]


def _again(verdict: Verdict, waivers: Waivers) -> Verdict:
    """A stored verdict, with today's waivers applied."""
    if verdict.status == "waived":
        verdict = replace(verdict, status="fail", waived_by=())
    return verdict if verdict.cell.variant == CANARY else waivers.waive(verdict)


def _by_cell(changes: Sequence[Change]) -> dict[CellId, list[Change]]:
    found: dict[CellId, list[Change]] = {}
    for change in changes:
        found.setdefault(change.cell, []).append(change)
    return found


def _status(verdicts: Sequence[Verdict], changes: Sequence[Change], waivers: Waivers, troubles: Sequence[str]) -> int:
    """The exit status; a known regression outweighs what could not be judged."""
    red = [change for change in changes if change.status in RED and not waivers.find(change.cell, change.metric)]
    budgets = [verdict for verdict in verdicts if verdict.axis != AXIS]
    if any(change.status in ("regressed", "missing") for change in red) or any(v.status == "fail" for v in budgets):
        return REGRESSED
    if waivers.expired:
        return REGRESSED
    return NOT_JUDGED if red or troubles or any(v.status == "error" for v in budgets) else PASSED
