"""A session's comparison with accepted baselines, and its waivers."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeworthy.cells import CellId
from edgeworthy.config import ModelsFile
from edgeworthy.errors import ConfigError, RecipeRefused
from edgeworthy.measurements.bench import Bench
from edgeworthy.records import Change, Interleaved, Verdict
from edgeworthy.runs.run import Run
from edgeworthy.verdicts.baselines import Baselines
from edgeworthy.verdicts.completeness import missing_cells, scope_in_words
from edgeworthy.verdicts.interleaving import enough, interleaved
from edgeworthy.verdicts.regression import AXIS, accept_command, compare_cell, new_cell, same_artifact
from edgeworthy.verdicts.snapshots import Snapshot, snapshot
from edgeworthy.verdicts.waivers import Waivers


@dataclass(frozen=True)
class Ending:
    """What a finished run lacks, other reasons for it to fail, and notes."""

    missing: Sequence[Verdict]
    troubles: Sequence[str]
    notes: Sequence[str]


class Gate:
    """Baselines below ``folder`` (None: the run is not compared), and the waivers beside models.yaml."""

    def __init__(self, models_yaml: Path, models: ModelsFile, folder: Path | None, default: Path, run: Path) -> None:
        self.folder = folder
        self.tolerances = models.regression
        self.run_name = os.path.relpath(run)
        self._default = default
        self._waivers_yaml = models_yaml.with_name("waivers.yaml")

    @functools.cached_property
    def baselines(self) -> Baselines:
        """The accepted cells. Raises StoreError."""
        return Baselines.from_folder(self.folder or self._default)

    @functools.cached_property
    def waivers(self) -> Waivers:
        """The waivers as of today. Raises ConfigError."""
        return Waivers.load(self._waivers_yaml)

    def check(self, cells: Sequence[CellId]) -> None:
        """Refuse unreadable files before anything is measured. Raises EdgeworthyError."""
        if self.folder is not None and self.folder != self._default and not self.baselines.files:
            raise ConfigError(
                f"--edge-baseline {self.folder}: there is no baseline",
                hint="name a folder of baselines, and the tests before the option: pytest benchmarks/ --edge-baseline",
            )
        if self._waivers_yaml.is_file():
            self.waivers.check_names([*cells, *self.baselines.cells()])
        elif self.folder is not None:
            _ = self.baselines

    def judge(self, bench: Bench, cell: CellId) -> Verdict:
        """Measure what is not measured yet, and compare it with the baseline. Raises EdgeworthyError."""
        return self.waivers.judge(cell, self._changes(bench, cell))

    def end(self, run: Run, verdicts: Sequence[Verdict]) -> Ending:
        """Compare a finished run with all accepted cells. Raises EdgeworthyError."""
        troubles = list(self.waivers.expired)
        if self.folder is None:
            return Ending([], troubles, [])
        accepted = self.baselines.cells()
        compared = {verdict.cell for verdict in verdicts if verdict.axis == AXIS}
        gone = missing_cells(accepted, compared, run.scope, self.run_name)
        missing = [self.waivers.judge(change.cell, [change]) for change in gone]
        if not compared:
            troubles.append("--edge-baseline was given, but no test compared a cell with its baseline")
        scope = scope_in_words(run.scope, accepted)
        return Ending(missing, troubles, [*([scope] if scope else []), *self.waivers.unneeded([*verdicts, *missing])])

    def _changes(self, bench: Bench, cell: CellId) -> list[Change]:
        if self.folder is None:
            raise ConfigError(
                "this test compares with a baseline and was run without --edge-baseline",
                hint="mark it @pytest.mark.edge_regression, so that it runs only with that option",
            )
        before = self.baselines.find(cell)
        try:
            after = self._measured(bench, cell)
        except RecipeRefused as error:
            if before is None:
                raise
            step = f"make it convert again, or remove it from the baseline: {accept_command(self.run_name, cell, removed=True)}"
            said = f"the cell is in the baseline, but its recipe now refuses the model: {error.message}"
            return [Change(cell, "cell", "missing", "exact", None, None, said, step)]
        if before is None:
            return [new_cell(cell, self.run_name)]
        turn = self._interleaved(bench, cell, before, after)
        return compare_cell(cell, before, after, self.tolerances, run=self.run_name, interleaved=turn)

    @staticmethod
    def _measured(bench: Bench, cell: CellId) -> Snapshot:
        outputs, timing = bench.outputs(cell), bench.timing(cell)
        return snapshot(bench.journal.provenance(cell), bench.truth(cell.model), outputs, timing)

    def _interleaved(self, bench: Bench, cell: CellId, before: Snapshot, after: Snapshot) -> Interleaved | None:
        """Interleaved A/B timing, where the artifacts differ and the store still has the baseline's."""
        if same_artifact(before, after) or before.artifact == after.artifact:
            return None
        percent = self.tolerances.latency_percent
        timing = bench.interleaved(cell, before.artifact, enough(percent), self.tolerances.max_seconds)
        return interleaved(timing, percent) if timing else None
