"""What a Linux board says of the state it is in: load, memory, clock, temperatures, throttling."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgeworthy.errors import CommandFailed
from edgeworthy.targets.links.base import Link

COMMAND_S = 30.0

#: What may change while a job runs. Every reading is a line of its own, by shell builtins where that is possible: it is
#: read while a board should rest, or is being timed.
SAMPLE_SCRIPT = r"""
show() { [ -r "$2" ] && read -r value _ <"$2" 2>/dev/null && echo "$1 $value"; }
for file in /sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq; do show frequency_khz "$file"; done
for file in /sys/class/thermal/thermal_zone*/temp; do show temperature_mc "$file"; done
for folder in /sys/class/thermal/cooling_device*; do
  [ -r "$folder/type" ] && read -r type <"$folder/type" || continue
  case $type in *cpufreq*) show cooling "$folder/cur_state" ;; esac
done
if command -v vcgencmd >/dev/null; then vcgencmd get_throttled; fi
"""
#: All that is read before and after.
READ = rf"""{SAMPLE_SCRIPT}
show load /proc/loadavg
while read -r name value _; do [ "$name" = MemAvailable: ] && echo "memory_kb $value"; done </proc/meminfo
show governor /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor
for file in /sys/class/power_supply/*/capacity; do show battery "$file"; done
for file in /sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/core_throttle_count; do show throttle_count "$file"; done
if command -v vcgencmd >/dev/null; then vcgencmd measure_temp; fi
exit 0
"""

#: ``vcgencmd get_throttled``: bits 0 to 3 hold now, bits 16 to 19 since the board was started
#: (https://www.raspberrypi.com/documentation/computers/os.html#get_throttled).
THROTTLE_BITS = ("under_voltage", "frequency_capped", "core_throttled", "soft_temperature_limit")
_LINE = re.compile(r"(load|memory_kb|frequency_khz|temperature_mc|battery|throttle_count|cooling) (-?\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class LinuxState:
    """Readings by name, units in the names, and the frequency governor of the first core."""

    readings: dict[str, float]
    governor: str


def read_state(link: Link) -> LinuxState:
    """The board's state now. Raises DeviceError."""
    done = link.run(["sh", "-c", READ], COMMAND_S)
    if done.status != 0:
        raise CommandFailed(
            f"{link.device}: its state cannot be read: {done.stderr.decode(errors='replace').strip()}",
            hint="check that the user may read /sys and /proc there",
        )
    return parse_state(done.stdout.decode(errors="replace"))


def parse_state(text: str) -> LinuxState:
    """What the lines of ``READ`` say; a line that is not understood says nothing."""
    found: dict[str, list[float]] = {}
    for line in text.splitlines():
        if match := _LINE.fullmatch(line):
            found.setdefault(match[1], []).append(float(match[2]))
    governor = re.search(r"^governor (\S+)$", text, re.MULTILINE)
    bits = re.search(r"^throttled=0x([0-9a-fA-F]{1,8})$", text, re.MULTILINE)
    core = re.search(r"^temp=(\d+(?:\.\d+)?)'C$", text, re.MULTILINE)
    temperatures = [value / 1000 for value in found.get("temperature_mc", [])] + ([float(core[1])] if core else [])
    readings = {}
    if "load" in found:
        readings["load_1min"] = found["load"][0]
    if "memory_kb" in found:
        readings["memory_available_mb"] = round(found["memory_kb"][0] * 1024 / 1e6)
    if clocks := found.get("frequency_khz"):
        readings["cpu_mhz"] = round(sum(clocks) / len(clocks) / 1000, 1)
    if temperatures:
        readings["temperature_c"] = max(temperatures)
    if "battery" in found:
        readings["battery_percent"] = min(found["battery"])
    readings.update(_throttling(found, int(bits[1], 16) if bits else None))
    return LinuxState(readings, governor[1] if governor else "unknown")


def _throttling(found: dict[str, list[float]], bits: int | None) -> dict[str, float]:
    """``throttled`` now and ``throttled_since_boot``, of a Pi's firmware or else of the kernel; nothing where none tells."""
    if bits is not None:
        named = {name: float(bits >> index & 1) for index, name in enumerate(THROTTLE_BITS)}
        return {**named, "throttled": float(any(named.values())), "throttled_since_boot": float(bits >> 16 & 0xF)}
    readings = {}
    if "cooling" in found:
        readings["throttled"] = float(any(found["cooling"]))
    if "throttle_count" in found:
        readings["throttled_since_boot"] = sum(found["throttle_count"])
    return readings
