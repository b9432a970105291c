"""A network of its own, whose packets are as small as an Ethernet's: ``unshare -n python -m tests.lab.small_packets FOLDER``.

Loopback's usual packets hold 64 KB, which hides a ``send`` that took only a part. FOLDER/here is pushed to the phone, or
to the daemon double where a second argument says so, and pulled back as FOLDER/back.
"""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from edgeworthy.targets.links.adb import AdbLink
from edgeworthy.targets.links.adb_transport import TcpConnection

from tests.lab import build
from tests.lab.adb_daemon import adb_daemon
from tests.lab.phone import Phone

SIOCSIFFLAGS, SIOCSIFMTU, IFF_UP = 0x8914, 0x8922, 1
MTU = 1500


def main(folder: Path, double: bool) -> None:
    """Push and pull."""
    with socket.socket() as control:
        fcntl.ioctl(control, SIOCSIFMTU, struct.pack("16si", b"lo", MTU))
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))
    with (
        (_double if double else _phone)(folder) as (port, disk),
        contextlib.closing(AdbLink("phone", TcpConnection("127.0.0.1", port), folder / "key")) as link,
    ):
        link.push(folder / "here", f"{disk}/there")
        link.pull(f"{disk}/there", folder / "back")


@contextlib.contextmanager
def _double(folder: Path) -> Iterator[tuple[int, str]]:
    with adb_daemon() as daemon:
        yield daemon.port, str(folder)


@contextlib.contextmanager
def _phone(folder: Path) -> Iterator[tuple[int, str]]:
    with contextlib.closing(Phone(folder / "phone", build.PHONE.folder, None)) as phone:
        yield phone.port, phone.disk


if __name__ == "__main__":
    main(Path(sys.argv[1]), "double" in sys.argv[2:])
