"""Limits held against estimates: one check a limit, and the verdict that the worst of them gives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from edgeworthy.cells import CellId
from edgeworthy.metrics import METRICS
from edgeworthy.records import Checked, Estimate, Evidence, Verdict
from edgeworthy.statistics.paired import Side, conclusive

Estimates = Mapping[str, Estimate]


@dataclass(frozen=True)
class Check:
    """One limit held against one estimate."""

    metric: str
    side: Side
    limit: float
    estimate: Estimate

    @property
    def passed(self) -> bool:
        """The point estimate decides; NaN never passes."""
        value = self.estimate.value
        return value <= self.limit if self.side == "max" else value >= self.limit

    @property
    def evidence(self) -> Evidence:
        """Whether the interval, where there is one, agrees as a whole."""
        if self.estimate.low is None:
            return "exact"
        return "conclusive" if conclusive(self.estimate, self.limit, self.side) else "inconclusive"

    @property
    def usage(self) -> float:
        """How much of the limit is used; above 1 it is broken. Orders checks from worst to best."""
        value, limit = self.estimate.value, self.limit
        if math.isnan(value):
            return math.inf
        used = value / limit if self.side == "max" and limit else limit / value if value > 0 and limit else None
        if used is None:
            return 0.0 if self.passed else math.inf
        return used

    def result(self) -> Checked:
        """The check as plain data."""
        found = self.estimate
        return Checked(
            self.metric, self.side, self.limit, found.value, found.low, found.high, self.evidence, self.passed
        )

    def message(self) -> str:
        """The number, its interval and its limit."""
        bound = "at most {} allowed" if self.side == "max" else "at least {} wanted"
        if math.isnan(self.estimate.value):
            return f"{METRICS[self.metric].label} is unknown, {bound.format(METRICS[self.metric].shown(self.limit))}"
        return f"{describe(self.metric, self.estimate)}, {bound.format(METRICS[self.metric].shown(self.limit))}"


def judge(
    cell: CellId, axis: str, estimates: Estimates, limits: Mapping[str, float], hints: Mapping[str, str]
) -> Verdict:
    """Hold every limit whose metric is among ``estimates``; the worst check gives the verdict's message.

    ``hints`` say per metric what to do about a broken limit.
    """
    checks = checks_of(estimates, limits)
    metrics = flat(estimates)
    if not checks:
        shown = ", ".join(describe(metric, estimate) for metric, estimate in list(estimates.items())[:3])
        return Verdict(cell, axis, "pass", "exact", f"no {axis} limit is set: {shown}", metrics=metrics)
    worst = checks[0]
    return Verdict(
        cell,
        axis,
        "pass" if worst.passed else "fail",
        worst.evidence,
        worst.message(),
        "" if worst.passed else hints.get(worst.metric, ""),
        metrics,
        checks=tuple(check.result() for check in checks),
    )


def checks_of(estimates: Estimates, limits: Mapping[str, float]) -> list[Check]:
    """The limits that speak of these metrics, held; broken ones first, then by how much of the limit is used."""
    checks = []
    for name, limit in limits.items():
        side, _, metric = name.partition("_")
        if metric in estimates:
            checks.append(Check(metric, "max" if side == "max" else "min", limit, estimates[metric]))
    return sorted(checks, key=lambda check: (check.passed, -check.usage))


def describe(metric: str, estimate: Estimate) -> str:
    """``p50 latency 0.0561 ms (0.0550 to 0.0570)``."""
    interval = ""
    if estimate.low is not None and estimate.high is not None:
        digits = METRICS[metric].digits
        interval = f" ({estimate.low:.{digits}f} to {estimate.high:.{digits}f})"
    return f"{METRICS[metric].label} {METRICS[metric].shown(estimate.value)}{interval}"


def flat(estimates: Estimates) -> dict[str, float]:
    """Estimates as columns: ``<metric>``, and ``<metric>_low`` and ``<metric>_high`` where there is an interval."""
    columns = {}
    for metric, estimate in estimates.items():
        columns[metric] = estimate.value
        if estimate.low is not None and estimate.high is not None:
            columns[f"{metric}_low"], columns[f"{metric}_high"] = estimate.low, estimate.high
    return columns
