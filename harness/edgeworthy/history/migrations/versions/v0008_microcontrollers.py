"""What a microcontroller must have for a model; of older runs it is not known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_METRICS = ("arena_kb", "flash_kb", "cpu_ops")


def upgrade() -> None:
    """Add the columns."""
    for metric in _METRICS:
        op.add_column("edgeworthy_cells", sa.Column(metric, sa.Double))
