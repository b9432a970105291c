"""Where a graph ran: the share that the backend's delegate took, and the evidence of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from edgeworthy.records import Delegation, Estimate, Verdict
from edgeworthy.verdicts.limits import checks_of

METRIC, LIMIT = "delegated_percent", "min_delegated_percent"
HINT = (
    "use a recipe whose ops the delegate takes, fix the batch size where SHAPE, STRIDED_SLICE or PACK "
    "are left, or correct the backend in devices.yaml"
)


def share(found: Delegation | None, limits: Mapping[str, float]) -> dict[str, Estimate]:
    """The share as an estimate: NaN where there is no evidence and a limit asks for some."""
    if found:
        return {METRIC: Estimate(found.percent)}
    return {METRIC: Estimate(float("nan"))} if LIMIT in limits else {}


def proof(found: Delegation | None) -> str:
    """The evidence, in a clause."""
    if not found:
        return "the runtime gives no evidence of delegation"
    return f"{found.delegate} took {found.taken} of {found.total} nodes ({found.proof})"


def with_share(verdict: Verdict, found: Delegation | None, limits: Mapping[str, float]) -> Verdict:
    """A verdict on outputs that also holds the share: outputs that were computed elsewhere are no evidence."""
    estimates = share(found, limits)
    checks = [check for check in checks_of(estimates, limits) if check.metric == METRIC]
    metrics = {**verdict.metrics, **{name: estimate.value for name, estimate in estimates.items()}}
    held = replace(verdict, metrics=metrics, checks=(*verdict.checks, *(check.result() for check in checks)))
    broken = [check for check in checks if not check.passed]
    if not broken:
        return held
    message = f"{broken[0].message()}: {proof(found)}"
    if verdict.status == "fail":
        return replace(held, message=f"{verdict.message}; {message}")
    return replace(held, status="fail", evidence="exact", message=message, hint=HINT)
