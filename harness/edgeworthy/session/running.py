"""``edgeworthy run``: measure and judge the selected cells without pytest."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from edgeworthy.cells import CellId, CellSelector
from edgeworthy.judging.axes import CANARY_AXIS
from edgeworthy.judging.judge import Judge, Judged
from edgeworthy.measurements.bench import Bench
from edgeworthy.measurements.project import Project
from edgeworthy.records import RED_STATUSES, Verdict
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

    ``say`` gets progress, and a line for every verdict that fails. After ctrl-C, what was measured is reported, and the run can
    be resumed.
    """
    project = settings.project()
    cells = project.selected(asked.selection, "--")
    folder = asked.resumed or settings.results / new_name()
    gate = settings.gate(project, asked.baselines, folder, "--baseline")
    if asked.baselines is not None:
        check_tolerances(settings, project, cells)
    planned = [*cells, *project.canaries(cells)]
    run = Run.begin(folder, planned, Scope.within(asked.selection), project.devices.emulated())
    run.log.clear()
    bench = Bench(project, settings.open_store(), run.journal, cells, say, ahead=True)
    judge, complete = Judge(bench, gate, asked.limits), True
    with contextlib.closing(bench):
        try:
            for cell, axis, ask in _questions(judge, project, cells, asked.baselines is not None):
                verdict = _verdict(cell, axis, ask)
                run.log.add(verdict)
                if verdict.status in RED_STATUSES:
                    say(f"{verdict.status} {cell} {axis}: {verdict}")
        except KeyboardInterrupt:
            complete = False
    return run, end_run(run, project, gate, settings, say, complete=complete)


#: A cell, what is asked of it, and how.
Question = tuple[CellId, str, Callable[[], Judged]]


def _questions(judge: Judge, project: Project, cells: Sequence[CellId], compared: bool) -> Iterator[Question]:
    """Every cell on every axis, those that are trained last: no other verdict waits for them; then pairs and canaries."""
    axes = (*AXES, *([REGRESSION] if compared else []))
    trained = {cell for cell in cells if project.plan(cell.model, cell.variant).recipe.trained}
    for group in ([cell for cell in cells if cell not in trained], [cell for cell in cells if cell in trained]):
        for axis in axes:
            for cell in group:
                yield cell, axis, partial(judge.judge, axis, cell)
    for cell, first in project.pairs(cells):
        yield cell, "consistency", partial(judge.consistency, cell, first)
    for cell in project.canaries(cells):
        yield cell, CANARY_AXIS, partial(judge.canary, cell)


def _verdict(cell: CellId, axis: str, ask: Callable[[], Judged]) -> Verdict:
    """The verdict; what nobody foresaw costs this cell alone, as it costs one test under pytest."""
    try:
        return ask().verdict
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        return Verdict(
            cell, axis, "error", "exact", message, "please report this, with the traceback that pytest shows"
        )
