"""A board's readings: real lines in the shell, the firmware's throttle bits, and no text that breaks the parser."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from edgeworthy.device_schema import Hygiene
from edgeworthy.measurements.preconditions import throttled_during, unmet_precondition
from edgeworthy.records import Conditions
from edgeworthy.targets.linux.telemetry import LinuxState, parse_state, read_state
from hypothesis import given
from hypothesis import strategies as st

from tests.local_link import LocalLink

PI = """load 0.42
memory_kb 7654321
governor ondemand
frequency_khz 1500000
frequency_khz 2400000
temperature_mc 47200
temperature_mc 51100
throttled=0x50005
temp=52.8'C
"""


def test_pi_output_is_parsed_with_units() -> None:
    """Load, memory in MB, mean clock in MHz, the hottest sensor in degrees, and each throttle bit by its name."""
    state = parse_state(PI)
    assert state.governor == "ondemand"
    assert state.readings == {
        "load_1min": 0.42,
        "memory_available_mb": 7838,
        "cpu_mhz": 1950.0,
        "temperature_c": 52.8,
        "under_voltage": 1,
        "frequency_capped": 0,
        "core_throttled": 1,
        "soft_temperature_limit": 0,
        "throttled": 1,
        "throttled_since_boot": 5,
    }
    assert unmet_precondition(state.readings, Hygiene()) == "it throttles"


@pytest.mark.parametrize(
    ("before", "after", "throttled"),
    [("0x0", "0x0", False), ("0x50000", "0x50000", False), ("0x0", "0x20000", True), ("0x0", "0x20002", True)],
)
def test_throttling_between_two_readings_is_seen(before: str, after: str, throttled: bool) -> None:
    """The bits since boot change where it throttled in between, though it no longer does; old bits alone say nothing."""
    readings = [parse_state(f"throttled={bits}\n").readings for bits in (before, after)]
    assert bool(throttled_during(Conditions({}, *readings))) is throttled


def test_other_boards_report_through_the_kernel() -> None:
    """Without vcgencmd: a cooling device of the processor that is engaged, and counts of thermal throttling."""
    assert parse_state("cooling 0\ncooling 2\n").readings == {"throttled": 1}
    assert parse_state("throttle_count 3\nthrottle_count 4\n").readings == {"throttled_since_boot": 7}


def test_the_script_reads_this_machine_and_a_firmware(tmp_path: Path) -> None:
    """The shell script itself, here, with a vcgencmd on the path."""
    tools = tmp_path / "tools"
    tools.mkdir()
    link = LocalLink(tmp_path)
    assert read_state(link).readings.keys() >= {"load_1min", "memory_available_mb"}
    (tools / "vcgencmd").write_text(
        '#!/bin/sh\ncase $1 in get_throttled) echo throttled=0x4 ;; measure_temp) echo "temp=61.5\'C" ;; esac\n'
    )
    (tools / "vcgencmd").chmod(0o755)
    state = read_state(LocalLink(tmp_path, path=f"{tools}:{os.environ['PATH']}"))
    assert state.readings["core_throttled"] == state.readings["throttled"] == 1
    assert state.readings["temperature_c"] >= 61.5


def test_firmware_that_denies_access_has_no_readings(tmp_path: Path) -> None:
    """A user outside the video group gets an error from vcgencmd: no throttle state, rather than a wrong one."""
    assert parse_state("load 0.1\nVCHI initialization failed\n") == LinuxState({"load_1min": 0.1}, "unknown")


@given(st.text() | st.integers(0, len(PI)).map(lambda end: PI[:end]))
def test_no_text_breaks_the_parser(text: str) -> None:
    """Garbage and every truncation give fewer readings, all finite numbers, and never a wrong name."""
    state = parse_state(text)
    assert all(isinstance(value, (int, float)) and value == value for value in state.readings.values())
    assert state.readings.keys() <= {*parse_state(PI).readings, "battery_percent"}
