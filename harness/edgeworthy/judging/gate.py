"""Runs against accepted baselines, with the waivers: cell by cell while one is measured, or a stored one as a whole."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from edgeworthy.cells import CellId
from edgeworthy.config import CANARY, Tolerances
from edgeworthy.errors import ConfigError, EdgeworthyError, RecipeRefused, StoreError
from edgeworthy.measurements.bench import Bench
from edgeworthy.records import JUDGED_STATUSES, Change, Interleaved, Timing, Verdict, identity_of
from edgeworthy.runs.run import Run
from edgeworthy.runs.run_file import Scope
from edgeworthy.verdicts.baselines import Baselines
from edgeworthy.verdicts.completeness import emulated_in_words, missing_cells, scope_in_words, unproven
from edgeworthy.verdicts.interleaving import enough, interleaved, stored_interleaved
from edgeworthy.verdicts.noise import noise_note
from edgeworthy.verdicts.regression import AXIS, compare, new_cell
from edgeworthy.verdicts.sides import RED, Sides, accept_command, same_artifact
from edgeworthy.verdicts.snapshots import Snapshot, snapshot, stored_snapshot
from edgeworthy.verdicts.waivers import Waivers

PASSED, REGRESSED, NOT_JUDGED = 0, 1, 2
#: Finds the evidence of a cell that was timed interleaved with its baseline.
Interleave = Callable[[Snapshot, Snapshot], Interleaved | None]


@dataclass(frozen=True)
class GateResult:
    """The gate's result: every change, a verdict per cell and axis, other failures (``troubles``), and notes.

    ``waived`` are the changes that would fail without a waiver.
    """

    run: str
    baseline: str
    changes: Sequence[Change]
    verdicts: Sequence[Verdict]
    troubles: Sequence[str]
    notes: Sequence[str]
    status: int
    waived: Sequence[Change] = ()

    @classmethod
    def unjudged(cls, run: str, baseline: str, error: EdgeworthyError) -> GateResult:
        """That of a run that could not be judged at all."""
        return cls(run, baseline, [], [], [f"{error.message}. Hint: {error.hint}"], [], NOT_JUDGED)


@dataclass(frozen=True)
class Ending:
    """What a finished run lacks, other reasons for it to fail, and notes."""

    missing: Sequence[Verdict]
    troubles: Sequence[str]
    notes: Sequence[str]


class Gate:
    """What the run called ``run`` is held against: ``baselines`` (None: it is not compared), and ``waivers``."""

    def __init__(self, run: str, baselines: Baselines | None, waivers: Waivers, tolerances: Tolerances) -> None:
        self.run = run
        self.baselines = baselines
        self.waivers = waivers
        self.tolerances = tolerances

    # -- a cell -----------------------------------------------------------------------------------------------

    def judge(self, bench: Bench, cell: CellId) -> Verdict:
        """Measure what is not measured yet, and compare it with the baseline. Raises EdgeworthyError."""
        return self.waivers.judge(cell, self._measured_changes(bench, cell))

    def _measured_changes(self, bench: Bench, cell: CellId) -> list[Change]:
        if self.baselines is None:
            raise ConfigError(
                "this test compares with a baseline and was run without --edge-baseline",
                hint="mark it @pytest.mark.edge_regression, so that it runs only with that option",
            )
        try:
            after = _measured(bench, cell)
        except RecipeRefused as error:
            if self.baselines.find(cell) is None:
                raise
            step = (
                f"make it convert again, or remove it from the baseline: {accept_command(self.run, cell, removed=True)}"
            )
            said = f"the cell is in the baseline, but its recipe now refuses the model: {error.message}"
            return [Change(cell, "cell", "missing", "exact", None, None, said, step)]
        return self.changes(cell, after, lambda before, after: self._interleaved(bench, cell, before, after))

    def _interleaved(self, bench: Bench, cell: CellId, before: Snapshot, after: Snapshot) -> Interleaved | None:
        """Interleaved A/B timing, where the artifacts differ and the store still has the baseline's."""
        if same_artifact(before, after) or before.artifact == after.artifact or not bench.timed(cell):
            return None
        percent = self.tolerances.latency_percent
        timing = bench.interleaved(cell, before.artifact, enough(percent), self.tolerances.max_seconds)
        return interleaved(timing, percent) if timing else None

    def changes(self, cell: CellId, after: Snapshot, interleave: Interleave) -> list[Change]:
        """What became of the cell's metrics since its baseline."""
        before = self.baselines.find(cell) if self.baselines else None
        if before is None:
            return [new_cell(cell, self.run)]
        turn = interleave(before, after)
        return compare(Sides(cell, before, after, self.tolerances, self.run, turn))

    # -- a run ------------------------------------------------------------------------------------------------

    def missing(self, measured: Collection[CellId], scope: Scope) -> list[Change]:
        """The accepted cells that a run of this scope should have measured."""
        return missing_cells(self._accepted(), measured, scope, self.run)

    def notes(self, scope: Scope, verdicts: Sequence[Verdict]) -> list[str]:
        """What a run of this scope does not cover, and waivers that its cells do not need."""
        covered = scope_in_words(scope, self._accepted())
        return [*([covered] if covered else []), *self.waivers.unneeded(verdicts)]

    def end(self, scope: Scope, verdicts: Sequence[Verdict]) -> Ending:
        """Compare a run that was just measured with all accepted cells."""
        troubles = list(self.waivers.expired)
        if self.baselines is None:
            return Ending([], troubles, [])
        compared = {verdict.cell for verdict in verdicts if verdict.axis == AXIS}
        missing = [self.waivers.judge(change.cell, [change]) for change in self.missing(compared, scope)]
        if not compared:
            troubles.append("--edge-baseline was given, but no test compared a cell with its baseline")
        return Ending(missing, troubles, self.notes(scope, [*verdicts, *missing]))

    def _accepted(self) -> list[CellId]:
        return self.baselines.cells() if self.baselines else []


