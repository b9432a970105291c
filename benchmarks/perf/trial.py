"""The gate on trial: comparisons of equal artifacts, and of artifacts slowed down by real work, as the gate makes them.

Beside each verdict stands what a comparison of one statistic with a 5 % limit says of the same samples, as
``--benchmark-compare-fail=mean:5%`` makes it.
"""

import contextlib
import functools
import multiprocessing
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from edgeworthy.config import Tolerances
from edgeworthy.measurements.interleaved import time_interleaved
from edgeworthy.statistics.sequential import decided, slowdown
from edgeworthy.targets.base import Side
from edgeworthy.targets.device_lock import device_lock
from finding import Finding
from sides import ROOT, artifacts, harness

COMPARISONS = 100
SEEDED_PERCENT = 5.0
#: As models.yaml has them where it says nothing; a comparison stops within one block of rounds of its limit.
TOLERANCE_PERCENT, LIMIT_SECONDS = Tolerances().latency_percent, Tolerances().max_seconds
MOST_SECONDS = 10.0
#: The other tool's statistics, over all loads and over the first one alone.
STATISTICS = {"mean": np.mean, "median": np.median, "min": np.min}


@dataclass(frozen=True)
class Comparison:
    """One comparison: whether the gate flagged it, what the statistics said, and how long it took."""

    flagged: bool
    statistics: dict[str, bool]
    seconds: float


def models():
    """Name, artifact and inputs: one under 50 us, one near 0.5 ms, one of 5 ms or more."""
    (tiny, middle), digits = artifacts(ROOT / "benchmarks" / "models.yaml", "cnn", ["int8", "int16x8"])
    (heavy,), _ = artifacts(Path(__file__).with_name("models.yaml"), "heavy", ["fp32"])
    return {"tiny": tiny, "middle": middle, "heavy": heavy}, digits


def measure():
    """Equal, slowed down, and equal beside a busy core."""
    made, inputs = models()
    with harness() as target:
        compare = functools.partial(_compare, target, inputs)
        p50_ns = {name: np.median(_timed(target, inputs, artifact, 0).baseline_ns) for name, artifact in made.items()}
        sizes = ", ".join(f"{name} {nanoseconds / 1e3:.1f} us" for name, nanoseconds in p50_ns.items())
        print(f"  {sizes}")
        equal = _comparisons(made, lambda name: compare(made[name], 0))
        yield _finding("trial: equal artifacts flagged", equal, most=1)
        seeded = _comparisons(made, lambda name: compare(made[name], round(p50_ns[name] * SEEDED_PERCENT / 100)))
        yield _finding(f"trial: {SEEDED_PERCENT:g} % slowdowns flagged", seeded, least=95)
        with busy_core():
            beside = _comparisons(made, lambda name: compare(made[name], 0))
        yield _finding("trial: equal artifacts flagged beside a busy core", beside, most=2)
        slowest = max(comparison.seconds for comparison in equal + seeded + beside)
        yield Finding("trial: the longest comparison", slowest, "s", sizes, most=MOST_SECONDS)


def _comparisons(made, compare):
    """COMPARISONS of them, the models in turn."""
    names = list(made)
    return [compare(names[index % len(names)]) for index in range(COMPARISONS)]


def _timed(target, inputs, artifact, injected_delay_ns):
    enough = functools.partial(decided, tolerance_percent=TOLERANCE_PERCENT)
    with device_lock(target.device, print):
        return time_interleaved(
            target, Side(artifact), Side(artifact, injected_delay_ns), inputs, enough, LIMIT_SECONDS
        )


def _compare(target, inputs, artifact, injected_delay_ns):
    timing = _timed(target, inputs, artifact, injected_delay_ns)
    said = {}
    for name, statistic in STATISTICS.items():
        said[name] = statistic(timing.candidate_ns) > 1.05 * statistic(timing.baseline_ns)
    said["one load"] = timing.candidate_ns[0] > 1.05 * timing.baseline_ns[0]
    return Comparison(slowdown(timing, TOLERANCE_PERCENT).regressed, said, timing.seconds)


def _finding(name, comparisons, **bound):
    flagged = sum(comparison.flagged for comparison in comparisons)
    others = {key: sum(comparison.statistics[key] for comparison in comparisons) for key in comparisons[0].statistics}
    told = ", ".join(f"{key} {count}" for key, count in others.items())
    seconds = np.median([comparison.seconds for comparison in comparisons])
    return Finding(
        name, flagged, f"of {len(comparisons)}", f"one statistic at 5 %: {told}; median {seconds:.1f} s", **bound
    )


@contextlib.contextmanager
def busy_core():
    """Keep the last core busy with a load that starts and stops at random."""
    load = multiprocessing.get_context("spawn").Process(target=_load, daemon=True)
    load.start()
    try:
        yield
    finally:
        load.kill()
        load.join()


def _load():
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    while True:
        until = time.monotonic() + random.expovariate(2)
        block = np.ones((256, 256))
        while time.monotonic() < until:
            block = block @ block / 256
        time.sleep(random.expovariate(2))
