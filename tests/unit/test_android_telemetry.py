"""What a phone says of itself: read right, or left out, whole, cut anywhere, or garbage."""

from __future__ import annotations

import pytest
from edgeworthy.targets.android.telemetry import parse_battery, parse_identity, parse_power, parse_state, parse_thermal
from hypothesis import given
from hypothesis import strategies as st

BATTERY = """\
Current Battery Service state:
  AC powered: false
  USB powered: true
  Charge counter: 3432000
  status: 2
  level: 84
  scale: 100
  voltage: 4063
  temperature: 326
  technology: Li-ion
"""
THERMAL = """\
IsStatusOverride: false
Thermal Status: 2
Cached temperatures:
\tTemperature{mValue=61.0, mType=0, mName=AP, mStatus=0}
HAL Ready: true
HAL connection:
\tThermalHAL 2.0 connected: yes
Current temperatures from HAL:
\tTemperature{mValue=64.2, mType=0, mName=AP, mStatus=0}
\tTemperature{mValue=NaN, mType=3, mName=SKIN2, mStatus=0}
\tTemperature{mValue=88.0, mType=8, mName=socd, mStatus=0}
\tTemperature{mValue=33.1, mType=2, mName=BATTERY, mStatus=0}
\tTemperature{mValue=31.5, mType=3, mName=SKIN, mStatus=0}
\tTemperature{mValue=-273.0, mType=9, mName=NPU, mStatus=0}
\tTemperature{mValue=3.4E38, mType=1, mName=GPU, mStatus=0}
Current cooling devices from HAL:
\tCoolingDevice{mValue=0, mType=2, mName=thermal-cpufreq-0}
Temperature static thresholds from HAL:
\tTemperatureThreshold{mType=0, mName=AP, mHotThrottlingThresholds=[NaN, 90.0], mColdThrottlingThresholds=[NaN, NaN]}
"""
POWER = "  mWakefulness=Asleep\n"
STATE = (
    f"== battery\n{BATTERY}== thermal\n{THERMAL}== power\n{POWER}== load\n2.71 1.5 0.9 1/456 7890\n"
    "== memory\nMemAvailable:    3456789 kB\n== clock\n1800000\n== end\n"
)
READ = {
    "battery_percent": 84.0, "temperature_c": 31.5, "throttled": 1.0, "screen_on": 0.0, "load_1min": 2.71,
    "memory_available_mb": 3456789 * 1024 / 1e6, "cpu_mhz": 1800.0,
}  # fmt: skip
PROPERTIES = """\
ro.product.model=Pixel 7
ro.board.platform=gs201
ro.build.version.sdk=34
ro.product.cpu.abi=arm64-v8a
ro.build.fingerprint=google/panther/panther:14/AP2A/123:user/release-keys
"""


def test_state_is_read_with_its_units():
    """Percent, degrees of the skin, MB, MHz."""
    assert parse_state(STATE) == pytest.approx(READ)


def test_identity_is_read_and_what_is_missing_is_unknown():
    """Every name is there, so that two identities can be compared."""
    found = parse_identity(PROPERTIES)
    assert found == {
        "model": "Pixel 7", "platform": "gs201", "sdk": "34", "abi": "arm64-v8a",
        "build": "google/panther/panther:14/AP2A/123:user/release-keys",
    }  # fmt: skip
    assert set(parse_identity("ro.product.model=\n").values()) == {"unknown"}


def test_thermal_service_that_is_not_ready_has_no_reading():
    """Neither throttling nor temperature; then the battery's temperature stands."""
    assert parse_thermal(THERMAL.replace("HAL Ready: true", "HAL Ready: false")) == {}
    assert parse_state(STATE.replace("HAL Ready: true", "HAL Ready: false"))["temperature_c"] == 32.6


def sensors(*lines: tuple[str, int]) -> str:
    listed = "".join(f"\tTemperature{{mValue={value}, mType={kind}, mName=x, mStatus=0}}\n" for value, kind in lines)
    return f"HAL Ready: true\nCurrent temperatures from HAL:\n{listed}Current cooling devices from HAL:\n"


@pytest.mark.parametrize(
    ("lines", "celsius"),
    [
        ([("66.0", 0), ("60.1", 9), ("34.5", 2), ("31.0", 3), ("32.5", 3)], 32.5),
        ([("66.0", 0), ("34.5", 2)], 34.5),
        ([("66.0", 0), ("60.1", 9), ("41.5", -1)], 66.0),
        ([("66.0", 0), ("-273.15", 3), ("34.5", 2)], 34.5),
    ],
)
def test_temperature_prefers_skin_then_battery_then_die(lines: list[tuple[str, int]], celsius: float):
    """A die is at 60 C at rest, so that no limit of a case's heat would ever be met by it; what is not there counts not."""
    assert parse_thermal(sensors(*lines)) == {"temperature_c": celsius}


def test_invalid_temperature_is_none():
    """The battery's millivolts, milliamperes and percent (types 6 to 8) come in the same lines as degrees do."""
    told = [("88.0", 8), ("12.0", 6), ("120.0", 7), ("3.9", 6)]
    assert parse_thermal(sensors(*told)) == {}
    assert parse_thermal(sensors(*told, ("41.0", 0))) == {"temperature_c": 41.0}


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1.0E10", "", "warm"])
def test_a_sensor_without_a_number_hides_no_other(value: str):
    """Those after it are read as those before it."""
    assert parse_thermal(sensors(("40.0", 0), (value, 0), ("42.0", 0))) == {"temperature_c": 42.0}


@pytest.mark.parametrize(("status", "throttled"), [(0, 0.0), (1, 1.0), (6, 1.0)])
def test_any_thermal_status_above_none_is_throttling(status: int, throttled: float):
    """From light to shutdown."""
    assert parse_thermal(THERMAL.replace("Status: 2", f"Status: {status}"))["throttled"] == throttled


@pytest.mark.parametrize(("word", "on"), [("Awake", 1.0), ("Asleep", 0.0), ("Dozing", 0.0), ("Dreaming", 0.0)])
def test_screen_is_on_where_the_phone_is_awake(word: str, on: float):
    """A dream and the ambient display are not."""
    assert parse_power(f"  mWakefulness={word}\n") == {"screen_on": on}


@pytest.mark.parametrize(
    "text", ["  level: 184\n", "  level: -1\n", "  temperature: 32.6\n", "  temperature: 9999\n", "level"]
)
def test_invalid_battery_level_is_ignored(text: str):
    """It is not a reading."""
    assert parse_battery(text) == {}


def test_every_truncation_is_read_right_or_left_out():
    """Cut after any character, no reading is another than in the whole; the battery's temperature is the one exception,
    which stands in where the sensors' are missing."""
    for end in range(len(STATE)):
        for name, value in parse_state(STATE[:end]).items():
            assert value == pytest.approx(READ[name]) or (name, value) == ("temperature_c", 32.6)
    for parse, text in ((parse_battery, BATTERY), (parse_thermal, THERMAL), (parse_power, POWER)):
        whole = parse(text)
        for end in range(len(text)):
            part = parse(text[:end])
            part.pop("temperature_c", None)  # of fewer sensors, where the list is cut
            assert part.items() <= whole.items()
    known = parse_identity(PROPERTIES)
    for end in range(len(PROPERTIES)):
        assert all(value in (known[name], "unknown") for name, value in parse_identity(PROPERTIES[:end]).items())


@given(st.text())
def test_garbage_has_no_readings(text: str):
    """Whatever comes, nothing is made of it."""
    assert parse_state(text) == {}
    assert set(parse_identity(text).values()) == {"unknown"}
