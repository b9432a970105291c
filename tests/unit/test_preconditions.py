"""When a device is fit, how long is waited for it, and what becomes of numbers that were taken while it throttled."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from edgeworthy.device_schema import Hygiene
from edgeworthy.errors import DeviceNotReady
from edgeworthy.measurements.preconditions import (
    throttled_during,
    timed_when_ready,
    unmet_precondition,
    wait_until_ready,
)
from edgeworthy.records import Conditions, PairedTiming

QUICK = {"settle_s": 0.5, "poll_s": 0.01}


class Device:
    """A target that tells one state after the other, and the last one for ever."""

    name, device, runtimes = "phone:cpu", "phone", frozenset[str]()

    def __init__(self, *states: dict[str, float]) -> None:
        self.states = list(states)

    def state(self) -> dict[str, float]:
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]


def timing(before: dict[str, float], after: dict[str, float]) -> PairedTiming:
    return PairedTiming(np.ones(1, np.int64), np.ones(1, np.int64), 1, 1.0, Conditions({}, before, after))


@pytest.mark.parametrize(
    ("state", "limits", "told"),
    [
        ({"battery_percent": 19}, {"min_battery_percent": 20}, "battery at 19 %"),
        ({"temperature_c": 41.2}, {"max_temperature_c": 38}, "cooling: 41.2 C"),
        ({"load_1min": 3.0}, {"max_load": 1}, "load 3.00"),
        ({"screen_on": 1.0}, {"screen": "off"}, "screen is not off"),
        ({}, {"screen": "on"}, "screen is not on"),
        ({"throttled": 1.0}, {}, "throttles"),
        ({}, {"max_temperature_c": 38}, "does not report its temperature_c"),
    ],
)
def test_unmet_precondition_is_named(state: dict[str, float], limits: dict[str, float], told: str) -> None:
    """Each limit, a reading that is lacking, and throttling are reported in words."""
    assert told in unmet_precondition(state, Hygiene(**limits))


def test_device_without_limits_is_ready() -> None:
    """Without limits, and at its limits, a device that does not throttle is fit."""
    assert unmet_precondition({}, Hygiene()) == ""
    assert (
        unmet_precondition(
            {"temperature_c": 38, "battery_percent": 20}, Hygiene(max_temperature_c=38, min_battery_percent=20)
        )
        == ""
    )


def test_cool_down_is_waited_for_and_reported() -> None:
    """A hot device is looked at until it is cool, and the way down is told."""
    told: list[str] = []
    wait_until_ready(
        Device({"temperature_c": 41}, {"temperature_c": 39}, {"temperature_c": 37}), hygiene(), told.append
    )
    assert [line.rpartition("cooling: ")[2][:4] for line in told] == ["41.0", "39.0"]


def test_cool_down_ends_after_settle_s() -> None:
    """After the limit of waiting, an error names the device, its state and the next step."""
    with pytest.raises(DeviceNotReady, match=r"phone: cooling: 50\.0 C.*after 0\.5 s") as raised:
        wait_until_ready(Device({"temperature_c": 50}), hygiene(), print)
    assert "hygiene" in raised.value.hint


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"throttled": 0.0}, {"throttled": 1.0}),
        ({"throttled": 0.0, "throttled_since_boot": 0.0}, {"throttled": 0.0, "throttled_since_boot": 4.0}),
    ],
)
def test_throttling_in_between_is_seen(before: dict[str, float], after: dict[str, float]) -> None:
    """A device that throttles afterwards, or says that it did meanwhile, throttled."""
    assert throttled_during(Conditions({}, before, after))
    assert not throttled_during(Conditions({}, before, before))


def measured(throttles: int, remeasure: int) -> tuple[PairedTiming, int]:
    """What is measured on a device that throttles in the first so many measurements, and how often it was."""
    answers: Iterator[PairedTiming] = iter([timing({}, {"throttled": float(i < throttles)}) for i in range(20)])
    count = [0]

    def measure() -> PairedTiming:
        count[0] += 1
        return next(answers)

    return timed_when_ready(Device({"temperature_c": 30}), hygiene(remeasure), measure, print), count[0]


@pytest.mark.parametrize(("throttles", "remeasure", "times"), [(0, 2, 1), (2, 2, 3), (1, 5, 2)])
def test_a_throttled_measurement_is_repeated(throttles: int, remeasure: int, times: int) -> None:
    """It is measured again as often as allowed, and counts as soon as one was clean."""
    found, count = measured(throttles, remeasure)
    assert count == times
    assert not found.conditions.invalid_reason


def test_persistent_throttling_is_marked() -> None:
    """Where no try was clean, the numbers carry their trouble."""
    found, count = measured(throttles=9, remeasure=1)
    assert count == 2
    assert found.conditions.invalid_reason == "the device throttled while it was measured, 2 times in a row"


def hygiene(remeasure: int = 2) -> Hygiene:
    return Hygiene(max_temperature_c=38, remeasure=remeasure, **QUICK)
