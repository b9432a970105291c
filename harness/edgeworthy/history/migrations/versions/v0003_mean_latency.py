"""The mean latency of a cell; of older runs it is not known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column."""
    op.add_column("edgeworthy_cells", sa.Column("mean_ms", sa.Double))
