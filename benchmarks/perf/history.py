"""A history of a million cells: how long one trend takes to read, and one run to store."""

import contextlib
import functools
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import sqlalchemy as sa
from edgeworthy.cells import CellId
from edgeworthy.history.database import History
from edgeworthy.history.entry import CellEntry, RunEntry
from edgeworthy.history.location import Location
from edgeworthy.history.schema import CELLS, RUNS, SERIES
from edgeworthy.metrics import METRICS
from finding import Finding

sys.path.append(str(Path(__file__).parents[2]))
from tests.integration.private_postgres import binaries, private_postgres

CELLS_OF_A_RUN = 60
STORED = 1_000_000
ROUNDS = 9
#: Runs stored in one transaction while the history is filled: in the order in which runs come, so that the table is
#: as scattered as years of nights leave it.
BATCH = 200
MOST_TREND_S, MOST_INSERT_S = 0.2, 1.0


def measure():
    """SQLite, and PostgreSQL where it is installed."""
    with tempfile.TemporaryDirectory() as folder:
        yield from _findings("SQLite", f"sqlite:///{folder}/history.sqlite")
    found = binaries()
    if found is None:
        print("PostgreSQL is not installed here: not measured")
        return
    with private_postgres(found) as url:
        yield from _findings("PostgreSQL", url)


def _findings(name, url):
    _fill(url)
    cell = _cells()[7]
    trends = [_seconds(lambda: History(Location.parse(url)).trend(cell, "p50_ms")) for _ in range(ROUNDS)]
    points = len(History(Location.parse(url)).trend(cell, "p50_ms"))
    told = f"{points} runs of one cell among {STORED:,} cells; worst {max(trends):.3f} s"
    yield Finding(f"{name}: one trend", median(trends), "s", told, most=MOST_TREND_S)
    entries = [_entry(number) for number in range(ROUNDS)]
    inserts = [_seconds(functools.partial(History(Location.parse(url)).record, entry)) for entry in entries]
    told = f"a run of {CELLS_OF_A_RUN} cells; worst {max(inserts):.3f} s"
    yield Finding(f"{name}: one run stored", median(inserts), "s", told, most=MOST_INSERT_S)


def _seconds(work):
    """How long it takes, connecting and the check of the version included."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _cells():
    return [CellId(f"model{index // 20}", f"variant{index % 20}", "host:cpu") for index in range(CELLS_OF_A_RUN)]


def _entry(number):
    metrics = dict.fromkeys(METRICS, 1.0 + number)
    cells = tuple(CellEntry(cell, "pass", "0123456789abcdef", metrics) for cell in _cells())
    return RunEntry(
        f"30000101-{number:06}-abcdef12", "3000-01-01", "complete", "a" * 40, False, "0.1.0", "a host", cells
    )


def _fill(url):
    """A million cells, past edgeworthy's own way of storing, which is measured afterwards."""
    History(Location.parse(url)).record(_entry(-1))
    runs = STORED // CELLS_OF_A_RUN
    with contextlib.closing(sa.create_engine(url, poolclass=sa.NullPool).connect()) as connection:
        series = connection.scalars(sa.select(SERIES.c.id)).all()
        for first in range(2, runs + 2, BATCH):
            numbers = range(first, min(first + BATCH, runs + 2))
            _insert(connection, RUNS, [_run(number) for number in numbers])
            _insert(connection, CELLS, [_cell(number, one) for number in numbers for one in series])
            connection.connection.driver_connection.commit()
        if url.startswith("postgresql"):  # the sequence goes on after the numbers given here
            connection.exec_driver_sql(f"SELECT setval('edgeworthy_runs_id_seq', {runs + 2})")
            connection.exec_driver_sql("ANALYZE")  # as autovacuum does within a minute
        connection.commit()


def _run(number):
    return (number, f"run{number:08}", f"2026-{number:08}", "complete", "a" * 40, False, "0.1.0", "a host")


def _cell(number, series):
    named = {"series_id": series, "run_id": number, "status": "pass", "fingerprint": "0123456789abcdef"}
    named |= dict.fromkeys(METRICS, 1.0 + number / 1000)
    return tuple(named.get(column.name) for column in CELLS.c)


def _insert(connection, table, rows):
    """The quickest way in that each driver has."""
    driver = connection.connection.driver_connection
    columns = ", ".join(table.c.keys())
    if connection.dialect.name == "sqlite":
        driver.executemany(f"INSERT INTO {table.name} ({columns}) VALUES ({', '.join('?' * len(rows[0]))})", rows)
        return
    with driver.cursor() as cursor, cursor.copy(f"COPY {table.name} ({columns}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
