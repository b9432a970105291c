"""What the lab's devices say about themselves: files that the scripts on the device print, rewritten by the tests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

BATTERY = """\
Current Battery Service state:
  AC powered: false
  USB powered: {usb}
  Wireless powered: false
  Max charging current: 500000
  Max charging voltage: 5000000
  Charge counter: 3432000
  status: {status}
  health: 2
  present: true
  level: {level}
  scale: 100
  voltage: 4063
  temperature: {tenths}
  technology: Li-ion
"""
#: The cached temperatures are of another hour, as they were seen to be on real phones.
THERMAL = """\
IsStatusOverride: false
ThermalEventListeners:
\tcallbacks: 2
\tkilled: false
\tbroadcasts count: -1
ThermalStatusListeners:
\tcallbacks: 4
\tkilled: false
\tbroadcasts count: -1
Thermal Status: {status}
Cached temperatures:
\tTemperature{{mValue=61.0, mType=0, mName=AP, mStatus=0}}
\tTemperature{{mValue=58.0, mType=3, mName=SKIN, mStatus=0}}
HAL Ready: {ready}
"""
#: A die that is hot at rest, a sensor without a number, the battery's percentage in the guise of a temperature.
HAL = """\
HAL connection:
\tThermalHAL 2.0 connected: yes
Current temperatures from HAL:
\tTemperature{{mValue=66.2, mType=0, mName=AP, mStatus=0}}
\tTemperature{{mValue=NaN, mType=9, mName=NPU, mStatus=0}}
\tTemperature{{mValue={level}.0, mType=8, mName=socd, mStatus=0}}
\tTemperature{{mValue={skin}, mType=3, mName=SKIN, mStatus={status}}}
\tTemperature{{mValue={battery}, mType=2, mName=BAT, mStatus=0}}
Current cooling devices from HAL:
\tCoolingDevice{{mValue=0, mType=2, mName=thermal-cpufreq-0}}
"""
POWER = """\
POWER MANAGER (dumpsys power)

Power Manager State:
  mDirty=0x0
  mWakefulness={wakefulness}
  mIsPowered={usb}
  mStayOn=false

Display Power: state={screen}
"""
DISPLAY = """\
DISPLAY MANAGER (dumpsys display)
  mScreenState={screen}
"""
PROPERTIES = {
    "ro.board.platform": "lab",
    "ro.boot.serialno": "LAB0001",
    "ro.build.fingerprint": "edgeworthy/lab/lab:14/TRIXIE/34:userdebug/test-keys",
    "ro.build.version.release": "14",
    "ro.build.version.sdk": "34",
    "ro.hardware": "lab",
    "ro.product.cpu.abi": "x86_64",
    "ro.product.cpu.abilist": "x86_64",
    "ro.product.manufacturer": "edgeworthy",
    "ro.product.model": "Lab Phone",
    "ro.soc.manufacturer": "edgeworthy",
    "ro.soc.model": "Loopback 1",
}


class PhoneTelemetry:
    """The state of a phone: ``set()`` changes what is named, and the scripts of the phone print it from then on."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.level_percent = 84
        self.battery_c = 32.6
        self.skin_c = 38.5
        self.thermal_status = 0
        self.hal_ready = True
        self.screen_on = False
        self.usb_powered = True
        self.properties = dict(PROPERTIES)
        self.set()

    def set(self, **changes: object) -> None:
        """Change the named attributes and write all files anew."""
        for name, value in changes.items():
            if not hasattr(self, name):
                raise AttributeError(name)
            setattr(self, name, value)
        for name, text in self._texts().items():
            write(self.folder / name, text)

    @contextlib.contextmanager
    def saying(self, **changes: object) -> Iterator[None]:
        """``set()`` for the block; afterwards what is named is as it was."""
        before = {name: getattr(self, name) for name in changes}
        self.set(**changes)
        try:
            yield
        finally:
            self.set(**before)

    def _texts(self) -> dict[str, str]:
        usb, screen = str(self.usb_powered).lower(), "ON" if self.screen_on else "OFF"
        thermal = THERMAL + (HAL if self.hal_ready else "")
        return {
            "battery": BATTERY.format(
                usb=usb,
                status=2 if self.usb_powered else 3,
                level=self.level_percent,
                tenths=round(self.battery_c * 10),
            ),
            "thermalservice": thermal.format(
                status=self.thermal_status,
                ready=str(self.hal_ready).lower(),
                skin=self.skin_c,
                level=self.level_percent,
                battery=self.battery_c,
            ),
            "power": POWER.format(usb=usb, screen=screen, wakefulness="Awake" if self.screen_on else "Asleep"),
            "display": DISPLAY.format(screen=screen),
            "properties": "".join(f"[{name}]: [{value}]\n" for name, value in sorted(self.properties.items())),
        }


class BoardTelemetry:
    """The state of a Raspberry Pi as its firmware tells it through ``vcgencmd``."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.set()

    def set(self, temperature_c: float = 42.8, throttled: int = 0) -> None:
        """Bits 0 to 3 of ``throttled`` are of now: under-voltage, capped, throttled, soft limit; 16 to 19 since boot."""
        write(self.folder / "measure_temp", f"temp={temperature_c:.1f}'C\n")
        write(self.folder / "get_throttled", f"throttled={throttled:#x}\n")


def write(path: Path, text: str) -> None:
    """Replace a file at once, so that no script prints half of it."""
    half = path.with_name(f".{path.name}")
    half.write_text(text)
    half.replace(path)
