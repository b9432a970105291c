"""Runs, and their cells with a column for each metric."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_METRICS = (
    "top1_percent", "top5_percent", "drop_points", "error_ratio", "agreement_percent", "sqnr_db", "output_difference",
    "p50_ms", "p90_ms", "p95_ms", "p99_ms", "first_inference_ms", "load_ms", "size_kb", "gzip_kb", "peak_memory_mb",
    "delegated_percent", "consistency_percent",
)  # fmt: skip


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "edgeworthy_runs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("began_utc", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("revision", sa.Text),
        sa.Column("modified", sa.Boolean),
        sa.Column("edgeworthy", sa.Text),
    )
    op.create_table(
        "edgeworthy_series",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("variant", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.UniqueConstraint("model", "variant", "target"),
    )
    op.create_table(
        "edgeworthy_cells",
        sa.Column("series_id", sa.Integer, sa.ForeignKey("edgeworthy_series.id"), primary_key=True),
        sa.Column("run_id", sa.Integer, sa.ForeignKey("edgeworthy_runs.id"), primary_key=True),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text),
        *(sa.Column(metric, sa.Double) for metric in _METRICS),
        sqlite_with_rowid=False,
    )
