"""Metrics of a model's own, and of its classes; of older runs they are not known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_METRICS = (
    "worst_class_percent", "class_drop_points", "mse", "psnr_db", "score", "loss", "metric_drop", "metric_drop_percent",
)  # fmt: skip


def upgrade() -> None:
    """Add the columns."""
    for metric in _METRICS:
        op.add_column("edgeworthy_cells", sa.Column(metric, sa.Double))
