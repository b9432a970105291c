"""The latency of a cell, and the evidence of where it ran.

Where a device's tool does not print single inferences, p50 is the median over loads of each load's median, and p95
likewise of each load's 95th percentile. What the tool does not print is unknown, and a limit on it fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from edgeworthy.cells import CellId
from edgeworthy.metrics import METRICS
from edgeworthy.records import Estimate, Timing, Verdict
from edgeworthy.statistics.percentiles import mean, over_loads, percentile
from edgeworthy.verdicts import delegation
from edgeworthy.verdicts.limits import Estimates, judge

AXIS = "latency"
PERCENTILES = (50, 90, 95, 99)
_FASTER = (
    "look for ops that the delegate did not take, try another recipe ('mixed', 'dynamic_int8'), "
    "or raise the budget with a reason"
)
_PRINTED = (
    "limit what the tool prints (max_mean_ms), or give the device a newer benchmark_model, which prints median and p95"
)
_TIMES = (*(f"p{q}_ms" for q in PERCENTILES), "mean_ms")
HINTS = {
    **dict.fromkeys(_TIMES, _FASTER),
    "first_inference_ms": "warm the model up before its first real input, or raise the budget with a reason",
    "load_ms": "ship a smaller or pre-optimized file, or raise the budget with a reason",
    delegation.METRIC: delegation.HINT,
}


def judge_latency(cell: CellId, timing: Timing, limits: Mapping[str, float]) -> Verdict:
    """Judge percentiles and mean of the inferences, load time, first inference and the delegate's share of the graph."""
    known = {name: _ms(estimate) for name, estimate in _inferences(timing).items()}
    unknown = {name: Estimate(float("nan")) for name in _TIMES if name not in known and f"max_{name}" in limits}
    estimates = {
        **known,
        **unknown,
        "first_inference_ms": _ms(over_loads(timing.first_ns)),
        "load_ms": _ms(over_loads(timing.load_ns)),
        **delegation.share(timing.delegation, limits),
    }
    verdict = judge(cell, AXIS, estimates, limits, {**HINTS, **dict.fromkeys(unknown, _PRINTED)})
    worst = verdict.checks[0].metric if verdict.checks else ""
    if worst in unknown:
        known_names = ", ".join(METRICS[name].label for name in known)
        return replace(verdict, message=f"{verdict.message}: the device's tool prints only {known_names} for each load")
    if worst == delegation.METRIC:
        verdict = replace(verdict, message=f"{verdict.message}: {delegation.proof(timing.delegation)}")
    trouble = timing.conditions.invalid_reason
    return _not_comparable(verdict, trouble) if trouble else verdict


def _not_comparable(verdict: Verdict, trouble: str) -> Verdict:
    return replace(
        verdict,
        status="not comparable",
        evidence="exact",
        message=f"{trouble}; the measurement is not evidence: {verdict.message}",
        hint="let the device cool, then pytest benchmarks/ --edge-resume RUN measures this cell again",
    )


def _inferences(timing: Timing) -> Estimates:
    """What is known of the time of one inference, in nanoseconds, by metric."""
    samples, load_of = timing.samples_ns, timing.load_of
    if timing.statistic == "inference":
        return {**{f"p{q}_ms": percentile(samples, load_of, q) for q in PERCENTILES}, "mean_ms": mean(samples, load_of)}
    known = {"p50_ms": over_loads(samples)} if timing.statistic == "median" else {}
    if timing.p95_loads_ns is not None:
        known["p95_ms"] = over_loads(timing.p95_loads_ns)
    if timing.mean_loads_ns is not None:
        known["mean_ms"] = mean(timing.mean_loads_ns, np.arange(timing.mean_loads_ns.size))
    return known


def _ms(nanoseconds: Estimate) -> Estimate:
    low, high = nanoseconds.low, nanoseconds.high
    return Estimate(nanoseconds.value / 1e6, None if low is None else low / 1e6, None if high is None else high / 1e6)
