"""A real OpenSSH server on loopback, with keys of its own, that can be killed, frozen and started anew."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from harness.targets.links.ssh import SshLink
from harness.targets.links.ssh_connection import SshAddress


class Sshd:
    """The server; ``link()`` is a way in that it accepts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        if self.program is None:
            pytest.skip("no sshd: apt-get install openssh-server")
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.key, self.host_key, self.known_hosts = folder / "id", folder / "host", folder / "known_hosts"
        self.make_key(self.key)
        self.make_key(self.host_key)
        (folder / "authorized_keys").write_text((folder / "id.pub").read_text())
        self.trust_host_key()
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @staticmethod
    def make_key(path: Path) -> None:
        path.unlink(missing_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)

    def trust_host_key(self) -> None:
        """Write known_hosts as ssh-keyscan would."""
        kind, key, *_ = self.host_key.with_suffix(".pub").read_text().split()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {kind} {key}\n")

    def start(self, prefix: list[str] | None = None) -> None:
        """Start the server and wait until it listens."""
        config = self.folder / "sshd_config"
        config.write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {self.host_key}\nPidFile none\n"
            f"AuthorizedKeysFile {self.folder / 'authorized_keys'}\nUsePAM no\nStrictModes no\nPermitRootLogin yes\n"
            "Subsystem sftp internal-sftp\n"
        )
        command = [*(prefix or []), str(self.program), "-D", "-e", "-f", str(config)]
        with (self.folder / "sshd.log").open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            assert time.monotonic() < deadline, (self.folder / "sshd.log").read_text()
            time.sleep(0.01)

    def processes(self) -> list[int]:
        """The server and the sessions it has open."""
        assert self.process is not None
        found, pending = [], [self.process.pid]
        while pending:
            pid = pending.pop()
            found.append(pid)
            with suppress(OSError):
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                pending += [int(child) for child in children if _is_sshd(int(child))]
        return found

    def signal(self, number: int) -> None:
        """Send a signal to the server and its sessions, not to what runs in them."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """End the server and its sessions at once; what runs in them goes on."""
        if self.process is not None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def address(self) -> SshAddress:
        return SshAddress("pi", "127.0.0.1", self.port, getpass.getuser(), self.key, self.known_hosts)

    def link(self) -> SshLink:
        return SshLink(self.address())


def _is_sshd(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().startswith("sshd")
    return False
