"""A cell's latency: how the samples of all reloads are distributed, and the reloads themselves beside the baseline's."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeworthy.records import Timing
from edgeworthy.reports.histogram import histogram
from edgeworthy.verdicts.snapshots import Snapshot, latency_loads

#: So many reloads are drawn.
LOADS = 60


def latency_of(timing: Timing, before: Snapshot | None) -> dict[str, Any]:
    """Plain data, times in ms: ``loads``, a time for each reload (and the baseline's, ``before``), and all samples in bars."""
    loads = latency_loads(timing)
    stored = before.latency_loads_ns if before is not None else np.zeros(0, np.int64)
    return {
        "statistic": timing.statistic,
        "loads": _ms(loads[:LOADS]),
        "before": _ms(stored[:LOADS]),
        **({"bars": histogram(timing.samples_ns).plain()} if timing.statistic == "inference" else {}),
    }


def _ms(times_ns: Any) -> list[float]:
    return [float(f"{time / 1e6:.6g}") for time in times_ns]
