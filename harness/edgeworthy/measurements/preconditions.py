"""Preconditions of a measurement: wait until the device has cooled down, and measure again where it throttled."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from edgeworthy.device_schema import Hygiene
from edgeworthy.errors import DeviceNotReady
from edgeworthy.records import Conditions, PairedTiming, Timing
from edgeworthy.targets.base import Target

Timed = TypeVar("Timed", Timing, PairedTiming)
Readings = Mapping[str, float]
Tell = Callable[[str], None]
_NOT_READY_HINT = "cool, charge or quieten the device, or change its 'hygiene' in devices.yaml"


def timed_when_ready(target: Target, hygiene: Hygiene, measure: Callable[[], Timed], tell: Tell) -> Timed:
    """Wait for the preconditions, measure, and measure again where the device throttled during it.

    After ``hygiene.remeasure`` further tries the last measurement is returned with an ``invalid_reason`` in its conditions.
    Raises DeviceNotReady, and what ``measure`` raises.
    """
    for left in range(hygiene.remeasure, -1, -1):
        wait_until_ready(target, hygiene, tell)
        found = measure()
        reason = throttled_during(found.conditions)
        if not reason:
            return found
        if left:
            tell(f"{target.device}: {reason}; measuring again")
    conditions = dataclasses.replace(
        found.conditions, invalid_reason=f"{reason}, {hygiene.remeasure + 1} times in a row"
    )
    return dataclasses.replace(found, conditions=conditions)


def wait_until_ready(target: Target, hygiene: Hygiene, tell: Tell) -> None:
    """Wait until the device meets its preconditions. Raises DeviceNotReady after ``hygiene.settle_s`` seconds."""
    end = time.monotonic() + hygiene.settle_s
    reported = ""
    while problem := unmet_precondition(target.state(), hygiene):
        if time.monotonic() + hygiene.poll_s > end:
            raise DeviceNotReady(
                f"{target.device}: {problem}, after {hygiene.settle_s:g} s of waiting",
                hint=_NOT_READY_HINT,
            )
        if problem != reported:
            tell(f"waiting for {target.device}: {problem}")
            reported = problem
        time.sleep(hygiene.poll_s)


def check_again(target: Target, hygiene: Hygiene) -> None:
    """Check a device that an earlier cell waited for, without waiting. Raises DeviceNotReady."""
    if problem := unmet_precondition(target.state(), hygiene):
        raise DeviceNotReady(
            f"{target.device}: {problem}; an earlier cell waited {hygiene.settle_s:g} s without success",
            hint=_NOT_READY_HINT,
        )


def unmet_precondition(state: Readings, hygiene: Hygiene) -> str:
    """The precondition that the device does not meet now, as a sentence; empty where it meets all."""
    checks = (
        ("battery_percent", hygiene.min_battery_percent, "charging", "battery at {now:.0f} %, {limit:g} % wanted"),
        ("temperature_c", hygiene.max_temperature_c, "cooling", "{now:.1f} C, at most {limit:g} C wanted"),
        ("load_1min", hygiene.max_load, "busy", "load {now:.2f}, at most {limit:g} wanted"),
    )
    for name, limit, doing, words in checks:
        if limit is None:
            continue
        if name not in state:
            return f"it does not report its {name}, which 'hygiene' limits"
        if state[name] < limit if name == "battery_percent" else state[name] > limit:
            return f"{doing}: {words.format(now=state[name], limit=limit)}"
    if hygiene.screen is not None and state.get("screen_on") != float(hygiene.screen == "on"):
        return f"the screen is not {hygiene.screen}"
    return "it throttles" if state.get("throttled") else ""


def throttled_during(conditions: Conditions) -> str:
    """Says that the device throttled in any sample, or between the first and the last; empty where there is no sign of it.

    What happened since the device was started changes once only on a Pi: whatever throttles again, only a sample in between
    shows.
    """
    before, after = conditions.before, conditions.after
    since_boot = "throttled_since_boot"
    now = any(state.get("throttled") for state in (before, conditions.during, after))
    if now or before.get(since_boot) != after.get(since_boot):
        return "the device throttled while it was measured"
    return ""
