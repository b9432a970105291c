"""The latency of a cell, and the evidence of where it ran."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from harness.records import CellId, Estimate, Timing, Verdict
from harness.verdicts.limits import judge
from harness.verdicts.percentiles import over_loads, percentile

AXIS = "latency"
PERCENTILES = (50, 90, 95, 99)
_FASTER = "look for ops that the delegate left, try another recipe ('mixed', 'dynamic_int8'), or raise the budget with a reason"
NEXT_STEPS = {
    **{f"p{q}_ms": _FASTER for q in PERCENTILES},
    "first_inference_ms": "warm the model up before its first real input, or raise the budget with a reason",
    "load_ms": "ship a smaller or pre-optimized file, or raise the budget with a reason",
    "delegated_percent": "use a recipe whose ops the delegate takes, or correct the backend in devices.yaml",
}


def judge_latency(cell: CellId, timing: Timing, limits: Mapping[str, float]) -> Verdict:
    """Judge percentiles of the raw samples, load time, first inference and the delegate's share of the graph."""
    estimates = {
        **{f"p{q}_ms": _ms(percentile(timing.samples_ns, timing.load_of, q)) for q in PERCENTILES},
        "first_inference_ms": _ms(over_loads(timing.first_ns)),
        "load_ms": _ms(over_loads(timing.load_ns)),
    }
    if timing.delegation:
        estimates["delegated_percent"] = Estimate(timing.delegation.percent)
    elif "min_delegated_percent" in limits:
        estimates["delegated_percent"] = Estimate(float("nan"))
    verdict = judge(cell, AXIS, estimates, limits, NEXT_STEPS)
    if "delegated share" in verdict.sentence:
        return replace(verdict, sentence=f"{verdict.sentence}: {_proof(timing)}")
    return verdict


def _proof(timing: Timing) -> str:
    found = timing.delegation
    if not found:
        return "the runtime gives no evidence of delegation"
    return f"{found.delegate} took {found.taken} of {found.total} nodes ({found.proof})"


def _ms(nanoseconds: Estimate) -> Estimate:
    low, high = nanoseconds.low, nanoseconds.high
    return Estimate(nanoseconds.value / 1e6, None if low is None else low / 1e6, None if high is None else high / 1e6)