def judge_run(run: Run, baselines: Baselines, waivers: Waivers, tolerances: Tolerances) -> GateResult:
    """Judge a finished run from what it stored: nothing is measured. Raises StoreError where it cannot be read."""
    run.check_complete()
    accepted = baselines.cells()
    if not accepted:
        raise StoreError(
            f"{baselines.origin}: there is no baseline",
            hint=f'edgeworthy baseline accept {run.folder} --reason "..."',
        )
    gate = Gate(str(run.folder), baselines, waivers, tolerances)
    changes = stored_changes(run, gate)
    stored = [_again(verdict, waivers) for verdict in run.verdicts() if verdict.axis != AXIS]
    compared = [waivers.judge(cell, own) for cell, own in _by_cell(changes).items()]
    verdicts = [*stored, *compared]
    if run.scope.whole:  # of a part of the project, not every name is known here
        waivers.check_names([*accepted, *run.cells])
    troubles = [*waivers.expired, *unproven(run.cells, stored)]
    if not any(verdict.status in JUDGED_STATUSES for verdict in compared):
        troubles.append("no cell was compared with a baseline")
    notes = [*gate.notes(run.scope, verdicts), *emulated_in_words(run.cells, run.emulated), *noise_notes(run)]
    failing = [change for change in changes if change.status in RED]
    waived = [change for change in failing if waivers.find(change.cell, change.metric)]
    red = [change for change in failing if change not in waived]
    status = _status(verdicts, red, waivers, troubles)
    return GateResult(str(run.folder), baselines.origin, changes, verdicts, troubles, notes, status, waived)


def noise_notes(run: Run) -> list[str]:
    """For each target, the smallest slowdown visible there, from the noise studies beside the runs."""
    fingerprints: dict[str, dict[str, str]] = {}
    for cell in run.cells:
        timing = run.journal.find(Timing, cell)
        if timing:
            fingerprints[cell.target] = identity_of(timing.conditions.fingerprint)
    results = run.folder.resolve().parent
    return [noise_note(results, target, identity) for target, identity in fingerprints.items()]


def stored_changes(run: Run, gate: Gate) -> list[Change]:
    """Every change of every cell of the run, canaries apart, and the cells that are new or missing."""
    percent = gate.tolerances.latency_percent
    snapshots = {cell: stored_snapshot(run.journal, cell) for cell in run.cells if cell.variant != CANARY}
    measured = {cell: after for cell, after in snapshots.items() if after is not None}
    changes: list[Change] = []
    for cell, after in measured.items():

        def interleave(before: Snapshot, after: Snapshot, cell: CellId = cell) -> Interleaved | None:
            return stored_interleaved(run.journal, cell, before, after, percent)

        changes += gate.changes(cell, after, interleave)
    return [*changes, *gate.missing(measured, run.scope)]


def _measured(bench: Bench, cell: CellId) -> Snapshot:
    outputs, timing = bench.outputs(cell), bench.timing(cell) if bench.timed(cell) else None
    return snapshot(bench.journal.provenance(cell), bench.truth(cell.model), outputs, timing)


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


def _status(verdicts: Sequence[Verdict], red: Sequence[Change], waivers: Waivers, troubles: Sequence[str]) -> int:
    """The exit status; a known regression outweighs what could not be judged."""
    budgets = [verdict for verdict in verdicts if verdict.axis != AXIS]
    if any(change.status in ("regressed", "missing") for change in red) or any(v.status == "fail" for v in budgets):
        return REGRESSED
    if waivers.expired:
        return REGRESSED
    return NOT_JUDGED if red or troubles or any(v.status == "error" for v in budgets) else PASSED
