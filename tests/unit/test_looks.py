"""What a device said while a job ran: the worst of it counts, and a look that was cut does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.measurements.settling import throttled_meanwhile
from harness.records import Conditions
from harness.targets.android.telemetry import parse_thermal
from harness.targets.linux.telemetry import parse_state
from harness.targets.looks import MARK, overall, seen

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
def test_throttling_again_on_a_pi_is_seen_meanwhile_only(bits: tuple[str, ...], throttled: bool) -> None:
    """0x40000 before and after says nothing of what happened between them; one look meanwhile does."""
    during = seen(pi(*bits), board)
    assert during.get("looks", 0) == len(bits)
    assert bool(throttled_meanwhile(Conditions({}, STICKY, STICKY, during=during))) is throttled


def test_a_phones_status_between_two_processes_counts() -> None:
    """A phone tells only of now: one look of three in which it throttled, and the hottest temperature of all."""
    during = seen(phone(0, 3, 0), parse_thermal)
    assert (during["throttled"], during["temperature_c"], during["looks"]) == (1, 43, 3)
    assert throttled_meanwhile(Conditions({}, {"throttled": 0.0}, {"throttled": 0.0}, during=during))


def test_the_slowest_clock_is_the_worst() -> None:
    """Of a clock the lowest reading counts, and looks of several blocks add up."""
    parts = [seen(pi("0x0", "0x0"), board), {}, seen(pi("0x0"), board)]
    assert overall(parts)["cpu_mhz"] == 2399.9
    assert overall(parts)["looks"] == 3


@given(st.sampled_from([(pi("0x0", "0x50005"), board), (phone(0, 2), parse_thermal)]), st.integers(0, 5000))
def test_a_cut_look_does_not_count(case: tuple[str, object], end: int) -> None:
    """Cut anywhere, a file of looks tells what its whole looks tell."""
    text, parse = case
    whole = text[: text[:end].rfind(f"{MARK}\n") + len(MARK) + 1] if f"{MARK}\n" in text[:end] else ""
    assert seen(text[:end], parse) == seen(whole, parse)  # type: ignore[arg-type]


def test_a_device_that_tells_nothing_was_not_looked_at() -> None:
    """Looks without a reading are no evidence of a cool device."""
    assert seen(f"{MARK}\n{MARK}\n", board) == {}
