"""The metrics of tasks; of older runs they are not known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_METRICS = (
    "map_percent", "map50_percent", "oks_ap_percent", "miou_percent", "pixel_accuracy_percent", "macro_f1_percent",
    "micro_f1_percent", "balanced_accuracy_percent", "calibration_error_percent", "mae", "r2", "nme_percent", "wer_percent",
    "cer_percent", "exact_match_percent", "span_f1_percent", "eer_percent", "recall_at_1_percent", "recall_at_5_percent",
    "ssim", "si_sdr_db",
)  # fmt: skip


def upgrade() -> None:
    """Add the columns."""
    for metric in _METRICS:
        op.add_column("edgeworthy_cells", sa.Column(metric, sa.Double))
