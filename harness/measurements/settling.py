"""A device is measured on when it is fit, and its numbers count where it did not throttle meanwhile."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from harness.device_schema import Hygiene
from harness.errors import DeviceUnsettled
from harness.records import Conditions, PairedTiming, Timing
from harness.targets.base import Target

Timed = TypeVar("Timed", Timing, PairedTiming)
Readings = Mapping[str, float]
Tell = Callable[[str], None]
_UNFIT = "cool, charge or quieten the device, or change its 'hygiene' in devices.yaml"


def timed_when_settled(target: Target, hygiene: Hygiene, measure: Callable[[], Timed], tell: Tell) -> Timed:
    """Settle the device, measure, and measure again where it throttled meanwhile.

    After ``hygiene.remeasure`` further tries the last measurement is given with its trouble in its conditions. Raises
    DeviceUnsettled, and what ``measure`` raises.
    """
    for left in range(hygiene.remeasure, -1, -1):
        settle(target, hygiene, tell)
        found = measure()
        trouble = throttled_meanwhile(found.conditions)
        if not trouble:
            return found
        if left:
            tell(f"{target.device}: {trouble}; measuring again")
    conditions = dataclasses.replace(found.conditions, trouble=f"{trouble}, {hygiene.remeasure + 1} times in a row")
    return dataclasses.replace(found, conditions=conditions)


def settle(target: Target, hygiene: Hygiene, tell: Tell) -> None:
    """Wait until the device is fit. Raises DeviceUnsettled after ``hygiene.settle_s`` seconds."""
    end = time.monotonic() + hygiene.settle_s
    told = ""
    while problem := unfit(target.state(), hygiene):
        if time.monotonic() + hygiene.poll_s > end:
            raise DeviceUnsettled(
                f"{target.device}: {problem}, after {hygiene.settle_s:g} s of waiting",
                next_step=_UNFIT,
            )
        if problem != told:
            tell(f"waiting for {target.device}: {problem}")
            told = problem
        time.sleep(hygiene.poll_s)


def look_again(target: Target, hygiene: Hygiene) -> None:
    """Take a device that was waited for in vain as it now is. Raises DeviceUnsettled where it is no fitter."""
    if problem := unfit(target.state(), hygiene):
        raise DeviceUnsettled(
            f"{target.device}: {problem}; an earlier cell waited {hygiene.settle_s:g} s for it in vain",
            next_step=_UNFIT,
        )


def unfit(state: Readings, hygiene: Hygiene) -> str:
    """Why the device is not to be measured on now, in words; empty where it is fit."""
    checks = (
        ("battery_percent", hygiene.min_battery_percent, "charging", "battery at {now:.0f} %, {limit:g} % wanted"),
        ("temperature_c", hygiene.max_temperature_c, "cooling", "{now:.1f} C, at most {limit:g} C wanted"),
        ("load_1min", hygiene.max_load, "busy", "load {now:.2f}, at most {limit:g} wanted"),
    )
    for name, limit, doing, words in checks:
        if limit is None:
            continue
        if name not in state:
            return f"it does not tell its {name}, and 'hygiene' limits it"
        if state[name] < limit if name == "battery_percent" else state[name] > limit:
            return f"{doing}: {words.format(now=state[name], limit=limit)}"
    if hygiene.screen is not None and state.get("screen_on") != float(hygiene.screen == "on"):
        return f"the screen is not {hygiene.screen}"
    return "it throttles" if state.get("throttled") else ""


def throttled_meanwhile(conditions: Conditions) -> str:
    """That the device throttled at any look, or between the first and the last, in words; empty where nothing says so.

    What happened since the device was started changes once only on a Pi: whatever throttles again, only a look meanwhile
    tells.
    """
    before, after = conditions.before, conditions.after
    since_boot = "throttled_since_boot"
    now = any(state.get("throttled") for state in (before, conditions.during, after))
    if now or before.get(since_boot) != after.get(since_boot):
        return "the device throttled while it was measured"
    return ""
