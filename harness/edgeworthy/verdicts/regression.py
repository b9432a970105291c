"""How a cell changed since its baseline: one typed change per metric, and one verdict over all of them.

A regression is an effect above the tolerance and, where a number has noise, evidence against that noise. What cannot be
compared is "not comparable", and never a pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgeworthy.cells import CellId
from edgeworthy.metrics import COMPARED
from edgeworthy.records import Change, ChangeStatus, Effect, Estimate, Evidence, Verdict
from edgeworthy.verdicts.compared_quality import quality_changes
from edgeworthy.verdicts.compared_times import latency_change, load_change
from edgeworthy.verdicts.sides import RED, Sides, accept_command, allowed, near, unlike_fingerprints

AXIS = "regression"


def new_cell(cell: CellId, run: str) -> Change:
    """A cell without a baseline."""
    return Change(
        cell, "cell", "new", "exact", None, None, "the cell has no baseline", f"accept it: {accept_command(run, cell)}"
    )


def compare(sides: Sides) -> list[Change]:
    """One change per metric that either side has, in the order of COMPARED."""
    found = [
        *quality_changes(sides),
        latency_change(sides),
        load_change(sides),
        _memory(sides),
        _exact(sides, "size", "size_percent", sides.tolerances.size_floor_kb),
        _exact(sides, "gzip", "size_percent", sides.tolerances.size_floor_kb),
        _exact(sides, "arena", "size_percent", sides.tolerances.size_floor_kb),
        _exact(sides, "flash", "size_percent", sides.tolerances.size_floor_kb),
        _exact(sides, "cpu_ops"),
        _delegated(sides),
    ]
    return [change for change in found if change is not None]


def regression_verdict(cell: CellId, changes: Sequence[Change]) -> Verdict:
    """All changes of a cell as one verdict: true if none of them fails."""
    red = sorted((change for change in changes if change.status in RED), key=lambda change: RED.index(change.status))
    if red:
        said = "; ".join(f"{change.status}: {change.message}" for change in red)
        return Verdict(cell, AXIS, "fail", red[0].evidence, said, red[0].hint)
    improved = [change for change in changes if change.status == "improved"]
    evidence: Evidence = (
        "inconclusive" if any(change.evidence == "inconclusive" for change in changes) else "conclusive"
    )
    said = f"unchanged against the baseline in {len(changes) - len(improved)} metrics"
    return Verdict(
        cell, AXIS, "pass", evidence, "; ".join([said, *(f"improved: {change.message}" for change in improved)])
    )


def _memory(sides: Sides) -> Change | None:
    before, after = sides.before.metrics.get("peak_memory_mb"), sides.after.metrics.get("peak_memory_mb")
    unlike = unlike_fingerprints(sides.before.fingerprint, sides.after.fingerprint)
    if before is not None and after is not None and unlike:
        return sides.change("memory", "not comparable", "exact", before, after, unlike)
    return _exact(sides, "memory", "memory_percent", sides.tolerances.memory_floor_mb)


def _exact(sides: Sides, metric: str, key: str = "", floor: float = 0.0) -> Change | None:
    """A number without noise; without a ``key`` of a tolerance none is more than it was."""
    names, tolerance_percent = COMPARED[metric], sides.tolerance(key) if key else 0.0
    before, after = (side.metrics.get(names.metric) for side in (sides.before, sides.after))
    lacking = sides.lacking(metric, before is not None, after is not None)
    if lacking or before is None or after is None:
        return lacking
    more = after - before
    percent = 100 * more / before if before else math.inf * more if more else 0.0
    status: ChangeStatus = "unchanged"
    if abs(percent) > tolerance_percent and abs(more) > floor and not near(before, after):
        status = "regressed" if more > 0 else "improved"
    how = f"{abs(percent):.1f} % {names.larger if more > 0 else names.smaller}" if more else "the same"
    limit = f"{tolerance_percent:g} %" + (f" and {names.shown(floor)}" if floor else "")
    said = f"{names.shown(before)} -> {names.shown(after)}: {how}{allowed(status, limit)}"
    effect = Effect(Estimate(percent), tolerance_percent, "%", "exact", key)
    return sides.change(metric, status, "exact", before, after, said, effect)


def _delegated(sides: Sides) -> Change | None:
    before, after = (side.metrics.get("delegated_percent") for side in (sides.before, sides.after))
    lacking = sides.lacking("delegated", before is not None, after is not None)
    if lacking or before is None or after is None:
        return lacking
    limit, names = sides.tolerances.delegated_points, COMPARED["delegated"]
    status: ChangeStatus = "unchanged"
    if abs(after - before) > limit and not near(before, after):
        status = "regressed" if after < before else "improved"
    said = f"{names.shown(before)} -> {names.shown(after)}{allowed(status, f'{limit:g} pp less')}"
    effect = Effect(Estimate(before - after), limit, "pp", "exact", "delegated_points")
    return sides.change("delegated", status, "exact", before, after, said, effect)
