"""A phone as all its backends see it: the link, and what devices.yaml says of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgeworthy.device_schema import AndroidDevice, AnyAndroidBackend
from edgeworthy.errors import DeviceError
from edgeworthy.targets.android.target import AndroidTarget
from edgeworthy.targets.links.base import Link


class Phone:
    """One phone, connected to on first use; its backends share the link."""

    def __init__(self, device: str, entry: AndroidDevice, base: Path, link: Link) -> None:
        self.device = device
        self.entry = entry
        self.base = base
        self.link = link

    def backend(self, name: str, backend: AnyAndroidBackend, tell: Callable[[str], None]) -> AndroidTarget:
        """The phone with one of its backends."""
        entry, given = self.entry, self.entry.benchmark_model
        tool = given if isinstance(given, str) else {abi: self.base / path for abi, path in given.items()}
        return AndroidTarget(
            self.device,
            name,
            backend,
            self.link,
            work_folder=entry.work_folder,
            tool=tool,
            abi=entry.abi,
            tell=tell,
        )

    def close(self) -> None:
        """End the connection."""
        self.link.close()


def open_phone(device: str, entry: AndroidDevice, base: Path) -> Phone:
    """The phone of devices.yaml; relative paths there are relative to ``base``. Raises DeviceError without adb-shell."""
    try:
        import google.protobuf  # noqa: F401 - of the tool's results; read when there are some

        from edgeworthy.targets.links.adb import AdbLink  # an extra
        from edgeworthy.targets.links.adb_transport import TcpConnection, UsbConnection
    except ImportError as error:
        raise DeviceError(
            f"{device}: a phone needs a package that is not installed ({error})",
            hint="pip install 'edgeworthy[devices]'",
        ) from error
    connection = UsbConnection(entry.serial) if entry.serial else TcpConnection(str(entry.address), entry.port)
    return Phone(device, entry, base, AdbLink(device, connection, base / Path(entry.key).expanduser()))
