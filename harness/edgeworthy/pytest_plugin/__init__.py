"""The pytest plugin: options, parametrization over cells, fixtures, the canary, the table at the end.

Loading it registers options and nothing else; models.yaml is read when a collected test asks for ``edge_cell`` or
``edge_pair``, and no test ever makes this process import TensorFlow or torch.

What a test asserts is set, from weakest to strongest: built-in limits, the backend in devices.yaml, budgets in
models.yaml (the most specific wins), ``@pytest.mark.edge_budget(...)``, ``--edge-budget NAME=VALUE``.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

from edgeworthy.errors import EdgeworthyError
from edgeworthy.interruption import interrupt_on_signals
from edgeworthy.pytest_ini import PATHS
from edgeworthy.pytest_plugin.failures import SharedCauses, drop_prefix, show_error, show_verdicts
from edgeworthy.pytest_plugin.items import CELL, PAIR, cells_of
from edgeworthy.pytest_plugin.session import ACCEPTED, NEWEST, EdgeSession

if TYPE_CHECKING:
    from edgeworthy.pytest_plugin.cell import CellHandle, PairHandle

_SESSION = pytest.StashKey[EdgeSession]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options, all called ``--edge-*``, and ini values, all called ``edge_*``."""
    group = parser.getgroup("edgeworthy", "edgeworthy: accuracy and latency gates for quantized models")
    for noun, plural in (("model", "models"), ("variant", "variants"), ("target", "targets")):
        group.addoption(
            f"--edge-{noun}",
            action="append",
            default=[],
            metavar="GLOB",
            help=f"only {plural} that match (may be repeated)",
        )
    group.addoption(
        "--edge-budget",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a limit for every selected cell, e.g. max_p50_ms=5; stronger than a mark, models.yaml and devices.yaml, "
        "in that order (may be repeated)",
    )
    group.addoption(
        "--edge-resume",
        nargs="?",
        const=NEWEST,
        default=None,
        metavar="RUN",
        help="resume an interrupted run (default: the newest) and measure only what is missing",
    )
    group.addoption(
        "--edge-baseline",
        nargs="?",
        const=ACCEPTED,
        default=None,
        metavar="FOLDER",
        help="compare every cell with its accepted baseline (default: the folder of edge_baselines); a cell without a "
        "baseline, or a baseline without its cell, fails the run",
    )
    _add_ini_values(parser)


