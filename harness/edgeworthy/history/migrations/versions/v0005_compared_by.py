"""What a cell's accuracy was measured by, and the worst output column; of older runs they are not known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("edgeworthy_cells", sa.Column("compared_by", sa.Text))
    op.add_column("edgeworthy_cells", sa.Column("column_drop_points", sa.Double))
