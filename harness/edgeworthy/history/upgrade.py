"""Bring a database to this edgeworthy's version, and refuse one of a newer version."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from edgeworthy.errors import HistoryError
from edgeworthy.history.schema import VERSION, VERSIONS

#: PostgreSQL's advisory lock under which tables are made and changed ("edge" in ASCII).
_LOCK = 0x65646765


def version_of(connection: sa.Connection) -> int:
    """The database's version, 0 where it has no history yet. Raises HistoryError where it is newer than this edgeworthy's."""
    if not sa.inspect(connection).has_table(VERSIONS.name):
        return 0
    found = connection.scalar(sa.select(VERSIONS.c.version_num)) or "0"
    version = int(found) if found.isdigit() else VERSION + 1
    if version > VERSION:
        raise HistoryError(
            f"the history is of version {found}, this edgeworthy reads up to {VERSION}",
            hint="upgrade edgeworthy to the one that wrote it, or give it a history of its own",
        )
    return version


def upgrade(connection: sa.Connection) -> None:
    """Make or change the tables, within the connection's transaction; whoever else wants to waits, and finds it done.

    Raises HistoryError as :func:`version_of` does.
    """
    from alembic import command
    from alembic.config import Config

    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    if version_of(connection) == VERSION:
        return
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
