"""One side of a comparison: a run, a folder of baselines, or what a git revision has of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgeworthy.cells import CellId
from edgeworthy.config import CANARY
from edgeworthy.errors import ConfigError
from edgeworthy.records import Outputs, Timing
from edgeworthy.reports.columns import Row, id_of
from edgeworthy.reports.run_folder import rows_of
from edgeworthy.runs.run import Run
from edgeworthy.truth import Truth
from edgeworthy.verdicts.baselines import Baselines
from edgeworthy.verdicts.snapshots import Snapshot, stored_snapshot

#: The status of a cell that a baseline has: only what passed is accepted.
ACCEPTED = "accepted"


@dataclass(frozen=True)
class OneSide:
    """``name`` is how it was asked for; canaries are left out. A baseline has no ``run``, and so no ``rows``."""

    name: str
    snapshots: Mapping[CellId, Snapshot]
    rows: Mapping[CellId, Row] = field(default_factory=dict)
    run: Run | None = None

    def status(self, cell: CellId) -> str:
        """The cell's status there; empty where it is not."""
        if cell in self.rows:
            return str(self.rows[cell]["status"])
        return ACCEPTED if cell in self.snapshots else ""

    def truth(self, model: str) -> Truth | None:
        """What a run's model was judged by."""
        return self.run.journal.truth(model) if self.run else None

    def outputs(self, cell: CellId) -> Outputs | None:
        """A run's outputs of a cell."""
        return self.run.journal.find(Outputs, cell) if self.run else None

    def timing(self, cell: CellId) -> Timing | None:
        """A run's times of a cell."""
        return self.run.journal.find(Timing, cell) if self.run else None


def one_side(ref: str, folder: Path) -> OneSide:
    """A run's folder, a folder of baselines, or else what a git revision has in ``folder``. Raises StoreError, ConfigError."""
    if (Path(ref) / "run.json").is_file():
        return _of_run(ref, Run.open(Path(ref)))
    baselines = baselines_at(ref, folder)
    return OneSide(ref, {cell: found for cell in baselines.cells() if (found := baselines.find(cell))})


def baselines_at(ref: str, folder: Path) -> Baselines:
    """A folder of that name, or else what a revision has in ``folder``. Raises StoreError, ConfigError."""
    if Path(ref).is_dir():
        return Baselines.from_folder(Path(ref))
    if folder.is_absolute():
        raise ConfigError(
            f"--folder {folder}: a revision's folder is a path below the working directory",
            hint="give it relative to the working directory, for example results/baselines",
        )
    return Baselines.from_git(Path(), ref, os.path.normpath(folder))


def _of_run(ref: str, run: Run) -> OneSide:
    cells = [cell for cell in run.cells if run.scope.selects(cell) and cell.variant != CANARY]
    stored = {cell: found for cell in cells if (found := stored_snapshot(run.journal, cell))}
    rows = {id_of(row): row for row in rows_of(run)}
    return OneSide(ref, stored, {cell: rows[cell] for cell in cells}, run)
