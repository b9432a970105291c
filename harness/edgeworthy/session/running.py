"""``edgeworthy run``: measure and judge the selected cells without pytest."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgeworthy.cells import CellId, CellSelector
from edgeworthy.judging.judge import Judge, Judged
from edgeworthy.measurements.bench import Bench
from edgeworthy.measurements.project import Project
from edgeworthy.records import RED_STATUSES
from edgeworthy.runs.naming import new_name
from edgeworthy.runs.run import Run
from edgeworthy.runs.run_file import Scope
from edgeworthy.session.ending import Ended, end_run
from edgeworthy.session.settings import Settings
from edgeworthy.session.tolerance import check_tolerances
from edgeworthy.verdicts.regression import AXIS as REGRESSION

#: The axes of every cell, in the order in which a suite asks for them.
AXES = ("accuracy", "footprint", "latency")


@dataclass(frozen=True)
class Asked:
    """What is asked of a run: which cells, limits over theirs, and a folder of baselines (None: not compared)."""

    selection: CellSelector = field(default_factory=CellSelector)
    limits: Mapping[str, float] = field(default_factory=dict)
    baselines: Path | None = None
    resumed: Path | None = None


def run_cells(settings: Settings, asked: Asked, say: Callable[[str], None]) -> tuple[Run, Ended]:
    """Measure and judge as a suite with all axes would. Raises EdgeworthyError before anything is measured.

    ``say`` gets progress, and a line for every verdict that fails. What was measured before ctrl-C is reported, and can be
    resumed.
    """
    project = settings.project()
    cells = project.selected(asked.selection, "--")
    folder = asked.resumed or settings.results / new_name()
    gate = settings.gate(project, asked.baselines, folder, "--baseline")
    if asked.baselines is not None:
        check_tolerances(settings, project, cells)
    scope = Scope(asked.selection.models, asked.selection.variants, asked.selection.targets)
    run = Run.begin(folder, [*cells, *project.canaries(cells)], scope)
    run.log.clear()
    bench = Bench(project, settings.open_store(), run.journal, cells, say, ahead=True)
    axes = (*AXES, *([REGRESSION] if asked.baselines else []))
    with contextlib.closing(bench):
        try:
            for judged in _judged(Judge(bench, gate, asked.limits), project, cells, axes):
                run.log.add(judged.verdict)
                if judged.verdict.status in RED_STATUSES:
                    say(f"{judged.verdict.status} {judged.verdict.cell} {judged.verdict.axis}: {judged.verdict}")
        except KeyboardInterrupt:
            end_run(run, gate, settings, say, complete=False)
            raise
    return run, end_run(run, gate, settings, say, complete=True)


def _judged(judge: Judge, project: Project, cells: Sequence[CellId], axes: Sequence[str]) -> Iterator[Judged]:
    """Every cell on every axis, those that are trained last: no other verdict waits for them; then pairs and canaries."""
    trained = {cell for cell in cells if project.plan(cell.model, cell.variant).recipe.trained}
    for group in ([cell for cell in cells if cell not in trained], [cell for cell in cells if cell in trained]):
        for axis in axes:
            yield from (judge.judge(axis, cell) for cell in group)
    yield from (judge.consistency(cell, first) for cell, first in project.pairs(cells))
    yield from (judge.canary(cell) for cell in project.canaries(cells))
