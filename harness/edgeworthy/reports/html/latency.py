"""A cell's latency: how the samples of all reloads are distributed, and the reloads themselves beside the baseline's."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeworthy.records import Timing
from edgeworthy.verdicts.snapshots import Snapshot, latency_loads

#: Bars of a distribution, up to this percentile: a few late samples would hide all else.
BARS, LAST = 32, 99.5
#: So many reloads are drawn.
LOADS = 60


def latency_of(timing: Timing, before: Snapshot | None) -> dict[str, Any]:
    """Plain data, times in ms: reload medians ``loads`` (and the baseline's, ``before``), and the distribution's ``bars``."""
    loads = latency_loads(timing)
    stored = before.latency_loads_ns if before is not None else np.zeros(0, np.int64)
    return {
        "statistic": timing.statistic,
        "loads": _ms(loads[:LOADS]),
        "before": _ms(stored[:LOADS]),
        **(_bars(timing) if timing.statistic == "inference" else {}),
    }


def _bars(timing: Timing) -> dict[str, Any]:
    """How many samples each bar holds, and its ends; ``beyond`` are later than the last."""
    samples = timing.samples_ns
    low, high = samples.min(), np.percentile(samples, LAST)
    if not high > low:
        return {}
    drawn = samples[samples <= high]
    place = np.minimum((drawn - low) * BARS // (high - low), BARS - 1).astype(np.int64)
    counts = np.bincount(place, minlength=BARS)
    return {"bars": counts.tolist(), "from": _ms([low])[0], "to": _ms([high])[0], "beyond": len(samples) - len(drawn)}


def _ms(times_ns: Any) -> list[float]:
    return [float(f"{time / 1e6:.6g}") for time in times_ns]
