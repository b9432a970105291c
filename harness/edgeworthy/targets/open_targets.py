"""Targets by name, opened from devices.yaml on first use."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeworthy.cells import TargetId
from edgeworthy.device_schema import (
    AndroidDevice,
    DevicesFile,
    EmulatedDevice,
    HostDevice,
    LinuxDevice,
    OwnDevice,
    RunnerBackend,
)
from edgeworthy.emulator_schema import LitertGpuBackend
from edgeworthy.errors import DeviceError
from edgeworthy.targets.base import Target
from edgeworthy.targets.device_jobs import end_jobs
from edgeworthy.targets.emulated import EmulatedTarget
from edgeworthy.targets.host import HostTarget
from edgeworthy.targets.own import OwnTarget
from edgeworthy.targets.software_gpu import SoftwareGpuTarget

if TYPE_CHECKING:
    from edgeworthy.targets.linux.board import Board

Tell = Callable[[str], None]
#: What runs a backend on this machine; of other emulators EmulatedTarget.
_HERE: dict[type, Callable[[str, str, Any], HostTarget]] = {
    RunnerBackend: HostTarget,
    LitertGpuBackend: SoftwareGpuTarget,
}


class Targets:
    """The targets of devices.yaml; the backends of one device share its link."""

    def __init__(self, devices: DevicesFile, base: Path, tell: Tell = lambda said: None) -> None:
        """Paths in ``devices`` are relative to ``base``."""
        self.devices = devices
        self.base = base
        self.tell = tell
        self._backends: dict[str, dict[str, Target]] = {}
        self._boards: dict[str, Board] = {}
        self._open = ExitStack()
        #: Where every model's reference is run: plain settings, whatever devices.yaml says of the host.
        self.reference = HostTarget("host", "reference", RunnerBackend())

    def __getitem__(self, name: str) -> Target:
        device, backend = TargetId.parse(name)
        if device not in self._backends:
            self._backends[device] = self._opened(device)
        return self._backends[device][backend]

    def board(self, device: str) -> Board:
        """The board that a device of kind linux is. Raises DeviceError for another kind, or without its packages."""
        from edgeworthy.targets.linux.board import open_board

        entry = self.devices.devices[device]
        if not isinstance(entry, LinuxDevice):
            raise DeviceError(
                f"{device}: it is of kind {entry.kind}, and no board with Linux", hint="name a device of kind linux"
            )
        if device not in self._boards:
            self._boards[device] = self._open.enter_context(closing(open_board(device, entry, self.base)))
        return self._boards[device]

    def end_jobs(self, device: str) -> None:
        """End what this process runs on a device, as far as that can be reached.

        Over a connection of its own: another thread may be waiting on the open one for just that.
        """
        entry = self.devices.devices[device]
        with contextlib.suppress(DeviceError), closing(Targets(self.devices, self.base)) as other:
            if isinstance(entry, LinuxDevice):
                board = other.board(device)
                end_jobs(board.link, board.facts.work_folder)
            elif isinstance(entry, AndroidDevice):
                from edgeworthy.targets.android.phone import open_phone

                with closing(open_phone(device, entry, self.base)) as phone:
                    end_jobs(phone.link, entry.work_folder)

    def close(self) -> None:
        """Let go of every device."""
        self._open.close()
        self.reference.close()
        self._backends.clear()
        self._boards.clear()

    def _opened(self, device: str) -> dict[str, Target]:
        """Every backend of a device; nothing is connected before one is used. Raises DeviceError without its packages."""
        entry = self.devices.devices[device]
        if isinstance(entry, (HostDevice, EmulatedDevice)):
            return self._here(device, entry)
        if isinstance(entry, AndroidDevice):
            return self._phone(device, entry)
        if isinstance(entry, OwnDevice):
            return self._own(device, entry)
        from edgeworthy.targets.linux.target import LinuxTarget

        board = self.board(device)
        return {name: LinuxTarget(board, name, backend) for name, backend in entry.backends.items()}

    def _here(self, device: str, entry: HostDevice | EmulatedDevice) -> dict[str, Target]:
        found: dict[str, Target] = {}
        for name, backend in entry.backends.items():
            made = _HERE.get(type(backend), EmulatedTarget)(device, name, backend)
            found[name] = self._open.enter_context(closing(made))
        return found

    def _own(self, device: str, entry: OwnDevice) -> dict[str, Target]:
        made = {name: OwnTarget(device, name, entry, self.base) for name in entry.backends}
        for target in made.values():
            self._open.enter_context(closing(target))
        return dict(made)

    def _phone(self, device: str, entry: AndroidDevice) -> dict[str, Target]:
        from edgeworthy.targets.android.phone import open_phone

        phone = self._open.enter_context(closing(open_phone(device, entry, self.base)))
        return {name: phone.backend(name, backend, self.tell) for name, backend in entry.backends.items()}
