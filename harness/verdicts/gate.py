"""A whole run against its baselines, from stored results alone: nothing is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.config import CANARY, Regression
from harness.errors import StoreError
from harness.measurements.journal import Journal
from harness.measurements.run_file import RunFile, Scope
from harness.records import JUDGED_OUTCOMES, CellId, Change, Timing, Verdict, identity_of
from harness.verdicts.baselines import Baselines
from harness.verdicts.completeness import missing_cells, scope_in_words, unproven
from harness.verdicts.interleaving import stored_interleaved
from harness.verdicts.log import VerdictLog
from harness.verdicts.noise import noise_note
from harness.verdicts.regression import AXIS, RED, compare_cell, new_cell
from harness.verdicts.snapshots import stored_snapshot
from harness.verdicts.waivers import Waivers

PASSED, REGRESSED, NOT_JUDGED = 0, 1, 2


@dataclass(frozen=True)
class GateResult:
    """What the gate says: every change, a verdict per cell and axis, what is red beside them, and what is noted."""

    run: str
    baseline: str
    changes: Sequence[Change]
    verdicts: Sequence[Verdict]
    troubles: Sequence[str]
    notes: Sequence[str]
    status: int


def judge_run(run_folder: Path, baselines: Baselines, tolerances: Regression, waivers: Waivers) -> GateResult:
    """Judge a finished run. Raises StoreError where it, or the baselines, cannot be read."""
    run = RunFile.read(run_folder)
    if not run.complete:
        raise StoreError(
            f"{run_folder}: the run did not come to its end",
            next_step=f"pytest benchmarks/ --edge-resume {run_folder.resolve().name}",
        )
    accepted = baselines.cells()
    if not accepted:
        raise StoreError(
            f"{baselines.origin}: there is no baseline",
            next_step=f'edgegate baseline accept {run_folder} --reason "..."',
        )
    changes = run_changes(run, baselines, tolerances)
    stored = [_again(verdict, waivers) for verdict in VerdictLog(run_folder).read() if verdict.axis != AXIS]
    compared = [waivers.judge(cell, own) for cell, own in _by_cell(changes).items()]
    verdicts = [*stored, *compared]
    if run.scope == Scope():  # of a part of the project, not every name is known here
        waivers.check_names([*accepted, *run.cells])
    troubles = [*waivers.expired, *unproven(run.cells, stored)]
    if not any(verdict.outcome in JUDGED_OUTCOMES for verdict in compared):
        troubles.append("no cell was compared with a baseline")
    scope = scope_in_words(run.scope, accepted)
    notes = [*([scope] if scope else []), *waivers.unneeded(verdicts), *noise_notes(run)]
    status = _status(verdicts, changes, waivers, troubles)
    return GateResult(str(run_folder), baselines.origin, changes, verdicts, troubles, notes, status)


def noise_notes(run: RunFile) -> list[str]:
    """For each target, which slowdowns are visible there, as the studies beside the runs say."""
    journal, fingerprints = Journal(run.folder), {}
    for cell in run.cells:
        timing = journal.find(Timing, cell)
        if timing:
            fingerprints[cell.target] = identity_of(timing.conditions.fingerprint)
    results = run.folder.resolve().parent
    return [noise_note(results, target, identity) for target, identity in fingerprints.items()]


def run_changes(run: RunFile, baselines: Baselines, tolerances: Regression) -> list[Change]:
    """Every change of every cell of the run, canaries apart, and the cells that are new or missing."""
    journal, name = Journal(run.folder), str(run.folder)
    changes: list[Change] = []
    measured: list[CellId] = []
    for cell in run.cells:
        after = stored_snapshot(journal, cell) if cell.variant != CANARY else None
        if after is None:
            continue
        measured.append(cell)
        before = baselines.find(cell)
        if before is None:
            changes.append(new_cell(cell, name))
            continue
        turn = stored_interleaved(journal, cell, before, after, tolerances.latency_percent)
        changes += compare_cell(cell, before, after, tolerances, run=name, interleaved=turn)
    return [*changes, *missing_cells(baselines.cells(), measured, run.scope, name)]


def _again(verdict: Verdict, waivers: Waivers) -> Verdict:
    """A stored verdict under today's waivers."""
    if verdict.outcome == "waived":
        verdict = replace(verdict, outcome="fail", waived_by=())
    return verdict if verdict.cell.variant == CANARY else waivers.waive(verdict)


def _by_cell(changes: Sequence[Change]) -> dict[CellId, list[Change]]:
    found: dict[CellId, list[Change]] = {}
    for change in changes:
        found.setdefault(change.cell, []).append(change)
    return found


def _status(verdicts: Sequence[Verdict], changes: Sequence[Change], waivers: Waivers, troubles: Sequence[str]) -> int:
    """A known regression outweighs what could not be judged."""
    red = [change for change in changes if change.word in RED and not waivers.find(change.cell, change.metric)]
    budgets = [verdict for verdict in verdicts if verdict.axis != AXIS]
    if any(change.word in ("regressed", "missing") for change in red) or any(v.outcome == "fail" for v in budgets):
        return REGRESSED
    if waivers.expired:
        return REGRESSED
    return NOT_JUDGED if red or troubles or any(v.outcome == "error" for v in budgets) else PASSED