def _add_ini_values(parser: pytest.Parser) -> None:
    parser.addini("edge_models", "path of models.yaml (default: benchmarks/models.yaml)", default=PATHS["edge_models"])
    parser.addini("edge_devices", "path of devices.yaml (default: devices.yaml)", default=PATHS["edge_devices"])
    parser.addini(
        "edge_baselines", "folder of accepted baselines (default: results/baselines)", default=PATHS["edge_baselines"]
    )
    parser.addini("edge_results", "folder that gets a folder per run (default: results)", default=PATHS["edge_results"])
    parser.addini(
        "edge_history",
        "database of all runs, a URL or a SQLite file, or off; EDGE_HISTORY_URL overrides it (default: history.sqlite in "
        "edge_results)",
        default="",
    )
    parser.addini(
        "edge_store",
        "folder of the artifact store; EDGE_STORE overrides it (default: .edgeworthy)",
        default=PATHS["edge_store"],
    )
    parser.addini(
        "edge_diagnose",
        "at the end of a run, diagnose cells that failed on accuracy, layer by layer (default: true)",
        type="bool",
        default=True,
    )
    parser.addini("edge_store_max_gb", "the store is pruned to this size after a run (default: 10)", default="10")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register the mark, and prepare the session without reading anything yet."""
    config.addinivalue_line("markers", "edge_budget(**limits): limits for this test's cells, e.g. max_drop_points=0.5")
    config.addinivalue_line("markers", "edge_regression: compares with a baseline; deselected without --edge-baseline")
    # Under xdist the samples are still measured one at a time (a lock per device); only its own table is lost.
    config.addinivalue_line(
        "filterwarnings", "ignore:Benchmarks are automatically disabled because xdist plugin is active"
    )
    # ctrl-C in a hook around which a plugin has one of the old style (hypothesis) stays ctrl-C where warnings are errors.
    config.addinivalue_line(
        "filterwarnings",
        "ignore:(?s)A plugin raised an exception during an old-style hookwrapper teardown.*KeyboardInterrupt",
    )
    interrupt_on_signals()
    config.stash[_SESSION] = session = EdgeSession(config)
    try:
        session.check_options()
    except EdgeworthyError as error:
        raise pytest.UsageError(str(error)) from error


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """xdist: all workers measure into the controller's run."""
    config: pytest.Config = node.config  # type: ignore[attr-defined]
    node.workerinput["edge_run"] = config.stash[_SESSION].shared_run  # type: ignore[attr-defined]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Cross the test with the selected cells, or pairs of cells."""
    session = metafunc.config.stash[_SESSION]
    for fixture in (CELL, PAIR):
        if fixture in metafunc.fixturenames:
            parameters = session.parameters(fixture)
            ids = [session.test_id(parameter) for parameter in parameters]
            metafunc.parametrize(fixture, parameters, ids=ids, indirect=True)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """After all deselection, add a canary for every model and target that is left."""
    config.stash[_SESSION].collected(session, items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Record a test's own assertion about a cell as a verdict.

    edgeworthy's own errors are shown as their message and hint, without a traceback; ``--full-trace`` shows it.
    """
    session = item.config.stash[_SESSION]
    if call.when == "call":
        session.settle(item, call.excinfo)
    elif call.when == "setup" and call.excinfo is not None:
        session.not_judged(item, call.excinfo.value)
    raised = call.excinfo.value if call.excinfo is not None else None
    if raised is not None:
        show_verdicts(raised, session.verdicts_of(item))
    report = yield
    if isinstance(raised, AssertionError) and session.verdicts_of(item):
        drop_prefix(report)
    if isinstance(raised, EdgeworthyError) and not item.config.option.fulltrace:
        show_error(report, raised, next(iter(cells_of(item)), None), item.session.items.index(item))
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the run's reports; a run in which nothing was judged fails."""
    # After ctrl-C a test is torn down here, where its own filters no longer hold; first, so that it finds this one.
    warnings.filterwarnings("ignore", "Benchmark fixture was not used")
    edge = session.config.stash[_SESSION]
    if edge.finish(exitstatus, stopped=bool(session.shouldfail)) and exitstatus in (
        pytest.ExitCode.OK,
        pytest.ExitCode.NO_TESTS_COLLECTED,
    ):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(wrapper=True, tryfirst=True, specname="pytest_terminal_summary")
def pytest_list_causes_once(terminalreporter: pytest.TerminalReporter) -> Generator[None, object, object]:
    """pytest lists a cause that tests share once."""
    return (yield from SharedCauses(terminalreporter).listed_once())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """One table, worst first."""
    config.stash[_SESSION].summarize(terminalreporter)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close the connections to all devices."""
    if _SESSION in config.stash:
        config.stash[_SESSION].close()


@pytest.fixture
def edge_cell(request: pytest.FixtureRequest) -> Iterator[CellHandle]:
    """One cell (model x variant x target), measured on demand: ``assert edge_cell.judge("accuracy")``."""
    handle = request.config.stash[_SESSION].handle(request.node, request.param)
    yield handle
    handle.report()


@pytest.fixture
def edge_pair(request: pytest.FixtureRequest) -> Iterator[PairHandle]:
    """The same artifact on two targets: ``assert edge_pair.judge()``."""
    handle = request.config.stash[_SESSION].pair_handle(request.node, *request.param)
    yield handle
    handle.report()
