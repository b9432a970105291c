"""What processes of benchmark_model said of their times, as a timing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeworthy.errors import ToolUnusable
from edgeworthy.records import Conditions, Delegation, Timing
from edgeworthy.targets.android.transcript import Statistics, Transcript


def timing_of(said: Sequence[Transcript], taken: Delegation, window_seconds: float, conditions: Conditions) -> Timing:
    """The timing whose loads are these processes. Raises ToolUnusable."""
    runs = [timed_run(one) for one in said]
    samples_ns, has_medians = averages_ns(runs)
    grown = [one.memory_growth_bytes for one in said if one.memory_growth_bytes is not None]
    p95 = [run.p95_us for run in runs if run.p95_us is not None]
    return Timing(
        samples_ns=samples_ns,
        load_of=np.arange(len(said)),
        load_ns=_ns([one.init_us or 0 for one in said]),
        first_ns=_ns([one.warmup.first_us if one.warmup else 0 for one in said]),
        peak_memory_bytes=max(grown, default=None),
        cpu_percent=None,
        delegation=taken,
        window_seconds=window_seconds,
        conditions=conditions,
        statistic="median" if has_medians else "mean",
        mean_loads_ns=_ns([run.mean_us for run in runs]),
        p95_loads_ns=_ns(p95) if len(p95) == len(runs) else None,
    )


def timed_run(said: Transcript) -> Statistics:
    """The timed inferences of a process. Raises ToolUnusable where there are none, or none took a microsecond."""
    if said.run is None or said.run.mean_us <= 0:
        raise ToolUnusable(
            "benchmark_model timed no inference of a microsecond or more",
            log_tail=said.tail,
            hint="the model is too small to be timed; measure a larger one",
        )
    return said.run


def averages_ns(runs: Sequence[Statistics]) -> tuple[NDArray[np.int64], bool]:
    """One number for each process, and whether they are medians: they are where every process printed one.

    A median of zero microseconds is none: then the means, which are not rounded to whole ones, tell more.
    """
    medians = [run.median_us for run in runs if run.median_us]
    if len(medians) == len(runs):
        return _ns(medians), True
    return _ns([run.mean_us for run in runs]), False


def _ns(microseconds: Sequence[float]) -> NDArray[np.int64]:
    return np.rint(np.asarray(microseconds, np.float64) * 1000).astype(np.int64)
