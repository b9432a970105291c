"""Limits held against estimates: what decides, what the evidence is called, and the sentence with the numbers."""

from __future__ import annotations

import math

import pytest
from edgeworthy.cells import CellId
from edgeworthy.config import Limits
from edgeworthy.metrics import METRICS
from edgeworthy.records import Estimate
from edgeworthy.verdicts.limits import Check, checks_of, describe, flat, judge
from hypothesis import given
from hypothesis import strategies as st

CELL = CellId("cnn", "int8", "host:cpu")
NUMBERS = st.floats(1e-6, 1e6)


def test_every_limit_has_a_named_metric():
    """Whatever models.yaml may limit is described, and every metric that is described can be limited."""
    assert {name.partition("_")[2] for name in Limits.model_fields} == set(METRICS)


@pytest.mark.parametrize(
    ("side", "value", "low", "high", "passed", "evidence"),
    [
        ("max", 4.0, 3.0, 4.9, True, "conclusive"),
        ("max", 4.0, 3.0, 6.0, True, "inconclusive"),
        ("max", 6.0, 5.1, 7.0, False, "conclusive"),
        ("max", 6.0, 4.0, 7.0, False, "inconclusive"),
        ("min", 6.0, 5.1, 7.0, True, "conclusive"),
        ("min", 6.0, 4.0, 7.0, True, "inconclusive"),
        ("min", 4.0, 3.0, 4.9, False, "conclusive"),
        ("min", 4.0, 3.0, 6.0, False, "inconclusive"),
        ("max", 5.0, None, None, True, "exact"),
        ("min", 5.0, None, None, True, "exact"),
        ("max", math.nan, None, None, False, "exact"),
        ("min", math.nan, None, None, False, "exact"),
    ],
)
def test_point_decides_and_interval_is_the_evidence(
    side: str, value: float, low: float | None, high: float | None, passed: bool, evidence: str
):
    """Against a limit of 5: on the limit passes, NaN never does, and only the whole interval is conclusive."""
    check = Check("p50_ms", side, 5.0, Estimate(value, low, high))
    assert (check.passed, check.evidence) == (passed, evidence)


@pytest.mark.parametrize(
    ("metric", "limit", "estimate", "message"),
    [
        (
            "p50_ms", "max_p50_ms", Estimate(7.1234, 6.5, 8.25),
            "p50 latency 7.1234 ms (6.5000 to 8.2500), at most 5.0000 ms allowed",
        ),
        ("top1_percent", "min_top1_percent", Estimate(4.5), "top-1 accuracy 4.50 %, at least 5.00 % wanted"),
        ("error_ratio", "max_error_ratio", Estimate(9.0), "errors over the reference's 9.00x, at most 5.00x allowed"),
    ],
)  # fmt: skip
def test_message_has_value_interval_unit_and_limit(metric: str, limit: str, estimate: Estimate, message: str):
    """A broken limit is told with its numbers, and with what to do about it."""
    verdict = judge(CELL, "latency", {metric: estimate}, {limit: 5.0}, {metric: "do this"})
    assert not verdict
    assert (verdict.status, verdict.message, verdict.hint) == ("fail", message, "do this")
    assert verdict.metrics == flat({metric: estimate})


def test_message_names_the_worst_exceeded_limit():
    """Broken before kept, and among broken ones the one that is exceeded most."""
    estimates = {"p50_ms": Estimate(4.9), "p95_ms": Estimate(6.0), "p99_ms": Estimate(50.0)}
    limits = {f"max_{metric}": 5.0 for metric in estimates}
    assert [check.metric for check in checks_of(estimates, limits)] == ["p99_ms", "p95_ms", "p50_ms"]
    assert judge(CELL, "latency", estimates, limits, {}).message.startswith("p99 latency 50.0000 ms")


def test_nan_is_worse_than_any_number():
    """A metric that could not be computed is the first thing to be told."""
    estimates = {"p50_ms": Estimate(1e9), "sqnr_db": Estimate(math.nan)}
    assert checks_of(estimates, {"max_p50_ms": 1.0, "min_sqnr_db": 10.0})[0].metric == "sqnr_db"


def test_numbers_are_reported_without_a_limit():
    """No limit is a pass that says so; a limit on what this axis does not measure is not its business."""
    verdict = judge(CELL, "latency", {"p50_ms": Estimate(1.0)}, {"max_size_kb": 1.0}, {})
    assert verdict
    assert verdict.message == "no latency limit is set: p50 latency 1.0000 ms"


@given(st.dictionaries(st.sampled_from(sorted(METRICS)), NUMBERS, min_size=1), NUMBERS)
def test_verdict_fails_exactly_where_a_check_does(values: dict[str, float], limit: float):
    """The verdict is the conjunction of its checks, and keeps every metric."""
    estimates = {metric: Estimate(value) for metric, value in values.items()}
    limits = {f"max_{metric}": limit for metric in values}
    verdict = judge(CELL, "latency", estimates, limits, {})
    assert bool(verdict) == all(value <= limit for value in values.values())
    assert verdict.metrics == values
    assert describe(*next(iter(estimates.items()))).startswith(METRICS[next(iter(values))].label)
