"""The normalized error of models that are judged by fidelity; of older runs it is not known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the column."""
    op.add_column("edgeworthy_cells", sa.Column("nmse", sa.Double))
