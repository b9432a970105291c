"""Targets by name, opened from devices.yaml on first use."""

from __future__ import annotations

from pathlib import Path

from harness.device_schema import DevicesFile, HostDevice, RunnerBackend
from harness.errors import DeviceError
from harness.targets.base import Target
from harness.targets.host import HostTarget

#: Where every model's reference is run: plain settings, whatever devices.yaml says of the host.
REFERENCE = HostTarget("host", "reference", RunnerBackend())


class Targets:
    """The targets of devices.yaml."""

    def __init__(self, devices: DevicesFile, base: Path) -> None:
        """Paths in ``devices`` are relative to ``base``."""
        self.devices = devices
        self.base = base
        self._open: dict[str, Target] = {}

    def __getitem__(self, name: str) -> Target:
        if name not in self._open:
            device, _, backend = name.partition(":")
            entry = self.devices.devices[device]
            if not isinstance(entry, HostDevice):
                raise DeviceError(f"{device}: devices of kind {entry.kind} cannot be measured on yet")
            self._open[name] = HostTarget(device, backend, entry.backends[backend])
        return self._open[name]

    def close(self) -> None:
        """Let go of every device."""
        for target in self._open.values():
            target.close()
        self._open.clear()
