"""A run says which host it was made on; of older ones that is not known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column."""
    op.add_column("edgeworthy_runs", sa.Column("host", sa.Text))
