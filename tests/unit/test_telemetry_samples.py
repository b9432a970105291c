"""What a device said while a job ran: the worst of it counts, and a sample that was cut off does not."""

from __future__ import annotations

import pytest
from edgeworthy.measurements.preconditions import throttled_during
from edgeworthy.records import Conditions
from edgeworthy.targets.android.telemetry import parse_thermal
from edgeworthy.targets.linux.telemetry import parse_state
from edgeworthy.targets.telemetry_samples import MARK, overall, parse_samples
from hypothesis import given
from hypothesis import strategies as st

#: A Pi that has throttled before: the bits since boot are set, and stay so.
STICKY = {"throttled": 0.0, "throttled_since_boot": 4.0}


def board(text: str) -> dict[str, float]:
    return parse_state(text).readings


def pi(*bits: str) -> str:
    return "".join(f"frequency_khz {2_400_000 - 100 * i}\nthrottled={each}\n{MARK}\n" for i, each in enumerate(bits))


#: Of a phone that tells nothing but this, in degrees.
THERMAL = """Thermal Status: {status}
HAL Ready: true
Current temperatures from HAL:
\tTemperature{{mValue={celsius}, mType=3, mName=SKIN, mStatus={status}}}
"""


def phone(*statuses: int) -> str:
    return "".join(f"{THERMAL.format(status=each, celsius=40 + each)}{MARK}\n" for each in statuses)


@pytest.mark.parametrize(
    ("bits", "throttled"), [(("0x40000", "0x40004", "0x40000"), True), (("0x40000", "0x40000"), False), ((), False)]
)
def test_pi_that_throttled_before_shows_it_only_in_samples(bits: tuple[str, ...], throttled: bool) -> None:
    """0x40000 before and after says nothing of what happened between them; one sample in between does."""
    during = parse_samples(pi(*bits), board)
    assert during.get("telemetry_samples", 0) == len(bits)
    assert bool(throttled_during(Conditions({}, STICKY, STICKY, during=during))) is throttled


def test_a_phones_status_between_two_processes_counts() -> None:
    """A phone tells only of now: one sample of three in which it throttled, and the hottest temperature of all."""
    during = parse_samples(phone(0, 3, 0), parse_thermal)
    assert (during["throttled"], during["temperature_c"], during["telemetry_samples"]) == (1, 43, 3)
    assert throttled_during(Conditions({}, {"throttled": 0.0}, {"throttled": 0.0}, during=during))


def test_the_slowest_clock_is_the_worst() -> None:
    """Of a clock the lowest reading counts, and samples of several blocks add up."""
    parts = [parse_samples(pi("0x0", "0x0"), board), {}, parse_samples(pi("0x0"), board)]
    assert overall(parts)["cpu_mhz"] == 2399.9
    assert overall(parts)["telemetry_samples"] == 3


@given(st.sampled_from([(pi("0x0", "0x50005"), board), (phone(0, 2), parse_thermal)]), st.integers(0, 5000))
def test_truncated_sample_is_ignored(case: tuple[str, object], end: int) -> None:
    """Cut anywhere, a telemetry file gives what its whole samples give."""
    text, parse = case
    whole = text[: text[:end].rfind(f"{MARK}\n") + len(MARK) + 1] if f"{MARK}\n" in text[:end] else ""
    assert parse_samples(text[:end], parse) == parse_samples(whole, parse)  # type: ignore[arg-type]


def test_silent_device_has_no_samples() -> None:
    """Looks without a reading are no evidence of a cool device."""
    assert parse_samples(f"{MARK}\n{MARK}\n", board) == {}
