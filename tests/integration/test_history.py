"""The history for real: SQLite and PostgreSQL, many writers, older and newer schemas, the command line, the picture."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from edgeworthy import history as history_package
from edgeworthy.cells import CellId
from edgeworthy.errors import HistoryError
from edgeworthy.history import upgrade as upgrade_module
from edgeworthy.history.database import History
from edgeworthy.history.entry import CellEntry, RunEntry
from edgeworthy.history.location import Location
from edgeworthy.history.picture import picture
from edgeworthy.history.schema import CELLS, RUNS, SERIES, VERSION, VERSION_TABLE
from edgeworthy.history.trend import read_trend

from tests import commands
from tests.commands import Ended, ended
from tests.integration import history_writer
from tests.integration.private_postgres import binaries, private_postgres

if TYPE_CHECKING:
    from tests.integration.conftest import Project

REPOSITORY = Path(__file__).parents[2]
CELL = CellId("cnn", "int8", "host:cpu")
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """A PostgreSQL server for the session."""
    found = binaries()
    if found is None:
        pytest.skip("PostgreSQL is not installed here: apt-get install postgresql")
    with private_postgres(found) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'history.sqlite'}"
    server = sa.make_url(request.getfixturevalue("server"))
    name = f"test_{uuid.uuid4().hex[:8]}"
    with sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool).connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    return server.set(database=name).render_as_string(hide_password=False)


def ask(url: str, query: Any) -> list[Any]:
    """What the database itself says."""
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        return list(connection.execute(query))


def history_of(url: str) -> History:
    return History(Location.parse(url))


def run_entry(index: int, value: float, cell: CellId = CELL, **given: Any) -> RunEntry:
    facts = {
        "name": f"20260101-{index:06}-abcdef12", "began_utc": f"2026-01-01T{index:06}+00:00", "status": "complete",
        "revision": f"{index:010x}", "modified": False, "edgeworthy": "0.1.0", "host": "a host",
        "cells": (CellEntry(cell, "pass", "f", {"p50_ms": value}),), **given,
    }  # fmt: skip
    return RunEntry(**facts)


def fill(url: str, values: Any, **given: Any) -> None:
    history = history_of(url)
    for index, value in enumerate(values):
        history.record(run_entry(index, float(value), **given))


def creeping(seed: int = 0) -> Any:
    """30 flat nights, then 1 % more a night for 30."""
    levels = np.concatenate([np.zeros(30), np.log(1.01) * np.arange(1, 31)])
    return np.exp(levels + np.random.default_rng(seed).normal(0, 0.005, 60))


def edgeworthy(*arguments: str, cwd: Path, **environment: str) -> Ended:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("EDGE_")}
    return commands.edgeworthy(*arguments, cwd=cwd, env={**inherited, "COLUMNS": "200", **environment})


# -- storing ------------------------------------------------------------------------------------------------------


def test_eight_writers_one_of_them_killed(url: str):
    """Nothing that was stored is lost, nothing is doubled, and the killed one's open transaction left nothing."""
    module = [sys.executable, "-m", "tests.integration.history_writer", url]
    writers = [
        subprocess.Popen([*module, str(number), "12", *last], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        for number, last in enumerate([["stall"], *[[]] * 7])
    ]
    killed = writers[0]
    assert killed.stdout is not None
    told = []
    for line in killed.stdout:
        if line == "stalled\n":
            killed.send_signal(signal.SIGKILL)
            break
        told.append(line.strip())
    assert killed.wait(60) == -signal.SIGKILL
    for writer in writers[1:]:
        told += writer.communicate(timeout=120)[0].split()
        assert writer.returncode == 0
    killed.stdout.close()
    assert len(set(told)) == 1 + 11 + 7 * 12
    stored = [row.name for row in ask(url, sa.select(RUNS.c.name))]
    assert sorted(stored) == sorted(set(told))
    counts = ask(url, sa.select(CELLS.c.run_id, sa.func.count()).group_by(CELLS.c.run_id))
    assert {count for _, count in counts} == {history_writer.CELLS}
    assert len(counts) == len(stored)
    assert ask(url, sa.select(sa.func.count()).select_from(SERIES)) == [(history_writer.CELLS,)]


def test_recording_again_replaces(url: str):
    """A run that was recorded unfinished and then resumed is stored once, as it ended."""
    history = history_of(url)
    history.record(run_entry(1, 1.0, status="unfinished"))
    history.record(run_entry(1, 2.0))
    [point] = history.trend(CELL, "p50_ms")
    assert (point.value, point.run) == (2.0, "20260101-000001-abcdef12")
    assert ask(url, sa.select(RUNS.c.status)) == [("complete",)]
    history.record(run_entry(1, 2.0, cells=()))
    assert history.trend(CELL, "p50_ms") == []


def test_trend_is_ordered_by_when_runs_began(url: str):
    """Not by when they were recorded; what was not measured is no point of it."""
    history = history_of(url)
    for index in (3, 1, 2):
        history.record(run_entry(index, float(index)))
    history.record(run_entry(4, 0.0, cells=(CellEntry(CELL, "error", None, {}),)))
    assert [point.value for point in history.trend(CELL, "p50_ms")] == [1.0, 2.0, 3.0]
    assert history.cells() == [CELL]


# -- schemas ------------------------------------------------------------------------------------------------------


def make_version_1(url: str) -> None:
    """A database as edgeworthy's first version of it was, with a run in it."""
    config = Config()
    config.set_main_option("script_location", str(Path(history_package.__file__).parent / "migrations"))
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        run = "1, '20250101-000000-abcd', '2025-01-01', 'complete', 'abc', false, '0.0.1'"
        connection.execute(sa.text(f"INSERT INTO edgeworthy_runs VALUES ({run})"))
        connection.execute(sa.text("INSERT INTO edgeworthy_series VALUES (1, 'cnn', 'int8', 'host:cpu')"))
        connection.execute(
            sa.text(
                "INSERT INTO edgeworthy_cells (series_id, run_id, status, fingerprint, p50_ms) VALUES (1, 1, 'pass', 'f', 1.5)"
            )
        )
        if url.startswith("postgresql"):  # the sequences that made these numbers
            for table in ("runs", "series"):
                connection.execute(sa.text(f"SELECT nextval('edgeworthy_{table}_id_seq')"))


def test_an_older_database_is_brought_up_to_date(url: str):
    """Its runs are kept, and new ones stand beside them."""
    make_version_1(url)
    history = history_of(url)
    assert [point.value for point in history.trend(CELL, "p50_ms")] == [1.5]
    history.record(run_entry(1, 2.0))
    assert [point.value for point in history_of(url).trend(CELL, "p50_ms")] == [1.5, 2.0]
    assert ask(url, sa.select(RUNS.c.host).order_by(RUNS.c.name)) == [(None,), ("a host",)]


@pytest.mark.parametrize("version", [f"{VERSION + 1:04}", "0999", "abcdef"])
def test_a_newer_database_is_refused(url: str, version: str):
    """With its version and ours, by reader and writer; nothing is changed in it."""
    fill(url, [1.0])
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '{version}'"))
    for use in (lambda: history_of(url).trend(CELL, "p50_ms"), lambda: fill(url, [1.0, 2.0])):
        with pytest.raises(HistoryError, match=f"of version {version}, this edgeworthy reads up to {VERSION}"):
            use()
    assert len(ask(url, sa.select(RUNS.c.name))) == 1


def test_migrations_lead_to_the_schema(url: str):
    """Every metric that edgeworthy knows has its column: whoever adds a metric writes a migration of one line."""
    folder = Path(upgrade_module.__file__).parent / "migrations"
    config = Config()
    config.set_main_option("script_location", str(folder))
    assert ScriptDirectory.from_config(config).get_current_head() == f"{VERSION:04}"
    fill(url, [1.0])
    inspector = sa.inspect(sa.create_engine(url, poolclass=sa.NullPool))
    for table in (RUNS, SERIES, CELLS):
        assert {column["name"] for column in inspector.get_columns(table.name)} == set(table.c.keys())


@pytest.mark.parametrize("content", [b"no database at all " * 100, b""])
def test_a_file_that_is_no_history(tmp_path: Path, content: bytes):
    """An empty file becomes one; any other is refused in a sentence that names it."""
    file = tmp_path / "history.sqlite"
    file.write_bytes(content)
    if content:
        with pytest.raises(HistoryError, match=r"history\.sqlite: the history cannot be used \(file is not a database"):
            fill(str(file), [1.0])
        assert file.read_bytes() == content
    else:
        fill(str(file), [1.0])


def test_accuracy_is_compared_between_equal_samples_and_metrics(tmp_path: Path):
    """Other samples, targets or another metric's text are another accuracy; times do not depend on them."""
    history = history_of(str(tmp_path / "history.sqlite"))
    for index in range(24):
        percent = 95.0 if index < 12 else 90.0
        metrics = {"top1_percent": percent, "p50_ms": 1.0}
        cell = CellEntry(CELL, "pass", "f", metrics, "first" if index < 12 else "second")
        history.record(run_entry(index, 0.0, cells=(cell,)))
    accuracy = read_trend(history, str(CELL), "top1_percent")
    assert (len(accuracy.points), len(accuracy.judged), accuracy.findings) == (24, 12, ())
    assert (
        "12 more are older, or of another device, system, runtime, thread count, dataset or metric"
        in accuracy.summary()
    )
    assert len(read_trend(history, str(CELL), "p50_ms").judged) == 24


# -- a run records itself -----------------------------------------------------------------------------------------


def test_a_run_records_itself(project: Project):
    """Into a file beside the runs, unless that is off; recording it again by hand changes nothing."""
    off = project.run("--edge-variant", "ort_fp32")
    assert off.returncode == 0, off.stdout + off.stderr
    assert not (project.root / "results" / "history.sqlite").exists()
    set_history(project, "")
    done = project.run()
    assert done.returncode == 0, done.stdout + done.stderr
    name = (project.root / "results" / "latest").resolve().name
    file = f"sqlite:///{project.root / 'results' / 'history.sqlite'}"
    for _ in range(2):
        shown = edgeworthy("history", "linear/ort_fp32/host:cpu", cwd=project.root)
        assert shown.returncode == 0, shown.stderr
        assert name in shown.stdout
        assert len(ask(file, sa.select(RUNS.c.name))) == 1
        assert len(ask(file, sa.select(CELLS.c.run_id))) == 4
        recorded = edgeworthy("record", cwd=project.root)
        assert recorded.returncode == 0, recorded.stderr
        assert name in recorded.stdout
    [(value, fingerprint)] = ask(
        file,
        sa.select(CELLS.c.p50_ms, CELLS.c.fingerprint)
        .join(SERIES, SERIES.c.id == CELLS.c.series_id)
        .where(SERIES.c.variant == "ort_fp32"),
    )
    cells = project.result().cells.set_index("variant")
    assert value == pytest.approx(cells.loc["ort_fp32", "p50_ms"])
    assert len(fingerprint) == 16


def test_a_run_records_itself_in_postgresql(project: Project, server: str):
    """EDGE_HISTORY_URL is stronger than the ini value, and its password is nowhere."""
    set_history(project, "elsewhere.sqlite")
    project.write()
    done = ended(project.command(), project.root, {**project.environment(), "EDGE_HISTORY_URL": server})
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(project.root.rglob("*.sqlite"))
    assert [point.run for point in history_of(server).trend(CellId("linear", "ort_fp32", "host:cpu"), "p50_ms")] == [
        (project.root / "results" / "latest").resolve().name
    ]
    assert_nowhere("s3cret", project, done)


def test_a_history_that_cannot_be_reached_costs_nothing(project: Project):
    """One yellow line that names it without its password, and the command for later; the run is green and whole."""
    set_history(project, "postgresql://me:s3cret@127.0.0.1:9/edge")
    done = project.run("--color=yes")
    assert done.returncode == 0, done.stdout + done.stderr
    [line] = [line for line in done.stdout.splitlines() if "not in the history" in line]
    assert line.startswith("\x1b[33m")
    name = (project.root / "results" / "latest").resolve().name
    assert "postgresql://me:***@127.0.0.1:9/edge" in line
    assert f"edgeworthy record {project.root / 'results' / name} --history URL" in line
    assert "Traceback" not in done.stdout
    assert_nowhere("s3cret", project, done)
    later = edgeworthy("record", f"results/{name}", "--history", "later.sqlite", cwd=project.root)
    assert later.returncode == 0, later.stderr


def set_history(project: Project, where: str) -> None:
    """Where the project's runs record themselves; empty: where they do by default."""
    path = project.root / "pytest.ini"
    path.write_text(path.read_text().replace("edge_history = off\n", f"edge_history = {where}\n" if where else ""))


def assert_nowhere(secret: str, project: Project, done: Ended) -> None:
    """Neither said nor written."""
    assert secret not in done.stdout + done.stderr
    for path in (project.root / "results").rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes()


def test_starting_pytest_imports_nothing_of_it():
    """The plugin and the command line are as quick as before."""
    code = (
        "import sys, edgeworthy.pytest_plugin.session, edgeworthy.cli;"
        "print([name for name in ('sqlalchemy', 'alembic', 'ruptures', 'plotly', 'psycopg') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# -- the command line ---------------------------------------------------------------------------------------------


def test_a_creep_is_named_and_turns_check_red(url: str, tmp_path: Path):
    """1 % a night for 30 nights, each of them under every tolerance: run and revision of its beginning, exit status 1."""
    fill(url, creeping())
    shown = edgeworthy("history", str(CELL), "--check", cwd=tmp_path, EDGE_HISTORY_URL=url)
    assert shown.returncode == 1, shown.stderr
    [line] = [line for line in shown.stdout.splitlines() if "regressed: it crept" in line]
    began = int(line.partition("run 20260101-")[2][:6])
    assert abs(began - 30) <= 2
    assert f"(revision {began:010x})" in line
    assert "▲" in shown.stdout
    assert edgeworthy("history", str(CELL), cwd=tmp_path, EDGE_HISTORY_URL=url).returncode == 0
    known = edgeworthy(
        "history", str(CELL), "--check", "--since", "20260101-000040-abcdef12", "--history", url, cwd=tmp_path
    )
    assert known.returncode == 0, known.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["cnn/int9/host:cpu"], "did you mean 'cnn/int8/host:cpu'?"),
        (["cnn"], "the history has no cell 'cnn' (MODEL/VARIANT/TARGET)"),
        (["cnn/int8/host:cpu", "--metric", "p50"], "did you mean 'p50_ms'?"),
        (["cnn/int8/host:cpu", "--metric", "sqnr_db"], "no run ever measured sqnr_db"),
        (["cnn/int8/host:cpu", "--since", "20260101-000001-abcdef13"], "did you mean '20260101-000001-abcdef12'?"),
        (["cnn/int8/host:cpu", "--history", "none.sqlite"], "none.sqlite: there is no history yet"),
        (["cnn/int8/host:cpu", "--history", "mysql://me:s3cret@host/edge"], "is none that edgeworthy knows"),
        (
            ["cnn/int8/host:cpu", "--history", "postgresql://me:s3cret@host:s3cret/edge"],
            "is none that edgeworthy knows",
        ),
    ],
)
def test_what_cannot_be_shown(tmp_path: Path, arguments: list[str], said: str):
    """Each with the nearest valid name; no password, no traceback, no file made."""
    (tmp_path / "results").mkdir()
    fill(str(tmp_path / "results" / "history.sqlite"), np.ones(10))
    shown = edgeworthy("history", *arguments, cwd=tmp_path)
    assert shown.returncode == 2
    assert said in shown.stderr
    assert "s3cret" not in shown.stderr + shown.stdout
    assert "Traceback" not in shown.stderr
    assert not (tmp_path / "none.sqlite").exists()


