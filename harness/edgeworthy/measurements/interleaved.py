"""Interleaved A/B timing of two artifacts on one target, until the evidence is enough or the time is up."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edgeworthy.datasets.samples import Samples
from edgeworthy.records import Conditions, PairedTiming
from edgeworthy.statistics.sequential import log_ratios
from edgeworthy.storage import digest
from edgeworthy.targets.base import Side, Target, fingerprint
from edgeworthy.targets.telemetry_samples import overall

#: Rounds before the first look at the evidence, and how much more there are at each further look.
FIRST_ROUNDS, GROWTH = 12, 1.5
#: Rounds that one runner process does: the next ones get a process, and so a memory layout, of their own.
BLOCK = 6
Enough = Callable[[NDArray[np.float64], int], bool]


def time_interleaved(
    target: Target, baseline: Side, candidate: Side, inputs: Samples, enough: Enough, max_seconds: float
) -> PairedTiming:
    """Add rounds until ``enough(log ratios candidate / baseline, look)`` or ``max_seconds`` are over.

    The time limit holds to within one block of rounds. The caller holds the device's lock. Raises TargetError.
    """
    before, start = target.state(), time.monotonic()
    medians, during = np.zeros((2, 0), np.int64), list[dict[str, float]]()
    look, wanted = 0, FIRST_ROUNDS
    while True:
        while medians.shape[1] < wanted:
            block = target.interleaved(baseline, candidate, inputs, BLOCK, timeout_s=max(10 * max_seconds, 60))
            medians = np.concatenate([medians, block.medians_ns], axis=1)
            during.append(block.during)
            seconds = time.monotonic() - start
            if seconds + seconds * BLOCK / medians.shape[1] > max_seconds:
                wanted = medians.shape[1]
        look += 1
        if enough(log_ratios(*medians), look) or seconds + seconds * BLOCK / medians.shape[1] > max_seconds:
            break
        wanted = math.ceil(medians.shape[1] * GROWTH)
    where, after = fingerprint(target, candidate.artifact.runtime), target.state()
    conditions = Conditions(where, before, after, during=overall(during))
    return PairedTiming(medians[0], medians[1], look, time.monotonic() - start, conditions)


def interleaved_identity(
    baseline_key: str, candidate_key: str, dataset: str, target: dict[str, str], runtime: str
) -> str:
    """What must be the same for a stored comparison to stand for a new one: both artifacts, the samples, where they ran.

    ``runtime`` is its name and version.
    """
    return digest([baseline_key, candidate_key, dataset, target, runtime])
