"""The end of a run: its reports, its record in the history, and what fails it although no verdict did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from edgeworthy.diagnosis.after_run import diagnose_cells, failed_on_accuracy
from edgeworthy.errors import EdgeworthyError
from edgeworthy.history.recording import record_ended
from edgeworthy.judging.gate import Ending, Gate, noise_notes
from edgeworthy.measurements.project import Project
from edgeworthy.records import RED_STATUSES
from edgeworthy.reports import run_folder
from edgeworthy.reports.html.beside import Beside
from edgeworthy.reports.summary import terminal_table
from edgeworthy.reports.users import write_users
from edgeworthy.runs.run import Run
from edgeworthy.session.report_page import write_report_page
from edgeworthy.session.settings import Settings
from edgeworthy.session.troubles import troubles_of
from edgeworthy.verdicts.completeness import emulated_in_words


@dataclass
class Ended:
    """What to show of a run that ended, or was ``stopped``: its ``rows``, worst first; notes, warnings, why it fails."""

    stopped: bool = False
    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    @property
    def red(self) -> bool:
        """Whether a cell may not ship, or the run proves nothing."""
        return bool(self.troubles) or any(row["status"] in RED_STATUSES for row in self.rows)

    def table(self, color: bool, width: int) -> str:
        """The rows for a terminal of that many columns; empty where there are none."""
        return terminal_table(self.rows, color, width) if self.rows else ""


def end_run(
    run: Run,
    project: Project,
    gate: Gate,
    settings: Settings,
    progress: Callable[[str], None],
    *,
    complete: bool,
    unasserted: bool = False,
) -> Ended:
    """Write the reports, diagnose what failed, and record the run.

    A run that is not ``complete`` was stopped, and can be resumed. ``unasserted``: no test failed, so that a red verdict is
    one that no test asserts. What goes wrong here is among the troubles.
    """
    ended = Ended(stopped=not complete)
    try:
        ending = _compared(run, gate, ended) if complete else None
        ended.notes += emulated_in_words(run.cells, run.emulated)
        ended.notes += noise_notes(run)
        ended.notes += _diagnoses(run, project, settings, progress) if complete else []
        ended.rows = run_folder.finish(run, settings.root, complete=complete, notes=ended.notes)
        settings.prune()
    except EdgeworthyError as error:
        ended.rows = []
        ended.troubles.append(str(error))
        return ended
    warning = record_ended(run.folder, settings.history, settings.root)
    ended.warnings += [warning] if warning else []
    ended.troubles += troubles_of(run, ending, ended.rows, unasserted)
    said = Beside(ended.notes, ended.troubles)
    ended.warnings += write_report_page(run, ended.rows, project, gate, settings, said)
    ended.warnings += write_users(project.reports, run.folder) if complete else []
    return ended


def _compared(run: Run, gate: Gate, ended: Ended) -> Ending:
    """Compare with the baselines; cells that the run lacks get a verdict, too."""
    ending = gate.end(run.scope, run.verdicts())
    for verdict in ending.missing:
        run.log.add(verdict)
    ended.notes += ending.notes
    return ending


def _diagnoses(run: Run, project: Project, settings: Settings, progress: Callable[[str], None]) -> list[str]:
    """Why cells failed on accuracy, one line each."""
    failed = failed_on_accuracy(run.verdicts())
    if not failed or not settings.diagnose:
        return []
    return diagnose_cells(project, settings.open_store(), run.folder, failed, progress)