# -- the picture --------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a browser would load for a page, and its elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.policy = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.loaded += [str(given[name]) for name in ("src", "href", "data", "action") if name in given]
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = str(given["content"])


def test_picture_is_one_file_that_opens_no_network(tmp_path: Path):
    """No element loads anything, and the browser is told to refuse whatever a script may ask for."""
    (tmp_path / "results").mkdir()
    fill(str(tmp_path / "results" / "history.sqlite"), creeping())
    shown = edgeworthy("history", str(CELL), "--html", "trend.html", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    text = (tmp_path / "trend.html").read_text()
    page = Page(text)
    assert page.loaded == []
    assert page.policy.startswith("default-src 'none';")
    assert "http" not in page.policy
    assert "regressed: it crept" in text
    assert "Plotly.newPlot" in text


def test_hostile_names_stay_text(tmp_path: Path):
    """In the page, in plotly's own texts, and in the terminal."""
    cell = CellId(HOSTILE, "[bold]v", "host:cpu\x1b[2J")
    file = str(tmp_path / "history.sqlite")
    script = "</script><script>alert(2)</script>"
    for index, value in enumerate(np.repeat([1.0, 2.0], 10)):
        history_of(file).record(
            run_entry(index, value, cell, name=f"{index:02}{script}{HOSTILE}", revision=script, status=HOSTILE)
        )
    trend = read_trend(history_of(file), str(cell), "p50_ms")
    text = picture(trend)
    assert HOSTILE not in text
    assert "<script>alert" not in text
    assert Page(text).tags.count("script") == Page(picture(read_trend_of_plain(tmp_path))).tags.count("script")
    shown = edgeworthy("history", str(cell), "--history", file, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "\x1b[2J" not in shown.stdout
    assert "[bold]v" in shown.stdout


def read_trend_of_plain(folder: Path) -> Any:
    file = str(folder / "plain.sqlite")
    fill(file, np.repeat([1.0, 2.0], 10))
    return read_trend(history_of(file), str(CELL), "p50_ms")


def test_sqlite_file_of_many_writers_is_whole(tmp_path: Path):
    """Write-ahead logging is on, and the file checks out."""
    file = tmp_path / "history.sqlite"
    fill(str(file), np.ones(5))
    connection = sqlite3.connect(file)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
