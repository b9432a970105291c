"""The end of a run: its reports, its record in the history, and what fails it although no test failed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgeworthy.diagnosis.after_run import diagnose_cells, failed_on_accuracy
from edgeworthy.errors import ConfigError, EdgeworthyError
from edgeworthy.history.recording import record_ended
from edgeworthy.measurements.project import Project
from edgeworthy.pytest_plugin.gate import Ending, Gate
from edgeworthy.pytest_plugin.progress import Progress
from edgeworthy.records import JUDGED_STATUSES, RED_STATUSES
from edgeworthy.reports import run_folder
from edgeworthy.reports.summary import terminal_table
from edgeworthy.runs.run import Run
from edgeworthy.storage import open_store
from edgeworthy.text import plural
from edgeworthy.verdicts.completeness import unproven
from edgeworthy.verdicts.gate import noise_notes


class EndedRun:
    """The run in ``folder``, after its last test."""

    def __init__(self, folder: Path, gate: Gate, config: pytest.Config) -> None:
        self.folder = folder
        self.gate = gate
        self.config = config
        self._rows: list[dict[str, object]] = []
        self._notes: list[str] = []
        self._warning = ""
        self._trouble = ""

    def finish(self, exitstatus: int, stopped: bool) -> bool:
        """Write the reports; True if the run fails although no test failed.

        ``stopped``: pytest left tests out (``-x``, ``--maxfail``): such a run can be resumed.
        """
        ended = not stopped and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        try:
            run = Run.open(self.folder)
            ending = self._compared_with_baselines(run) if ended else None
            self._notes += noise_notes(run)
            self._notes += self._diagnoses(run) if ended else []
            rows = run_folder.finish(run, self.config.rootpath, complete=ended, notes=self._notes)
            self._prune()
        except EdgeworthyError as error:
            self._trouble = str(error)
            return True
        self._rows = rows
        self._record()
        self._trouble = "\nedgeworthy: ".join(self._troubles(run, ending, exitstatus))
        return bool(self._trouble)

    def _troubles(self, run: Run, ending: Ending | None, exitstatus: int) -> list[str]:
        """Why the run fails beside its failing tests, one sentence each."""
        troubles = [*ending.troubles, *self._unproven(run, exitstatus)] if ending else []
        if not any(row["status"] in JUDGED_STATUSES for row in self._rows):
            troubles.append(
                "no cell was judged: all were skipped, refused, waived or absent, so there is no evidence that any may ship"
            )
        missing = [verdict for verdict in ending.missing if verdict.status == "fail"] if ending else []
        if missing:
            troubles.append(f"{plural(len(missing), 'cell')} of the baseline missing from this run")
        return troubles

    def _unproven(self, run: Run, exitstatus: int) -> list[str]:
        """Why a finished run proves nothing although no test failed."""
        verdicts = run.verdicts()
        red = [verdict for verdict in verdicts if verdict.status in RED_STATUSES]
        if exitstatus == pytest.ExitCode.OK and red:
            first = f"{red[0].cell} {red[0].axis}: {red[0].message}"
            return [f"{plural(len(red), 'verdict')} failed but no test did (is an assert missing?), first: {first}"]
        return unproven(run.cells, verdicts)

    def _compared_with_baselines(self, run: Run) -> Ending:
        """Compare with the baselines; cells that the run lacks get a verdict, too."""
        ending = self.gate.end(run, run.verdicts())
        for verdict in ending.missing:
            run.log.add(verdict)
        self._notes = list(ending.notes)
        return ending

    def _diagnoses(self, run: Run) -> list[str]:
        """Why cells failed on accuracy, one line each."""
        failed = failed_on_accuracy(run.verdicts())
        if not failed or not self.config.getini("edge_diagnose"):
            return []
        root, ini = self.config.rootpath, self.config.getini
        project = Project.load(root / str(ini("edge_models")), root / str(ini("edge_devices")))
        return diagnose_cells(
            project, open_store(root / str(ini("edge_store"))), self.folder, failed, Progress(self.config)
        )

    def _record(self) -> None:
        """Add the run to the history; a failure to do so is only a warning."""
        self._warning = record_ended(self.folder, str(self.config.getini("edge_history")), self.config.rootpath)

    def _prune(self) -> None:
        given = str(self.config.getini("edge_store_max_gb"))
        try:
            limit = float(given)
        except ValueError as error:
            raise ConfigError(
                f"edge_store_max_gb = {given}: not a number of gigabytes",
                hint="give a number of gigabytes, for example edge_store_max_gb = 10",
            ) from error
        open_store(self.config.rootpath / str(self.config.getini("edge_store"))).prune(int(limit * 1e9))

    def summarize(self, reporter: pytest.TerminalReporter) -> None:
        """The table, where the reports are, and why the run fails although no test did."""
        if self._rows:
            reporter.section("edgeworthy")
            reporter.write(terminal_table(self._rows, bool(reporter.hasmarkup), shutil.get_terminal_size().columns))
            reporter.write_line(f"reports: {self.folder}")
        for note in self._notes:
            reporter.write_line(f"edgeworthy: {note}")
        if self._warning:
            reporter.write_line(f"edgeworthy: {self._warning}", yellow=True)
        if self._trouble:
            reporter.write_line(f"edgeworthy: {self._trouble}", red=True)
