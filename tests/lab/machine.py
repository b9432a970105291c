"""What the lab's phone and boards have in common: a daemon on a port of loopback, and what can be done to it."""

from __future__ import annotations

import contextlib
import random
import socket
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.lab.sandbox import Program, Sandbox
from tests.lab.tiers import LabError

ADDRESS = "127.0.0.1"
BOOT_ID = "proc/sys/kernel/random/boot_id"
#: Seconds until a daemon must listen; under emulation it takes the longest, on a busy machine still longer.
LISTEN_S = 60.0


class Machine(ABC):
    """A device in a sandbox. ``folder`` is its own folder here, ``disk`` the mount that holds its work folder."""

    address = ADDRESS
    disk: str

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.folder = folder
        self.sandbox = sandbox
        self.port = free_port()
        self.log = folder / "daemon.log"
        self.start()

    @property
    def root(self) -> Path:
        """The root that its programs see, without what is mounted over it."""
        return self.sandbox.root

    @abstractmethod
    def daemon(self) -> list[str]:
        """The command of the daemon."""

    @abstractmethod
    def devices_entry(self, **changes: Any) -> dict[str, Any]:
        """Its entry in devices.yaml, with ``changes`` over it."""

    def start(self) -> None:
        """Start the daemon and wait until it listens."""
        self.program: Program = self.sandbox.start(*self.daemon(), log=self.log)
        limit = time.monotonic() + LISTEN_S
        while not listens(self.port):
            if time.monotonic() > limit or not self.program.running():
                raise LabError(f"{' '.join(self.daemon())} does not listen: {self.log.read_text()[-500:]}")
            time.sleep(0.02)

    def kill(self) -> None:
        """Kill the daemon with every connection; programs that were started apart go on. Until then: ``start()``."""
        self.program.kill()

    def restart(self) -> None:
        """Kill the daemon and start it again, on the same port."""
        self.kill()
        self.start()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """The daemon takes connections no more and answers none, like a link that is half dead."""
        try:
            self.program.freeze()
            yield
        finally:
            self.program.thaw()

    @contextlib.contextmanager
    def unplugged(self) -> Iterator[None]:
        """Nothing listens meanwhile; what runs on the device goes on."""
        self.kill()
        try:
            yield
        finally:
            self.start()

    def reboot(self, off_s: float = 0.5) -> None:
        """Everything that runs dies, the boot id changes, and after a while the daemon listens again."""
        self.sandbox.kill_everything()
        self.program.kill()
        new_boot_id(self.folder)
        time.sleep(off_s)
        self.start()

    @contextlib.contextmanager
    def full_disk(self, free_kb: int = 64) -> Iterator[None]:
        """The disk of the work folder is an empty one with so little space."""
        self.sandbox.mount("-t", "tmpfs", "-o", f"size={free_kb}k,mode=0777", "tmpfs", self.sandbox.at(self.disk))
        try:
            yield
        finally:
            self.sandbox.unmount(self.disk)

    def read_only(self) -> contextlib.AbstractContextManager[None]:
        """The disk of the work folder cannot be written."""
        return self._remounted("ro", "rw")

    def no_exec(self) -> contextlib.AbstractContextManager[None]:
        """No program can be started from the disk of the work folder."""
        return self._remounted("noexec", "exec")

    @contextlib.contextmanager
    def _remounted(self, option: str, back: str) -> Iterator[None]:
        at = self.sandbox.at(self.disk)
        self.sandbox.mount("-o", f"remount,bind,{option}", at)
        try:
            yield
        finally:
            self.sandbox.mount("-o", f"remount,bind,{back}", at)

    def close(self) -> None:
        """Kill the device."""
        self.sandbox.close()
        self.program.kill()


def new_boot_id(folder: Path) -> Path:
    """The file that is the device's boot id, with a new one in it."""
    path = folder / "boot_id"
    path.write_text(f"{uuid.uuid4()}\n")
    return path


def free_port() -> int:
    """A port of loopback that nobody listens on, below those that outgoing connections get: none takes it meanwhile."""
    outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.SystemRandom().randrange(min(10_000, outgoing // 2), outgoing)
        with contextlib.suppress(OSError), socket.create_server((ADDRESS, port)):
            return port


def listens(port: int) -> bool:
    """Whether somebody listens on the port of loopback."""
    with contextlib.suppress(OSError), socket.create_connection((ADDRESS, port), timeout=1):
        return True
    return False
