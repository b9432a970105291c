"""One pytest session's view of edgegate: what is selected, where it is measured to, how it ended."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import EdgegateError

if TYPE_CHECKING:
    from harness.measurements.bench import Bench
    from harness.measurements.project import Project
    from harness.pytest_plugin.cell import CellHandle, PairHandle
    from harness.records import CellId
    from harness.verdicts.log import VerdictLog

#: What --edge-resume means without a RUN.
NEWEST = "NEWEST"
#: Fixtures that a test is parametrized by.
CELL, PAIR = "edge_cell", "edge_pair"


class EdgeSession:
    """Reads configuration, measures and reports only when a test asks for it: everything here is lazy."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.planned: list[CellId] = []
        self.trouble = ""
        self._misuse = ""
        self._bench: Bench | None = None
        self._rows: list[dict[str, object]] = []

    # -- where things are -------------------------------------------------------------------------------------

    @property
    def _worker(self) -> str | None:
        workerinput: dict[str, str] | None = getattr(self.config, "workerinput", None)
        return workerinput["workerid"] if workerinput else None

    def _path(self, ini: str) -> Path:
        return self.config.rootpath / str(self.config.getini(ini))

    def check_options(self) -> None:
        """Refuse options that no test could be run with. Raises ConfigError, and imports nothing where none is given."""
        for text in self.config.getoption("--edge-budget"):
            from harness.config import parse_limit

            parse_limit(text)
        asked = self.config.getoption("--edge-resume")
        results = self._path("edge_results")
        if asked not in (None, NEWEST) and not (results / asked / "run.json").is_file():
            from harness.errors import ConfigError

            raise ConfigError(f"--edge-resume {asked}: there is no such run in {results}")

    @functools.cached_property
    def run_folder(self) -> Path:
        """The run's folder; a worker gets the controller's."""
        from harness.reports import run_folder

        if self._worker:
            return Path(self.config.workerinput["edge_run"])  # type: ignore[attr-defined]
        results = self._path("edge_results")
        asked = self.config.getoption("--edge-resume")
        if asked is None:
            return results / run_folder.new_name()
        if asked == NEWEST:
            return run_folder.unfinished(results) or results / run_folder.new_name()
        return results / str(asked)

    @functools.cached_property
    def shared_run(self) -> str:
        """xdist: the folder that all workers measure into; cached, so that replacing a worker forgets no verdict."""
        self.log.clear()
        return str(self.run_folder)

    @functools.cached_property
    def project(self) -> Project:
        """The configuration. Raises ConfigError."""
        from harness.measurements.project import Project

        return Project.load(self._path("edge_models"), self._path("edge_devices"))

    @functools.cached_property
    def log(self) -> VerdictLog:
        """The run's verdicts, as far as this process gives them."""
        from harness.verdicts.log import VerdictLog

        return VerdictLog(self.run_folder, self._worker or "main")

    def bench(self) -> Bench:
        """The bench, opened on first use. Raises EdgegateError."""
        from harness.measurements.bench import Bench
        from harness.pytest_plugin.progress import Progress
        from harness.storage import Store

        if self._bench is None:
            store = Store(Path(os.environ.get("EDGE_STORE") or self._path("edge_store")).absolute())
            self._bench = Bench(self.project, store, self.run_folder, self.planned, Progress(self.config))
        return self._bench

    # -- collection -------------------------------------------------------------------------------------------

    @functools.cache  # noqa: B019 - one session per process
    def cells(self) -> list[CellId]:
        """The selected cells. Raises ConfigError, also when nothing is selected."""
        from harness.errors import ConfigError
        from harness.measurements.project import Selection

        option = self.config.getoption
        selection = Selection(option("--edge-model"), option("--edge-variant"), option("--edge-target"))
        cells = self.project.cells(selection)
        if not cells:
            raise ConfigError("the selection is empty: no selected variant runs on a selected target")
        return cells

    def pairs(self) -> list[tuple[CellId, CellId]]:
        """The selected cells whose artifact also runs on an earlier selected target."""
        return self.project.pairs(self.cells())

    def parameters(self, fixture: str) -> Sequence[CellId | tuple[CellId, CellId]]:
        """What a test that asks for ``fixture`` is crossed with: nothing where the configuration is wrong.

        pytest shows what is raised here as a defect of the test's file, once for each; :meth:`collected` says it once.
        """
        try:
            return self.cells() if fixture == CELL else self.pairs()
        except EdgegateError as error:
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
        cells = list(dict.fromkeys(cell for item in items for cell in _cells_of(item)))
        if not cells:
            return
        self.planned = cells
        for item in items:
            if _cells_of(item):  # a cell that could not be measured leaves the latency suite's fixture unused
                item.add_marker(pytest.mark.filterwarnings("ignore:Benchmark fixture was not used"))
        for cell in self.project.canaries(cells):
            items.append(self._canary(session, cell))
        self._quiet_benchmark_table(items)

    def _canary(self, session: pytest.Session, cell: CellId) -> pytest.Item:
        from harness.pytest_plugin.canary import CanaryItem

        name = f"canary[{self.test_id(cell)}]"
        item: pytest.Item = CanaryItem.from_parent(
            session, name=name, nodeid=f"edgegate::{name}", cell=cell, setup=lambda: (self._opened(), self.log)
        )
        return item

    def _quiet_benchmark_table(self, items: Iterable[pytest.Item]) -> None:
        """One table is enough; pytest-benchmark's own is shown where somebody uses its options, or benchmarks of theirs."""
        asked = any(str(argument).startswith("--benchmark") for argument in self.config.invocation_params.args)
        others = any("benchmark" in getattr(item, "fixturenames", ()) and not _cells_of(item) for item in items)
        benchmarks = getattr(self.config, "_benchmarksession", None)
        if benchmarks is not None and not asked and not others:
            benchmarks.quiet = True

    # -- the run ----------------------------------------------------------------------------------------------

    def _opened(self) -> Bench:
        """The bench, with the run's folder begun."""
        if self._bench is None:
            self._begin()
        return self.bench()

    def _begin(self) -> None:
        from harness.reports import run_folder

        planned = [*self.planned, *self.project.canaries(self.planned)]
        if self._worker is None:
            self.log.clear()
        run_folder.begin(self.run_folder, planned)

    def handle(self, item: pytest.Item, cell: CellId) -> CellHandle:
        """What the test gets as ``edge_cell``."""
        from harness.pytest_plugin.cell import CellHandle

        return CellHandle(item, self._opened(), self.log, cell, self._overrides(item))

    def pair_handle(self, item: pytest.Item, cell: CellId, first: CellId) -> PairHandle:
        """What the test gets as ``edge_pair``."""
        from harness.pytest_plugin.cell import PairHandle

        return PairHandle(item, self._opened(), self.log, cell, first, self._overrides(item))

    @staticmethod
    def settle(item: pytest.Item, raised: pytest.ExceptionInfo[BaseException] | None) -> None:
        """Note how a test ended that holds a cell or a pair."""
        held: dict[str, CellHandle | PairHandle] = getattr(item, "funcargs", {})
        for fixture in (CELL, PAIR):
            if fixture in held:
                held[fixture].settle(item.name.partition("[")[0], raised.value if raised else None)

    def _overrides(self, item: pytest.Item) -> dict[str, float]:
        """Limits of the test's marks, the nearest one strongest, and of the command line over them."""
        from harness.config import parse_limit

        limits: dict[str, float] = {}
        for mark in reversed(list(item.iter_markers("edge_budget"))):
            for name, value in mark.kwargs.items():
                limits.update(parse_limit(f"{name}={value}"))
        for text in self.config.getoption("--edge-budget"):
            limits.update(parse_limit(text))
        return limits

    # -- the end ----------------------------------------------------------------------------------------------

    def finish(self, exitstatus: int, stopped: bool) -> bool:
        """Write the reports, in the controller; True where the run is red for what is not any test's failure.

        ``stopped`` says that pytest left tests out (``-x``, ``--maxfail``): such a run can be resumed.
        """
        if self._worker or "run_folder" not in self.__dict__ or not (self.run_folder / "run.json").is_file():
            return False
        from harness.reports import run_folder

        ended = not stopped and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        try:
            rows = run_folder.finish(self.run_folder, self.config.rootpath, complete=ended)
            self._prune()
        except EdgegateError as error:
            self.trouble = str(error)
            return True
        self._rows = rows
        judged = [row for row in rows if row["status"] in ("pass", "fail", "error")]
        if not judged:
            self.trouble = (
                "no cell was judged: every one was skipped or refused, which is no evidence that any may ship"
            )
        return not judged

    def _prune(self) -> None:
        if self._bench is not None:
            self._bench.store.prune(int(float(str(self.config.getini("edge_store_max_gb"))) * 1e9))

    def summarize(self, reporter: pytest.TerminalReporter) -> None:
        """The table, where the reports are, and what made the run red although no test failed."""
        if self._rows:
            from harness.reports.summary import terminal_table

            reporter.section("edgegate")
            reporter.write(terminal_table(self._rows, color=bool(reporter.hasmarkup)))
            reporter.write_line(f"reports: {self.run_folder}")
        if self.trouble:
            reporter.write_line(f"edgegate: {self.trouble}", red=True)

    def close(self) -> None:
        """Let go of every device."""
        if self._bench is not None:
            self._bench.close()


def _cells_of(item: pytest.Item) -> tuple[CellId, ...]:
    """The cells that a collected test is parametrized by."""
    parameters: dict[str, object] = getattr(getattr(item, "callspec", None), "params", {})
    if CELL in parameters:
        return (parameters[CELL],)  # type: ignore[return-value]
    pair = parameters.get(PAIR)  # pytest's NOTSET where there is no pair to test
    return pair if isinstance(pair, tuple) else ()
