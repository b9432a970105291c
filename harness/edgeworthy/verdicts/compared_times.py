"""The times of a cell against its baseline's: interleaved where both ran, else those of two sessions."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edgeworthy.metrics import COMPARED
from edgeworthy.records import Change, ChangeStatus, Effect, Estimate, Evidence
from edgeworthy.statistics.paired import conclusive
from edgeworthy.statistics.percentiles import FEWEST_LOADS, over_loads
from edgeworthy.verdicts.sides import Sides, allowed, unlike_fingerprints

#: The same artifact in another session: the 90th percentile of the spread was 1.2x (docs/gate.md), a throttled core is 2x.
SAME_ARTIFACT_LIMIT = 2.0
_SAME = "is that of the same artifact, run in the same way on the same device"


def latency_change(sides: Sides) -> Change | None:
    """The change of the latency; None where neither side has one."""
    before, after, t = sides.before.latency_ms, sides.after.latency_ms, sides.tolerances
    lacking = sides.lacking("latency", before is not None, after is not None)
    if lacking or before is None or after is None:
        return lacking
    if sides.before.statistic != sides.after.statistic:
        unlike = f"cannot be compared: the baseline has {sides.before.statistic}s, the run {sides.after.statistic}s"
        return sides.change("latency", "not comparable", "exact", None, None, unlike)
    if sides.same and not sides.interleaved:
        return _same_artifact(sides, before, after)
    loads = sides.before.latency_loads_ns, sides.after.latency_loads_ns
    if not sides.interleaved:
        return _stored_times(sides, "latency", before, after, loads, "latency_percent", t.latency_floor_us / 1e3)
    timed = sides.interleaved
    if timed.invalid_reason:
        return sides.change("latency", "not comparable", "exact", before, after, timed.invalid_reason)
    how = f"{timed.rounds} interleaved A/B rounds"
    slower_ms = after - after / timed.ratio.value
    said = _times("latency", timed.ratio, slower_ms, t.latency_percent, t.latency_floor_us / 1e3)
    effect = Effect(_percent(timed.ratio), t.latency_percent, "%", how, "latency_percent")
    return sides.change("latency", said[0], timed.evidence, before, after, f"{said[1]}; {how}", effect)


def _same_artifact(sides: Sides, before_ms: float, after_ms: float) -> Change:
    """Unchanged, unless it certainly takes so much longer than when it was accepted that no session's noise explains it."""
    ratio = _same_artifact_ratio(sides, after_ms / before_ms)
    effect = Effect(_percent(ratio), 100 * (SAME_ARTIFACT_LIMIT - 1), "%", "the same artifact, in two sessions")
    if ratio.value <= SAME_ARTIFACT_LIMIT or after_ms - before_ms <= sides.tolerances.latency_floor_us / 1e3:
        return sides.change("latency", "unchanged", "exact", before_ms, after_ms, _SAME, effect)
    low, high = ratio.low or ratio.value, ratio.high or ratio.value
    said = f"{_SAME}, and {ratio.value:.1f}x ({low:.1f} to {high:.1f}) as long as when it was accepted"
    if low <= SAME_ARTIFACT_LIMIT:
        return sides.change(
            "latency", "unchanged", "inconclusive", before_ms, after_ms, f"{said}: noise may explain it", effect
        )
    said += ": the device changed, not the model (throttled?)"
    return sides.change("latency", "regressed", "conclusive", before_ms, after_ms, said, effect)


def _same_artifact_ratio(sides: Sides, value: float) -> Estimate:
    """After over before, with its interval where there are loads enough for one."""
    loads = sides.before.latency_loads_ns, sides.after.latency_loads_ns
    if min(side.size for side in loads) < FEWEST_LOADS:
        return Estimate(value)
    return stored_ratio(*loads, between_session_percent=0)


def load_change(sides: Sides) -> Change | None:
    """The change of the time to load; None where neither side has one."""
    before, after, t = sides.before.metrics.get("load_ms"), sides.after.metrics.get("load_ms"), sides.tolerances
    lacking = sides.lacking("load", before is not None, after is not None)
    if lacking or before is None or after is None:
        return lacking
    if sides.same:
        return sides.change("load", "unchanged", "exact", before, after, _SAME)
    loads = sides.before.load_loads_ns, sides.after.load_loads_ns
    return _stored_times(sides, "load", before, after, loads, "load_percent", t.load_floor_ms)


