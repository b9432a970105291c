"""How runs are named."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime


def new_name() -> str:
    """A run's name, which sorts by time; hosts that begin in the same second share a history, so chance must not meet."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:8]}"
