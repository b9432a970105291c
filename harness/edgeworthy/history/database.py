"""The history itself: runs go in whole, once; trends come out.

Several hosts and processes write at once. A run is one transaction under its unique name, so that a killed writer
leaves nothing behind, and recording a run again (it was resumed, or the reply was lost) replaces it.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from edgeworthy.cells import CellId
from edgeworthy.errors import HistoryError
from edgeworthy.history.entry import RunEntry
from edgeworthy.history.location import Location
from edgeworthy.history.schema import CELLS, RUNS, SERIES, VERSION
from edgeworthy.history.upgrade import upgrade, version_of

#: How long a writer waits for another one's transaction (SQLite), or for a connection (PostgreSQL), in seconds.
LOCK_SECONDS, CONNECT_SECONDS = 60.0, 10
ATTEMPTS = 6
#: A trend is as long as this: 13 years of nights. It bounds how long reading one takes.
LONGEST = 5000
#: PostgreSQL: serialization failure, deadlock, lock not available.
_AGAIN = ("40001", "40P01", "55P03")


class Point(NamedTuple):
    """One run's value of a metric of one cell."""

    run: str
    began_utc: str
    revision: str | None
    modified: bool | None
    fingerprint: str | None
    status: str
    value: float
    compared_by: str | None = None


