"""Latency where a device's tool prints averages for each load: what is known is called what it is, the rest fails a limit."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from edgeworthy.cells import CellId
from edgeworthy.records import Conditions, Provenance, Timing
from edgeworthy.verdicts.latency import judge_latency
from edgeworthy.verdicts.snapshots import snapshot

CELL = CellId("cnn", "int8", "phone:cpu")
MEANS_NS = np.array([1_100, 1_300, 1_200, 1_600]) * 1000
MEAN_ONLY = Timing(
    samples_ns=MEANS_NS,
    load_of=np.arange(4),
    load_ns=np.array([10, 11, 12, 13]) * 10**6,
    first_ns=np.array([2, 3, 4, 5]) * 10**6,
    peak_memory_bytes=5_000_000,
    cpu_percent=None,
    delegation=None,
    window_seconds=0.5,
    conditions=Conditions({"runtime": "benchmark_model"}, {}, {}),
    statistic="mean",
    mean_loads_ns=MEANS_NS,
)
MEDIANS = dataclasses.replace(
    MEAN_ONLY, statistic="median", samples_ns=MEANS_NS - 100_000, p95_loads_ns=MEANS_NS + 500_000
)


def test_means_are_never_called_a_median():
    """A tool that prints means gives mean_ms and no percentile."""
    verdict = judge_latency(CELL, MEAN_ONLY, {"max_mean_ms": 2.0})
    assert verdict
    assert verdict.metrics["mean_ms"] == pytest.approx(1.3)
    assert not {"p50_ms", "p90_ms", "p95_ms", "p99_ms"} & set(verdict.metrics)


@pytest.mark.parametrize(
    ("timing", "limit", "said"),
    [
        (MEAN_ONLY, "max_p50_ms", "p50 latency is unknown, at most 9.0000 ms allowed: .* prints only mean latency"),
        (MEAN_ONLY, "max_p95_ms", "p95 latency is unknown, .* prints only mean latency for each load"),
        (MEDIANS, "max_p99_ms", "p99 latency is unknown, .* prints only p50 latency, p95 latency, mean latency"),
        (MEDIANS, "max_p90_ms", "p90 latency is unknown"),
    ],
)
def test_limit_on_an_unreported_percentile_fails(timing: Timing, limit: str, said: str):
    """It is not silently passed: the sentence says what is known, the next step what to do."""
    verdict = judge_latency(CELL, timing, {limit: 9.0, "max_mean_ms": 9.0})
    assert verdict.status == "fail"
    assert re.search(said, verdict.message), verdict.message
    assert "max_mean_ms" in verdict.hint


def test_percentiles_are_medians_over_the_loads():
    """p50 is the median of the loads' medians, p95 that of their 95th percentiles; the mean is that of their means."""
    metrics = judge_latency(CELL, MEDIANS, {}).metrics
    assert metrics["p50_ms"] == pytest.approx(1.15)
    assert metrics["p95_ms"] == pytest.approx(1.75)
    assert metrics["mean_ms"] == pytest.approx(1.3)
    assert metrics["p50_ms_low"] < metrics["p50_ms"] < metrics["p50_ms_high"]


@pytest.mark.parametrize(("timing", "statistic", "latency_ms"), [(MEAN_ONLY, "mean", 1.3), (MEDIANS, "median", 1.15)])
def test_snapshot_says_which_average_it_holds(timing: Timing, statistic: str, latency_ms: float):
    """What is accepted as a baseline has one number per load, and its name."""
    made = snapshot(Provenance("fp32", "nhwc", "a", 1, 1), None, None, timing)
    assert (made.statistic, made.latency_ms) == (statistic, pytest.approx(latency_ms))
    assert made.latency_loads_ns.tolist() == timing.samples_ns.tolist()
