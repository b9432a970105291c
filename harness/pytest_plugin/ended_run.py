"""A run that pytest has ended: its reports, its place in the history, and what makes it red beside its tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.diagnosis.after_run import diagnose_cells, failed_on_accuracy
from harness.errors import ConfigError, EdgegateError
from harness.history.recording import record_ended
from harness.measurements.project import Project
from harness.measurements.run_file import RunFile
from harness.pytest_plugin.gate import Ending, Gate
from harness.pytest_plugin.progress import Progress
from harness.records import JUDGED_OUTCOMES, RED_OUTCOMES
from harness.reports import run_folder
from harness.reports.summary import terminal_table
from harness.storage import open_store
from harness.verdicts.completeness import unproven
from harness.verdicts.gate import noise_notes
from harness.verdicts.log import VerdictLog


class EndedRun:
    """The run in ``folder``, once all its tests have been run."""

    def __init__(self, folder: Path, gate: Gate, log: VerdictLog, config: pytest.Config) -> None:
        self.folder = folder
        self.gate = gate
        self.log = log
        self.config = config
        self._rows: list[dict[str, object]] = []
        self._notes: list[str] = []
        self._warning = ""
        self._trouble = ""

    def finish(self, exitstatus: int, stopped: bool) -> bool:
        """Write the reports; True where the run is red for what is not any test's failure.

        ``stopped`` says that pytest left tests out (``-x``, ``--maxfail``): such a run can be resumed.
        """
        ended = not stopped and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        try:
            ending = self._held_against_baselines() if ended else None
            self._notes += noise_notes(RunFile.read(self.folder))
            self._notes += self._diagnoses() if ended else []
            rows = run_folder.finish(self.folder, self.config.rootpath, complete=ended, notes=self._notes)
            self._prune()
        except EdgegateError as error:
            self._trouble = str(error)
            return True
        self._rows = rows
        self._record()
        self._trouble = "\nedgegate: ".join(self._troubles(ending, exitstatus))
        return bool(self._trouble)

    def _troubles(self, ending: Ending | None, exitstatus: int) -> list[str]:
        """What makes the run red beside its tests, in sentences."""
        troubles = [*ending.troubles, *self._unproven(exitstatus)] if ending else []
        if not any(row["status"] in JUDGED_OUTCOMES for row in self._rows):
            troubles.append(
                "no cell was judged: every one was skipped, refused, waived or absent, which is no evidence that any may ship"
            )
        missing = [verdict for verdict in ending.missing if verdict.outcome == "fail"] if ending else []
        if missing:
            troubles.append(f"{len(missing)} cells of the baseline are missing in this run")
        return troubles

    def _unproven(self, exitstatus: int) -> list[str]:
        """What makes a run that came to its end no evidence although no test failed for it."""
        verdicts = self.log.read()
        red = [verdict for verdict in verdicts if verdict.outcome in RED_OUTCOMES]
        if exitstatus == pytest.ExitCode.OK and red:
            said = f"{red[0].cell} {red[0].axis}: {red[0].sentence}"
            return [f"{len(red)} verdicts are red and no test failed for them (is an assert missing?), first: {said}"]
        return unproven(RunFile.read(self.folder).cells, verdicts)

    def _held_against_baselines(self) -> Ending:
        """What the run lacks is a verdict, too."""
        ending = self.gate.end(RunFile.read(self.folder), self.log.read())
        for verdict in ending.missing:
            self.log.add(verdict)
        self._notes = list(ending.notes)
        return ending

    def _diagnoses(self) -> list[str]:
        """What made cells fail on accuracy, a line for each."""
        failed = failed_on_accuracy(self.log.read())
        if not failed or not self.config.getini("edge_diagnose"):
            return []
        root, ini = self.config.rootpath, self.config.getini
        project = Project.load(root / str(ini("edge_models")), root / str(ini("edge_devices")))
        return diagnose_cells(
            project, open_store(root / str(ini("edge_store"))), self.folder, failed, Progress(self.config)
        )

    def _record(self) -> None:
        """The run goes into the history; where that fails the run is none the worse."""
        self._warning = record_ended(self.folder, str(self.config.getini("edge_history")), self.config.rootpath)

    def _prune(self) -> None:
        given = str(self.config.getini("edge_store_max_gb"))
        try:
            limit = float(given)
        except ValueError as error:
            raise ConfigError(f"edge_store_max_gb = {given}: not a number of gigabytes") from error
        open_store(self.config.rootpath / str(self.config.getini("edge_store"))).prune(int(limit * 1e9))

    def summarize(self, reporter: pytest.TerminalReporter) -> None:
        """The table, where the reports are, and what made the run red although no test failed."""
        if self._rows:
            reporter.section("edgegate")
            reporter.write(terminal_table(self._rows, color=bool(reporter.hasmarkup)))
            reporter.write_line(f"reports: {self.folder}")
        for note in self._notes:
            reporter.write_line(f"edgegate: {note}")
        if self._warning:
            reporter.write_line(f"edgegate: {self._warning}", yellow=True)
        if self._trouble:
            reporter.write_line(f"edgegate: {self._trouble}", red=True)
