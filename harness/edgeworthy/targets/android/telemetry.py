"""What a phone says of itself: identity, and the state that it is in.

Formats: Android's ``getprop``, ``dumpsys battery``, ``dumpsys thermalservice`` and ``dumpsys power``, and Linux's /proc and
/sys. Only whole lines count; what a phone does not report is left out, never guessed.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence

from edgeworthy.targets.links.base import Link

COMMAND_S = 20.0
UNKNOWN = "unknown"
_PROPERTIES = {
    "model": "ro.product.model",
    "platform": "ro.board.platform",
    "sdk": "ro.build.version.sdk",
    "abi": "ro.product.cpu.abi",
    "build": "ro.build.fingerprint",
}
_GOVERNOR = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
_IDENTITY = 'for name; do printf "%s=" "$name"; getprop "$name" || echo; done'
#: What may change while a job runs.
SAMPLE_SCRIPT = "dumpsys thermalservice"
_STATE = f"""
echo == battery; dumpsys battery
echo == thermal; {SAMPLE_SCRIPT}
echo == power; dumpsys power | grep mWakefulness=
echo == load; cat /proc/loadavg
echo == memory; grep MemAvailable: /proc/meminfo
echo == clock; cat /sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq
echo == end
"""
_FIELD = re.compile(r"^\s*([A-Za-z ]+): (\S+)\s*$", re.MULTILINE)
_TEMPERATURE = re.compile(r"^\s*Temperature\{mValue=([^,]*), mType=(-?\d+), mName=(.*), mStatus=(\d+)\}$")
#: As Java prints a float; NaN and Infinity are none.
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE]-?\d+)?")
_HAL = "Current temperatures from HAL:"
#: Of android.hardware.thermal's TemperatureType. A processor's die is at 60 C at rest: the case and the battery say how
#: much heat is left in the phone. What limits the battery's current (BCL) is told in mV, mA and percent.
_BATTERY, _SKIN = 2, 3
_NO_TEMPERATURES = {6, 7, 8}
#: Sensors that are not there report nonsense; no phone runs beyond these, in degrees Celsius.
_COLDEST_C, _HOTTEST_C = -40.0, 150.0

Readings = dict[str, float]


def identity(link: Link) -> dict[str, str]:
    """Model, board platform, SDK, ABI and build. Raises what the link does."""
    done = link.run(["sh", "-c", _IDENTITY, "sh", *_PROPERTIES.values()], COMMAND_S)
    return parse_identity(done.stdout.decode(errors="replace"))


def state(link: Link) -> Readings:
    """Readings by name, as Target.state lists them, and ``memory_available_mb``. Raises what the link does."""
    return parse_state(link.run(["sh", "-c", _STATE], COMMAND_S).stdout.decode(errors="replace"))


def governor(link: Link) -> str:
    """The frequency governor of the first core, or ``unknown``."""
    return link.run(["cat", _GOVERNOR], COMMAND_S).text or UNKNOWN


def boot_id(link: Link) -> str:
    """What is another at every start of the phone."""
    return link.run(["cat", "/proc/sys/kernel/random/boot_id"], COMMAND_S).text


def parse_identity(text: str) -> dict[str, str]:
    """Of lines ``property=value``."""
    found = dict(line.split("=", 1) for line in _lines(text) if "=" in line)
    return {name: found.get(key, "").strip() or UNKNOWN for name, key in _PROPERTIES.items()}


def parse_state(text: str) -> Readings:
    """Of the sections that _STATE prints. A section that the next one does not follow was cut, and does not count."""
    parts = re.split(r"^== (\w+)\n", text, flags=re.MULTILINE)
    sections = dict(zip(parts[1:-2:2], parts[2:-2:2], strict=True))
    battery, thermal = parse_battery(sections.get("battery", "")), parse_thermal(sections.get("thermal", ""))
    return {**battery, **thermal, **parse_power(sections.get("power", "")), **_system(sections)}


def parse_battery(text: str) -> Readings:
    """``dumpsys battery``: charge, and the temperature, which it tells in tenths of a degree."""
    fields = dict(_FIELD.findall(_whole(text)))
    readings: Readings = {}
    if re.fullmatch(r"\d{1,3}", fields.get("level", "")) and int(fields["level"]) <= 100:
        readings["battery_percent"] = float(fields["level"])
    if re.fullmatch(r"-?\d+", fields.get("temperature", "")) and _plausible(int(fields["temperature"]) / 10):
        readings["temperature_c"] = int(fields["temperature"]) / 10
    return readings


def parse_thermal(text: str) -> Readings:
    """``dumpsys thermalservice``: the temperature that the hardware reports now, and whether the phone throttles.

    It is the skin's, else the battery's, else that of the hottest other sensor. The section of cached temperatures was
    seen 30 degrees off. Where the hardware's service is not ready, nothing is known.
    """
    lines = _lines(text)
    if "HAL Ready: true" not in [line.strip() for line in lines]:
        return {}
    status = next((found for line in lines if (found := re.fullmatch(r"\s*Thermal Status: (\d)", line))), None)
    readings = {"throttled": float(int(status[1]) > 0)} if status else {}
    begin = next((index for index, line in enumerate(lines) if line.strip() == _HAL), len(lines))
    now = _temperatures(lines[begin + 1 :])
    preferred = next((kind for kind in (_SKIN, _BATTERY) if kind in dict(now)), None)
    hottest = max((celsius for kind, celsius in now if preferred in (kind, None)), default=None)
    return readings if hottest is None else {**readings, "temperature_c": hottest}


def parse_power(text: str) -> Readings:
    """``dumpsys power``: whether the screen is on."""
    found = re.search(r"^\s*mWakefulness=(\w+)\s*$", _whole(text), re.MULTILINE)
    return {"screen_on": float(found[1] == "Awake")} if found else {}


def _system(sections: dict[str, str]) -> Readings:
    patterns = {
        "load_1min": (sections.get("load", ""), r"(\d+\.\d+) ", 1.0),
        "memory_available_mb": (sections.get("memory", ""), r"MemAvailable:\s+(\d+) kB\n", 1024 / 1e6),
        "cpu_mhz": (sections.get("clock", ""), r"(\d+)\n", 1e-3),
    }
    found = {name: (re.match(pattern, text), unit) for name, (text, pattern, unit) in patterns.items()}
    return {name: float(match[1]) * unit for name, (match, unit) in found.items() if match}


def _temperatures(lines: Sequence[str]) -> list[tuple[int, float]]:
    """Type and degrees of the sensors at the head of ``lines`` that are there and tell a temperature."""
    sensors = [
        (int(found[2]), found[1]) for found in itertools.takewhile(bool, map(_TEMPERATURE.match, lines)) if found
    ]
    readable = [(kind, float(value)) for kind, value in sensors if _NUMBER.fullmatch(value)]
    return [(kind, celsius) for kind, celsius in readable if kind not in _NO_TEMPERATURES and _plausible(celsius)]


def _plausible(celsius: float) -> bool:
    return math.isfinite(celsius) and _COLDEST_C < celsius < _HOTTEST_C


def _whole(text: str) -> str:
    return text[: text.rfind("\n") + 1]


def _lines(text: str) -> list[str]:
    return [line.rstrip("\r") for line in text.split("\n")[:-1]]