def _stored_times(
    sides: Sides,
    metric: str,
    before_ms: float,
    after_ms: float,
    loads: tuple[NDArray[np.int64], NDArray[np.int64]],
    key: str,
    floor_ms: float,
) -> Change:
    tolerance_percent = sides.tolerance(key)
    unlike = sides.after.invalid_reason or unlike_fingerprints(sides.before.fingerprint, sides.after.fingerprint)
    if not unlike and min(side.size for side in loads) < FEWEST_LOADS:
        unlike = f"with fewer than {FEWEST_LOADS} reloads a side there is no evidence against noise"
    if unlike:
        return sides.change(metric, "not comparable", "exact", before_ms, after_ms, unlike)
    ratio = stored_ratio(*loads, sides.tolerances.between_session_percent)
    status, said = _times(metric, ratio, after_ms - before_ms, tolerance_percent, floor_ms)
    evidence: Evidence = "conclusive" if conclusive(ratio, 1 + tolerance_percent / 100, "max") else "inconclusive"
    shown = COMPARED[metric].shown
    said = (
        f"{shown(before_ms)} -> {shown(after_ms)}: {said}; stored times of two sessions,"
        f" {sides.tolerances.between_session_percent:g} % allowed for what differs between sessions"
    )
    effect = Effect(_percent(ratio), tolerance_percent, "%", "stored times of two sessions", key)
    return sides.change(metric, status, evidence, before_ms, after_ms, said, effect)


def _times(
    metric: str, ratio: Estimate, slower_ms: float, tolerance_percent: float, floor_ms: float
) -> tuple[ChangeStatus, str]:
    """Word and clause: an effect above tolerance and floor, and an interval that lies on the effect's side of 1."""
    low, high = ratio.low or ratio.value, ratio.high or ratio.value
    limit = 1 + tolerance_percent / 100
    status: ChangeStatus = "unchanged"
    if ratio.value > limit and low > 1 and slower_ms > floor_ms:
        status = "regressed"
    elif ratio.value < 1 / limit and high < 1 and -slower_ms > floor_ms:
        status = "improved"
    names = COMPARED[metric]
    said = f"{_signed(_percent(ratio))} % {names.larger}{allowed(status, f'{tolerance_percent:g} %')}"
    if status == "unchanged" and ratio.value > limit:
        said += f": no evidence against noise, or under the floor of {floor_ms:g} ms"
    return status, said


def _percent(ratio: Estimate) -> Estimate:
    """How much longer, in percent."""
    ends = (ratio.low or ratio.value, ratio.high or ratio.value)
    return Estimate(*(100 * (value - 1) for value in (ratio.value, *ends)))


def stored_ratio(before_ns: NDArray[np.int64], after_ns: NDArray[np.int64], between_session_percent: float) -> Estimate:
    """After over before, of one number per reload, with an interval that also holds what differs between sessions.

    The interval of the log ratio comes from the two medians' own (G. Y. Zou, A. Donner, Construction of confidence
    limits about effect measures: a general approach, Statistics in Medicine 27 (2008) 1693-1702); it is then widened
    on both sides by the allowance. Needs FEWEST_LOADS loads a side.
    """
    sides = [over_loads(side) for side in (before_ns, after_ns)]
    (old, old_low, old_high), (new, new_low, new_high) = (
        (math.log(side.value), math.log(side.low or side.value), math.log(side.high or side.value)) for side in sides
    )
    between = math.log1p(between_session_percent / 100)
    low = new - old - math.hypot(new - new_low, old_high - old) - between
    high = new - old + math.hypot(new_high - new, old - old_low) + between
    return Estimate(*(math.exp(value) for value in (new - old, low, high)))


def _signed(percent: Estimate) -> str:
    return f"{percent.value:+.1f} ({percent.low:+.1f} to {percent.high:+.1f})"
