"""What this machine is, and the state it is in."""

from __future__ import annotations

import functools
import os
import platform
from pathlib import Path

import psutil

from edgeworthy.installed import installed_version
from edgeworthy.runtimes import Runtime


@functools.cache
def hardware() -> dict[str, str]:
    """The machine: processor, cores, memory, operating system."""
    return {
        "machine": platform.machine(),
        "processor": _processor(),
        "processors": str(os.cpu_count() or 0),
        "memory_gb": str(round(psutil.virtual_memory().total / 1e9)),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def runtime_version(runtime: Runtime) -> str:
    """The version of a runtime as it is installed here, or ``absent``."""
    return runtime.version({package: installed_version(package) for package in runtime.packages})


def state() -> dict[str, float]:
    """Load average of the last minute, clock in MHz and temperature in degrees Celsius, where the system reports them."""
    now = {"load_1min": os.getloadavg()[0]}
    frequency = psutil.cpu_freq()
    if frequency:
        now["cpu_mhz"] = round(frequency.current, 1)
    sensors = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
    temperatures = [reading.current for readings in sensors.values() for reading in readings if reading.current]
    if temperatures:
        now["temperature_c"] = max(temperatures)
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    if battery:
        now["battery_percent"] = float(battery.percent)
    return now


def governor() -> str:
    """The frequency governor of the first core, or ``unknown``."""
    path = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return path.read_text().strip() if path.is_file() else "unknown"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.lower().startswith(("model name", "hardware")):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
