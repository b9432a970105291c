"""alembic runs this file; the connection, its transaction and its lock are those of edgeworthy.history.upgrade."""

from __future__ import annotations

from alembic import context

from edgeworthy.history.schema import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
context.run_migrations()
