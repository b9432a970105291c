"""Targets by name, opened from devices.yaml on first use."""

from __future__ import annotations

from pathlib import Path

from harness.device_schema import DevicesFile, HostDevice, LinuxDevice, RunnerBackend
from harness.errors import DeviceError
from harness.targets.base import Target
from harness.targets.host import HostTarget
from harness.targets.linux.board import Board, open_board
from harness.targets.linux.target import LinuxTarget

#: Where every model's reference is run: plain settings, whatever devices.yaml says of the host.
REFERENCE = HostTarget("host", "reference", RunnerBackend())


class Targets:
    """The targets of devices.yaml."""

    def __init__(self, devices: DevicesFile, base: Path) -> None:
        """Paths in ``devices`` are relative to ``base``."""
        self.devices = devices
        self.base = base
        self._open: dict[str, Target] = {}
        self._boards: dict[str, Board] = {}

    def __getitem__(self, name: str) -> Target:
        if name not in self._open:
            self._open[name] = self._opened(*name.split(":"))
        return self._open[name]

    def board(self, device: str) -> Board:
        """The board that a device of kind linux is; its backends share it."""
        if device not in self._boards:
            entry = self.devices.devices[device]
            if not isinstance(entry, LinuxDevice):
                raise DeviceError(f"{device}: is of kind {entry.kind}, and no Linux board")
            self._boards[device] = open_board(device, entry, self.base)
        return self._boards[device]

    def _opened(self, device: str, backend: str) -> Target:
        entry = self.devices.devices[device]
        if isinstance(entry, HostDevice):
            return HostTarget(device, backend, entry.backends[backend])
        if isinstance(entry, LinuxDevice):
            return LinuxTarget(self.board(device), backend, entry.backends[backend])
        raise DeviceError(f"{device}: devices of kind {entry.kind} cannot be measured on yet")

    def close(self) -> None:
        """Let go of every device."""
        for target in self._open.values():
            target.close()
        for board in self._boards.values():
            board.close()
        self._open.clear()
        self._boards.clear()
