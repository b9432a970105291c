"""Tiers (b) and (c): a real sshd as a board, on this machine's own system or in an aarch64 one under qemu."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.lab.machine import BOOT_ID, Machine, new_boot_id
from tests.lab.sandbox import Sandbox
from tests.lab.telemetry import BoardTelemetry
from tests.lab.tiers import HERE

SSHD_CONFIG = """\
AddressFamily inet
ListenAddress {address}
Port {port}
HostKey /etc/ssh/host_key
AuthorizedKeysFile /etc/ssh/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PidFile none
Subsystem sftp internal-sftp
SetEnv {environment}
"""
#: What a Raspberry Pi 5 says of each core; LiteRT and ONNX Runtime choose their kernels by it.
PI_5_CORE = """\
processor\t: {core}
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x4
CPU part\t: 0xd0b
CPU revision\t: 1

"""


@dataclass(frozen=True)
class System:
    """What a board boots: its root, its user with his home there, and what its shells find in their environment."""

    root: Path
    user: str
    home: Path
    path: str
    python: str = "python3"
    environment: dict[str, str] = field(default_factory=dict)
    mounts: tuple[tuple[str, ...], ...] = ()


class Board(Machine):
    """sshd with a host key of its own and one key that may log in; ``stranger`` is a key that may not."""

    def __init__(self, folder: Path, system: System) -> None:
        self.system = system
        self.user = system.user
        self.home = folder / "home"
        self.key, self.stranger = (make_key(folder / name) for name in ("id_ed25519", "stranger"))
        self.known_hosts = folder / "known_hosts"
        self._settings = folder / "etc-ssh"
        self._settings.mkdir()
        shutil.copy(f"{self.key}.pub", self._settings / "authorized_keys")
        self.disk = str(system.home / ".cache")
        (self.home / ".cache").mkdir(parents=True)
        shutil.copytree(HERE / "board_bin", self.home / ".lab" / "bin")
        self.telemetry = BoardTelemetry(self.home / ".lab" / "says")
        make_key(self._settings / "host_key")
        super().__init__(folder, Sandbox(system.root, board_mounts(folder, self._settings, system)))

    def daemon(self) -> list[str]:
        """sshd in the foreground."""
        path = {"PATH": f"{self.system.home}/.lab/bin:{self.system.path}"}
        environment = [f'"{name}={value}"' for name, value in (path | self.system.environment).items()]
        (self._settings / "sshd_config").write_text(
            SSHD_CONFIG.format(address=self.address, port=self.port, environment=" ".join(environment))
        )
        self.trust()
        given = [f"{name}={value}" for name, value in self.system.environment.items()]
        return ["/usr/bin/env", *given, "/usr/sbin/sshd", "-D", "-e", "-f", "/etc/ssh/sshd_config"]

    def trust(self) -> None:
        """Write the present host key into ``known_hosts``."""
        kind, key, *_ = (self._settings / "host_key.pub").read_text().split()
        written = self.known_hosts.with_suffix(".new")
        written.write_text(f"[{self.address}]:{self.port} {kind} {key}\n")
        written.replace(self.known_hosts)  # who connects meanwhile must not find half of it

    def change_host_key(self) -> None:
        """Another host key from now on, as of another device at the same address; ``known_hosts`` stays as it was."""
        known = self.known_hosts.read_text()
        for path in self._settings.glob("host_key*"):
            path.unlink()
        make_key(self._settings / "host_key")
        self.restart()
        self.known_hosts.write_text(known)

    def ssh(self, *command: str) -> list[str]:
        """OpenSSH's own client, with this board's keys and nothing of the user's."""
        options = [f"-oUserKnownHostsFile={self.known_hosts}", "-oBatchMode=yes", "-oIdentitiesOnly=yes"]
        where = ["-F", "none", "-i", str(self.key), "-p", str(self.port), f"{self.user}@{self.address}"]
        return ["ssh", *options, *where, *command]

    def devices_entry(self, **changes: Any) -> dict[str, Any]:
        """One backend, the processor."""
        return {
            "kind": "linux",
            "address": self.address,
            "port": self.port,
            "user": self.user,
            "key": str(self.key),
            "known_hosts": str(self.known_hosts),
            "python": self.system.python,
            "backends": {"cpu": {}},
        } | changes