class History:
    """The history at ``location``. Every method raises HistoryError, which names it without its password."""

    def __init__(self, location: Location) -> None:
        self.location = location
        with self._translated():
            self._engine = _engine(location)
        self._checked = False

    def record(self, run: RunEntry) -> None:
        """Store a run, or replace what is stored under its name."""
        file = self.location.file
        with self._translated():
            if file is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
        self._check()
        self._write(lambda connection: _store(connection, run))

    def trend(self, cell: CellId, metric: str) -> list[Point]:
        """The metric in the newest ``LONGEST`` runs that measured it, by when they began. Empty where there is none."""
        names = SERIES.c
        series = sa.select(names.id).where(
            names.model == cell.model, names.variant == cell.variant, names.target == cell.target
        )
        newest = (  # not a join, which PostgreSQL would not read in the order of the key
            sa.select(CELLS.c.run_id, CELLS.c.fingerprint, CELLS.c.compared_by, CELLS.c.status, CELLS.c[metric])
            .where(CELLS.c.series_id == series.scalar_subquery(), CELLS.c[metric].is_not(None))
            .order_by(CELLS.c.run_id.desc())
            .limit(LONGEST)
            .subquery()
        )
        run = RUNS.c
        query = sa.select(
            run.name,
            run.began_utc,
            run.revision,
            run.modified,
            newest.c.fingerprint,
            newest.c.status,
            newest.c[metric],
            newest.c.compared_by,
        ).join_from(newest, RUNS, run.id == newest.c.run_id)
        return sorted((Point._make(row) for row in self._read(query)), key=lambda point: (point.began_utc, point.run))

    def table(self, metrics: Sequence[str], runs: int) -> dict[CellId, list[tuple[Point, dict[str, float | None]]]]:
        """Of each cell what the newest ``runs`` measured, by when they began: the run, without a value, and these metrics."""
        run, series = RUNS.c, SERIES.c
        newest = sa.select(run.id).order_by(run.began_utc.desc(), run.name.desc()).limit(runs)
        facts = [run.name, run.began_utc, run.revision, run.modified, CELLS.c.fingerprint, CELLS.c.status]
        query = (
            sa.select(
                series.model, series.variant, series.target, CELLS.c.compared_by, *facts, *map(CELLS.c.get, metrics)
            )
            .join_from(CELLS, RUNS, run.id == CELLS.c.run_id)
            .join(SERIES, series.id == CELLS.c.series_id)
            .where(CELLS.c.run_id.in_(newest))
            .order_by(run.began_utc, run.name)
        )
        found: dict[CellId, list[tuple[Point, dict[str, float | None]]]] = {}
        for row in map(tuple, self._read(query)):
            cell, values = CellId._make(row[:3]), row[4 + len(facts) :]
            point = Point._make((*row[4 : 4 + len(facts)], math.nan, row[3]))
            found.setdefault(cell, []).append((point, dict(zip(metrics, values, strict=True))))
        return found

    def cells(self) -> list[CellId]:
        """Every cell that was ever recorded."""
        query = sa.select(SERIES.c.model, SERIES.c.variant, SERIES.c.target)
        return sorted(CellId._make(row) for row in self._read(query))

    def _read(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        file = self.location.file
        if file is not None and not file.is_file():
            raise HistoryError(
                f"{file}: there is no history yet", hint="a run records itself; 'edgeworthy record RUN' an older one"
            )
        self._check()
        with self._translated(), self._engine.connect() as connection:
            return connection.execute(query).all()

    def _check(self) -> None:
        """Once: the database is of this edgeworthy's version afterwards."""
        if self._checked:
            return
        with self._translated(), self._engine.connect() as connection:
            version = version_of(connection)
        if version < VERSION:
            self._write(upgrade)
        self._checked = True

    def _write(self, work: Callable[[sa.Connection], None]) -> None:
        """Do ``work`` in one transaction, again where other writers were in its way."""
        with self._translated():
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    with self._engine.connect().execution_options(edge_writes=True) as connection, connection.begin():
                        work(connection)
                    return
                except DBAPIError as error:
                    if attempt == ATTEMPTS or not _worth_another_try(error):
                        raise
                time.sleep(random.uniform(0.5, 1.5) * 0.1 * 2**attempt)  # noqa: S311 - not a secret

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except HistoryError as error:
            raise HistoryError(f"{self.location.shown}: {error.message}", hint=error.hint) from error
        except ModuleNotFoundError as error:
            raise HistoryError(
                f"{self.location.shown}: its driver is not installed ({error.name})",
                hint="pip install 'edgeworthy[postgresql]'",
            ) from error
        except (SQLAlchemyError, OSError, ValueError) as error:
            said = str(error.orig) if isinstance(error, DBAPIError) else str(error)
            raise HistoryError(
                f"{self.location.shown}: the history cannot be used ({_first_line(self.location.scrub(said))})",
                hint="check that the database runs, is a history, and may be written by you",
            ) from error


def _engine(location: Location) -> sa.Engine:
    if location.file is None:
        return sa.create_engine(
            location.url,
            poolclass=sa.NullPool,
            hide_parameters=True,
            connect_args={"connect_timeout": CONNECT_SECONDS, "application_name": "edgeworthy"},
        )
    engine = sa.create_engine(
        location.url, poolclass=sa.NullPool, hide_parameters=True, connect_args={"timeout": LOCK_SECONDS}
    )
    sa.event.listen(engine, "connect", _own_transactions)
    sa.event.listen(engine, "begin", _begin)
    return engine


def _own_transactions(connection: Any, _record: object) -> None:
    """SQLite: no hidden commits by the driver; readers and one writer side by side."""
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")


def _begin(connection: sa.Connection) -> None:
    """SQLite: a writer waits for its turn at once; one that read first and then wants to write would be refused."""
    writes = connection.get_execution_options().get("edge_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _worth_another_try(error: DBAPIError) -> bool:
    locked = "locked" in str(error.orig) or "busy" in str(error.orig)
    return error.connection_invalidated or locked or getattr(error.orig, "sqlstate", None) in _AGAIN


def _insert_of(connection: sa.Connection) -> Any:
    """The INSERT of the database at hand, which can say what happens on conflict; the other one's driver is not imported."""
    return importlib.import_module(f"sqlalchemy.dialects.{connection.dialect.name}").insert


def _store(connection: sa.Connection, run: RunEntry) -> None:
    insert = _insert_of(connection)
    facts = {name: getattr(run, name) for name in RUNS.c.keys() if name != "id"}  # noqa: SIM118 - a column collection
    run_id = connection.scalar(
        insert(RUNS).values(facts).on_conflict_do_update(index_elements=["name"], set_=facts).returning(RUNS.c.id)
    )
    ids = _series_ids(connection, [entry.cell for entry in run.cells])
    connection.execute(sa.delete(CELLS).where(CELLS.c.series_id.in_(sa.select(SERIES.c.id)), CELLS.c.run_id == run_id))
    empty = dict.fromkeys(CELLS.c.keys())
    rows = [
        {
            **empty,
            **entry.metrics,
            "series_id": ids[entry.cell],
            "run_id": run_id,
            "status": entry.status,
            "fingerprint": entry.fingerprint,
            "compared_by": entry.compared_by,
        }
        for entry in run.cells
    ]
    if rows:
        connection.execute(sa.insert(CELLS), rows)


def _series_ids(connection: sa.Connection, cells: Sequence[CellId]) -> dict[CellId, int]:
    """The series of the cells; new ones are made in one order by everybody, so that writers cannot deadlock."""
    known = _known_series(connection)
    new = sorted(set(cells) - set(known))
    if new:
        connection.execute(_insert_of(connection)(SERIES).on_conflict_do_nothing(), [cell._asdict() for cell in new])
        known = _known_series(connection)
    return known


def _known_series(connection: sa.Connection) -> dict[CellId, int]:
    query = sa.select(SERIES.c.id, SERIES.c.model, SERIES.c.variant, SERIES.c.target)
    return {CellId(*names): number for number, *names in connection.execute(query)}


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")
