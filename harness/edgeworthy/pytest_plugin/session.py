"""One pytest session's view of edgeworthy: what is selected, where it is measured to, how it ended."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgeworthy.errors import EdgeworthyError
from edgeworthy.pytest_ini import PATHS
from edgeworthy.pytest_plugin.items import CELL, cells_of, held_by

if TYPE_CHECKING:
    from edgeworthy.cells import CellId, CellSelector
    from edgeworthy.judging.gate import Gate
    from edgeworthy.judging.judge import Judge
    from edgeworthy.measurements.bench import Bench
    from edgeworthy.measurements.project import Project
    from edgeworthy.pytest_plugin.cell import CellHandle, PairHandle
    from edgeworthy.records import Verdict
    from edgeworthy.runs.run import Run
    from edgeworthy.runs.run_file import Scope
    from edgeworthy.session.ending import Ended
    from edgeworthy.session.settings import Settings

#: What --edge-resume means without a RUN.
NEWEST = "NEWEST"
#: What --edge-baseline means without a FOLDER.
ACCEPTED = "ACCEPTED"


class EdgeSession:
    """Reads configuration, measures and reports only when a test asks for it: everything here is lazy."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.planned: list[CellId] = []
        self._misuse = ""
        self._ended: Ended | None = None

    # -- where things are -------------------------------------------------------------------------------------

    @property
    def _worker(self) -> str | None:
        workerinput: dict[str, str] | None = getattr(self.config, "workerinput", None)
        return workerinput["workerid"] if workerinput else None

    def _path(self, ini: str) -> Path:
        return self.config.rootpath / str(self.config.getini(ini))

    @functools.cached_property
    def settings(self) -> Settings:
        """The ini values."""
        from edgeworthy.session.settings import Settings

        ini = self.config.getini
        paths = {name.removeprefix("edge_"): self._path(name) for name in PATHS}
        return Settings(
            self.config.rootpath,
            **paths,
            history=str(ini("edge_history")),
            diagnose=bool(ini("edge_diagnose")),
            store_max_gb=str(ini("edge_store_max_gb")),
        )

    def check_options(self) -> None:
        """Refuse options that no test could be run with. Raises ConfigError, and imports nothing where none is given."""
        if self.config.getoption("--edge-budget"):
            self._asked_limits()
        asked = self.config.getoption("--edge-resume")
        results = self._path("edge_results")
        if asked not in (None, NEWEST) and not (results / asked / "run.json").is_file():
            from edgeworthy.errors import ConfigError

            raise ConfigError(f"--edge-resume {asked}: no such run in {results}", hint=f"ls {results} shows the runs")

    @functools.cached_property
    def run_folder(self) -> Path:
        """The run's folder; a worker gets the controller's."""
        if self._worker:
            return Path(self.config.workerinput["edge_run"])  # type: ignore[attr-defined]
        from edgeworthy.runs.naming import new_name

        results = self._path("edge_results")
        asked = self.config.getoption("--edge-resume")
        if asked == NEWEST:
            from edgeworthy.runs.run import unfinished

            return unfinished(results) or results / new_name()
        return (results / asked).resolve() if asked else results / new_name()  # 'latest' is a link

    @functools.cached_property
    def shared_run(self) -> str:
        """xdist: the folder that all workers measure into; cached, so that replacing a worker forgets no verdict.

        Every suite that xdist runs asks for it, also one without a cell: nothing is imported for a new run, unless there are
        baselines or waivers, of which the controller says once what is wrong. Raises pytest.UsageError.
        """
        self._check_gate()
        if self.config.getoption("--edge-resume"):
            from edgeworthy.runs.verdict_log import VerdictLog

            VerdictLog(self.run_folder).clear()
        return str(self.run_folder)

    @functools.cached_property
    def project(self) -> Project:
        """The configuration. Raises ConfigError."""
        from edgeworthy.measurements.project import Project

        return Project.load(self._path("edge_models"), self._path("edge_devices"))

    @functools.cached_property
    def gate(self) -> Gate:
        """The baselines and waivers. Raises EdgeworthyError."""
        asked = self.config.getoption("--edge-baseline")
        given = self.config.invocation_params.dir / asked if asked else None
        return self.settings.gate(
            self.project, self.settings.baselines if asked == ACCEPTED else given, self.run_folder
        )

    @functools.cached_property
    def run(self) -> Run:
        """The run, begun on first use: what it measured before is kept, what it judged is judged anew. Raises EdgeworthyError."""
        from edgeworthy.runs.run import Run

        planned = [*self.planned, *self.project.canaries(self.planned)]
        run = Run.begin(
            self.run_folder, planned, self._scope(), self.project.devices.emulated(), self._worker or "main"
        )
        if self._worker is None:
            run.log.clear()
        return run

    @functools.cached_property
    def bench(self) -> Bench:
        """What measures into the run, opened on first use. Raises EdgeworthyError."""
        from edgeworthy.measurements.bench import Bench
        from edgeworthy.pytest_plugin.progress import Progress

        journal, store = self.run.journal, self.settings.open_store()
        ahead = self._worker is None  # xdist's workers are already beside one another
        return Bench(self.project, store, journal, self.planned, Progress(self.config), ahead)

    # -- collection -------------------------------------------------------------------------------------------

    @functools.cache  # noqa: B019 - one session per process
    def cells(self) -> list[CellId]:
        """The selected cells. Raises ConfigError, also when nothing is selected."""
        return self.project.selected(self._selection())

    def _selection(self) -> CellSelector:
        from edgeworthy.cells import CellSelector

        return CellSelector(
            *(tuple(self.config.getoption(f"--edge-{noun}")) for noun in ("model", "variant", "target"))
        )

    def pairs(self) -> list[tuple[CellId, CellId]]:
        """The selected cells whose artifact also runs on an earlier selected target."""
        return self.project.pairs(self.cells())

    def parameters(self, fixture: str) -> Sequence[CellId | tuple[CellId, CellId]]:
        """What a test that asks for ``fixture`` is crossed with: nothing where the configuration is wrong.

        pytest shows what is raised here as a defect of the test's file, once for each; :meth:`collected` says it once.
        """
        try:
            return self.cells() if fixture == CELL else self.pairs()
        except EdgeworthyError as error:
            if self._worker:  # whose controller collects nothing, and only shows what a file's collection raised
                raise pytest.Collector.CollectError(str(error)) from error
            self._misuse = str(error)
            return []

    @staticmethod
    def test_id(parameter: CellId | tuple[CellId, CellId]) -> str:
        """``model-variant-device:backend``, and ``~device:backend`` of the first of a pair."""
        if len(parameter) == 3:
            return "-".join(parameter)
        cell, first = parameter
        return f"{'-'.join(cell)}~{first.target}"

    def collected(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        """Note which cells the items need, and add the canaries. Raises pytest.UsageError for a wrong configuration."""
        if self._misuse:
            raise pytest.UsageError(self._misuse)
        self._leave_out_regressions(items)
        items.sort(key=self._trains)  # last: no other verdict waits for what trains
        cells = list(dict.fromkeys(cell for item in items for cell in cells_of(item)))
        if not cells:
            return
        self.planned = cells
        self._check_gate()
        for item in filter(cells_of, items):
            self._check_marks(item)
            # A cell that could not be measured leaves the latency suite's fixture unused.
            item.add_marker(pytest.mark.filterwarnings("ignore:Benchmark fixture was not used"))
        for cell in self.project.canaries(cells):
            items.append(self._canary(session, cell))
        self._quiet_benchmark_table(items)

    def _trains(self, item: pytest.Item) -> bool:
        return any(self.project.plan(cell.model, cell.variant).recipe.trained for cell in cells_of(item))

    def _leave_out_regressions(self, items: list[pytest.Item]) -> None:
        """Without --edge-baseline, deselect what only compares with one: neither passed nor skipped."""
        left_out = [item for item in items if item.get_closest_marker("edge_regression")]
        if left_out and self.config.getoption("--edge-baseline") is None:
            self.config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if item not in left_out]

    def _check_gate(self) -> None:
        """Refuse unreadable baselines and waivers before anything is measured; imports nothing where there are none."""
        waivers = self._path("edge_models").with_name("waivers.yaml")
        if self.config.getoption("--edge-baseline") is None and not waivers.is_file():
            return
        try:
            if self.gate.baselines is not None:
                from edgeworthy.session.tolerance import check_tolerances

                check_tolerances(self.settings, self.project, self.planned)
        except EdgeworthyError as error:
            if not self._worker:  # whose controller has said it
                raise pytest.UsageError(str(error)) from error

    def _canary(self, session: pytest.Session, cell: CellId) -> pytest.Item:
        from edgeworthy.pytest_plugin.canary import CanaryItem

        name = f"canary[{self.test_id(cell)}]"
        item: pytest.Item = CanaryItem.from_parent(
            session,
            name=name,
            nodeid=f"edgeworthy::{name}",
            cell=cell,
            setup=lambda: (self._judge(), self.run.log),
        )
        return item

    def _judge(self) -> Judge:
        """What judges the canaries, by the limits of the command line."""
        from edgeworthy.judging.judge import Judge

        return Judge(self.bench, self.gate, self._asked_limits())

    def _quiet_benchmark_table(self, items: Iterable[pytest.Item]) -> None:
        """Hide pytest-benchmark's own table, unless its options or benchmarks without cells are used."""
        asked = any(str(argument).startswith("--benchmark") for argument in self.config.invocation_params.args)
        others = any("benchmark" in getattr(item, "fixturenames", ()) and not cells_of(item) for item in items)
        benchmarks = getattr(self.config, "_benchmarksession", None)
        if benchmarks is not None and not asked and not others:
            benchmarks.quiet = True

    # -- the run ----------------------------------------------------------------------------------------------

    def _scope(self) -> Scope:
        """Which part of the project this run speaks of."""
        from edgeworthy.runs.run_file import Scope

        planned = set(self.planned)
        return Scope.within(self._selection(), tuple(cell for cell in self.cells() if cell not in planned))

    def handle(self, item: pytest.Item, cell: CellId) -> CellHandle:
        """What the test gets as ``edge_cell``."""
        from edgeworthy.pytest_plugin.cell import CellHandle

        return CellHandle(item, self.bench, self.gate, self.run.log, cell, self._overrides(item))

    def pair_handle(self, item: pytest.Item, cell: CellId, first: CellId) -> PairHandle:
        """What the test gets as ``edge_pair``."""
        from edgeworthy.pytest_plugin.cell import PairHandle

        return PairHandle(item, self.bench, self.gate, self.run.log, cell, first, self._overrides(item))

    @staticmethod
    def settle(item: pytest.Item, raised: pytest.ExceptionInfo[BaseException] | None) -> None:
        """Note how a test ended that holds a cell or a pair."""
        for handle in held_by(item):
            handle.settle(item.name.partition("[")[0], raised.value if raised else None)

    @staticmethod
    def verdicts_of(item: pytest.Item) -> list[Verdict]:
        """The verdicts that a test was given."""
        return [verdict for handle in held_by(item) for verdict in handle.verdicts]

    def not_judged(self, item: pytest.Item, raised: BaseException) -> None:
        """A cell is not judged where pytest-benchmark skips its tests, and is no pass for the others."""
        skips = isinstance(raised, pytest.skip.Exception) and self.config.getoption("benchmark_only", default=False)
        for cell in cells_of(item) if skips else ():
            from edgeworthy.records import Verdict

            test = item.name.partition("[")[0]
            message, hint = f"{test} was skipped by --benchmark-only", "to judge latency alone: pytest -k latency"
            self.run.log.add(Verdict(cell, test, "error", "exact", f"not judged: {message}", hint))

    def _check_marks(self, item: pytest.Item) -> None:
        try:
            self._overrides(item)
        except EdgeworthyError as error:
            if not self._worker:  # whose controller has said it
                raise pytest.UsageError(str(error)) from error

    def _overrides(self, item: pytest.Item) -> dict[str, float]:
        """Limits of the test's marks, the nearest one strongest, and of the command line over them."""
        from edgeworthy.config import parse_limit

        limits: dict[str, float] = {}
        for mark in reversed(list(item.iter_markers("edge_budget"))):
            for name, value in mark.kwargs.items():
                limits.update(parse_limit(f"{name}={value}", f"{item.nodeid}: edge_budget"))
        return {**limits, **self._asked_limits()}

    def _asked_limits(self) -> dict[str, float]:
        """The limits of the command line."""
        from edgeworthy.config import parse_limits

        return parse_limits(self.config.getoption("--edge-budget"))

    # -- the end ----------------------------------------------------------------------------------------------

    def finish(self, exitstatus: int, stopped: bool) -> bool:
        """Write the reports, in the controller; True if the run fails although no test failed.

        ``stopped``: pytest left tests out (``-x``, ``--maxfail``): such a run can be resumed.
        """
        if self._worker or "run_folder" not in self.__dict__ or not (self.run_folder / "run.json").is_file():
            return False
        self._ended = self._end(exitstatus, stopped)
        return bool(self._ended.troubles)

    def _end(self, exitstatus: int, stopped: bool) -> Ended:
        from edgeworthy.pytest_plugin.progress import Progress
        from edgeworthy.runs.run import Run
        from edgeworthy.session.ending import Ended, end_run

        green = exitstatus == pytest.ExitCode.OK
        try:
            return end_run(
                Run.open(self.run_folder),
                self.project,
                self.gate,
                self.settings,
                Progress(self.config),
                complete=not stopped and (green or exitstatus == pytest.ExitCode.TESTS_FAILED),
                unasserted=green,
            )
        except EdgeworthyError as error:  # the run's own file, or a gate that has changed meanwhile
            return Ended(troubles=[str(error)])

    def summarize(self, reporter: pytest.TerminalReporter) -> None:
        """The table, where the reports are, and why the run fails although no test did."""
        if self._ended is None:
            return
        table = self._ended.table(bool(reporter.hasmarkup), shutil.get_terminal_size().columns)
        if table:
            reporter.section("edgeworthy")
            reporter.write(table)
            reporter.write_line(f"reports: {self.run_folder}")
        for note in self._ended.notes:
            reporter.write_line(f"edgeworthy: {note}")
        for warning in self._ended.warnings:
            reporter.write_line(f"edgeworthy: {warning}", yellow=True)
        for trouble in self._ended.troubles:
            reporter.write_line(f"edgeworthy: {trouble}", red=True)

    def close(self) -> None:
        """Close the connections to all devices."""
        if "bench" in self.__dict__:
            self.bench.close()