def runners(work_folder: str | Path) -> list[psutil.Process]:
    """The runners that work in a board's work folder now, seen from outside."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            if (
                len(words) > 3
                and words[1].endswith(".pyz")
                and words[2] == "run"
                and words[3].startswith(f"{work_folder}/jobs/")
            ):
                found.append(process)
    return found


def pi_system(folder: Path) -> System:
    """This machine's own system, with an empty home and a Python that has no runtimes."""
    python = Path(getattr(sys, "_base_executable", sys.executable)).parent
    return System(Path("/"), getpass.getuser(), folder / "home", f"{python}:/usr/local/bin:/usr/bin:/bin")


def arm_system(folder: Path, root: Path) -> System:
    """The aarch64 root. Pinned to a Pi 5's processor: with qemu's default one int8 kernels compute wrong results."""
    cores = "".join(PI_5_CORE.format(core=core) for core in range(os.cpu_count() or 1))
    (folder / "cpuinfo").write_text(cores)
    mounts = (
        ("--bind", "-o", "ro", str(root), str(root)),
        ("-t", "proc", "proc", f"{root}/proc"),
        ("--bind", str(folder / "cpuinfo"), f"{root}/proc/cpuinfo"),
        ("-t", "devpts", "-o", "newinstance,ptmxmode=0666,mode=0620", "devpts", f"{root}/dev/pts"),
        ("-t", "tmpfs", "tmpfs", f"{root}/tmp"),
        ("--bind", "-o", "ro", "/sys", f"{root}/sys"),
        ("--bind", str(folder / "home"), f"{root}/home/pi"),
    )
    pinned = {"QEMU_CPU": "cortex-a76"}
    return System(root, "pi", Path("/home/pi"), "/usr/local/bin:/usr/bin:/bin", environment=pinned, mounts=mounts)


def board_mounts(folder: Path, settings: Path, system: System) -> list[tuple[str, ...]]:
    """The system's mounts, sshd's settings, the user's home in the list of accounts, and a disk for the work folder."""
    root, disk = str(system.root).rstrip("/"), f"{str(system.root).rstrip('/')}{system.home}/.cache"
    # sshd refuses to start without its folder in /run, which only an init system makes.
    run_sshd = ("-t", "tmpfs", "-o", "X-mount.mkdir,mode=0755", "tmpfs", "/run/sshd")
    own = [("-t", "proc", "proc", "/proc"), run_sshd] if not root else []
    return [
        *own,
        *system.mounts,
        ("--bind", str(new_boot_id(folder)), f"{root}/{BOOT_ID}"),
        ("--bind", "-o", "ro", str(settings), f"{root}/etc/ssh"),
        ("--bind", str(accounts(folder, system)), f"{root}/etc/passwd"),
        ("--bind", disk, disk),
    ]


def accounts(folder: Path, system: System) -> Path:
    """The system's accounts, the user's home and shell replaced; the home is made his."""
    lines = []
    for line in (system.root / "etc/passwd").read_text().splitlines():
        name, password, user, group, comment, *_ = line.split(":")
        if name == system.user:
            line = ":".join([name, password, user, group, comment, str(system.home), "/bin/bash"])
            for path in (folder / "home", *(folder / "home").rglob("*")):
                os.chown(path, int(user), int(group))
        lines.append(line)
    path = folder / "passwd"
    path.write_text("\n".join(lines) + "\n")
    return path


def make_key(path: Path) -> Path:
    """A new key pair without a passphrase."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(path)], check=True)
    return path
