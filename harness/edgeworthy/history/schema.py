"""The tables of the history, as this edgeworthy reads and writes them.

A cell is keyed by its series (model, variant, target) and then by its run, in that order on disk where the database
can (SQLite): a trend is one stretch of the table. Metrics are columns, not rows of their own: measured on 100,000
cells, the file is half as large, a run is stored ten times faster, and a trend is read as fast. A new metric is a
migration of one line.
"""

from __future__ import annotations

import sqlalchemy as sa

from edgeworthy.metrics import METRICS

VERSION = 8
#: Not alembic's own name: the database may be shared with others who use alembic.
VERSION_TABLE = "edgeworthy_version"

_metadata = sa.MetaData()

RUNS = sa.Table(
    "edgeworthy_runs",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("began_utc", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("revision", sa.Text),
    sa.Column("modified", sa.Boolean),
    sa.Column("edgeworthy", sa.Text),
    sa.Column("host", sa.Text),
)
SERIES = sa.Table(
    "edgeworthy_series",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("variant", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.UniqueConstraint("model", "variant", "target"),
)
CELLS = sa.Table(
    "edgeworthy_cells",
    _metadata,
    sa.Column("series_id", sa.Integer, sa.ForeignKey("edgeworthy_series.id"), primary_key=True),
    sa.Column("run_id", sa.Integer, sa.ForeignKey("edgeworthy_runs.id"), primary_key=True),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.Text),
    sa.Column("compared_by", sa.Text),
    *(sa.Column(metric, sa.Double) for metric in METRICS),
    sqlite_with_rowid=False,
)
VERSIONS = sa.Table(VERSION_TABLE, _metadata, sa.Column("version_num", sa.String(32), primary_key=True))
