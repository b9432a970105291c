"""A board as all its backends see it: the link, the files it keeps, what it is."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from edgeworthy.device_schema import LinuxDevice
from edgeworthy.errors import CommandFailed, DeviceError, RuntimeMissing
from edgeworthy.runtimes import RUNTIMES, Runtime
from edgeworthy.targets.device_files import DeviceFiles
from edgeworthy.targets.links.base import Link
from edgeworthy.targets.links.patience import at_first_contact, patiently
from edgeworthy.targets.links.reading import reading
from edgeworthy.targets.linux.telemetry import LinuxState, read_state
from edgeworthy.temporary import temporary_folder

COMMAND_S = 60.0
#: What the runner is written in.
PYTHON_AT_LEAST = (3, 10)

#: Runs on the board, in any Python 3: prints facts as one line of JSON.
_FACTS = r"""
import json, os, platform, sys
work = os.path.abspath(os.path.expanduser(sys.argv[1]))
packages = os.path.join(work, "python")
runtimes = json.loads(sys.argv[2])

def lines(path):
    try:
        with open(path, errors="replace") as stream:
            return stream.read().replace("\0", "").splitlines()
    except OSError:
        return []

def field(path, *names):
    for line in lines(path):
        name, _, value = line.partition(":")
        if name.strip().lower() in names:
            return value.strip()
    return ""

def installed(*names):
    try:
        from importlib import metadata
    except ImportError:
        return None
    for name in names:
        try:
            return name, metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
    return None

def version(*names):
    found = installed(*names)
    return found[1] if found else "absent"

own = {name: installed(*builds[1:]) for name, builds in runtimes.items()}
sys.path.insert(0, packages)
cpu = "/proc/cpuinfo"
part = " ".join(filter(None, [field(cpu, "cpu implementer"), field(cpu, "cpu part")]))
memory_kb = int((field("/proc/meminfo", "memtotal") or "0").split()[0])
print(json.dumps({
    "work_folder": work,
    "packages": packages,
    "python": sys.version_info[:2],
    "glibc": platform.libc_ver()[1] if platform.libc_ver()[0] == "glibc" else "",
    "identity": {
        "model": " ".join(lines("/proc/device-tree/model")) or field(cpu, "model") or "unknown",
        "machine": platform.machine(),
        "processor": field(cpu, "model name", "hardware") or part or platform.machine(),
        "processors": str(os.cpu_count() or 0),
        "memory_gb": str(round(memory_kb * 1024 / 1e9)),
        "system": platform.system() + " " + platform.release(),
        "python": platform.python_version(),
    },
    "runtimes": {name: version(*builds) for name, builds in runtimes.items()},
    "own_builds": {name: " ".join(build) for name, build in own.items() if build},
}))
"""


#: The distributions that may install each runtime: our own first, then those of a board's maker.
_BUILDS = {name: [row.distribution, *row.vendor_builds] for name, row in RUNTIMES.items()}


@dataclass(frozen=True)
class BoardFacts:
    """What a board is: the work folder and the folder for packages there, Python and C library, its identity, the
    version of each runtime or ``absent``, and which of them are a vendor's build in its own Python.
    """

    work_folder: str
    packages: str
    python: tuple[int, int]
    glibc: str
    identity: dict[str, str]
    runtimes: dict[str, str]
    own_builds: dict[str, str]


class Board:
    """One board, opened on first use and shared by its backends."""

    def __init__(self, device: str, entry: LinuxDevice, link: Link) -> None:
        self.device = device
        self.entry = entry
        self.link = link
        #: Of the runtimes that are none of the table's, as they were asked for.
        self._own_versions: dict[str, str] = {}
        self._packages: dict[str, str] = {}

    @functools.cached_property
    def facts(self) -> BoardFacts:
        """What it is, asked once. Raises DeviceError, at once if nothing replies."""
        facts = self._ask(_BUILDS)
        if facts.python < PYTHON_AT_LEAST:
            raise RuntimeMissing(
                f"{self.device}: {self.entry.python} is Python {facts.identity['python']}; the runner needs "
                f"{'.'.join(map(str, PYTHON_AT_LEAST))} or newer",
                hint=f"install a newer Python on it, and set devices.{self.device}.python in devices.yaml",
            )
        return facts

    def _ask(self, builds: Mapping[str, Sequence[str]]) -> BoardFacts:
        """The facts, with the versions of what is installed by any of the distributions in ``builds``."""
        asking = [self.entry.python, "-c", _FACTS, self.entry.work_folder, json.dumps(builds)]
        done = at_first_contact(lambda: self.link.run(asking, COMMAND_S))
        if done.status != 0:
            said = done.why
            raise CommandFailed(
                f"{self.device}: its Python {self.entry.python!r} cannot be run: {said.splitlines()[-1]}",
                hint=f"install Python on it, or set devices.{self.device}.python in devices.yaml",
            )
        *before, said = done.text.splitlines() or [""]
        if before:
            raise CommandFailed(
                f"{self.device}: its login shell prints {before[0][:80]!r} before every command",
                hint="let ~/.bashrc print nothing where the shell is not interactive",
            )
        asked = f"its Python {self.entry.python!r}, asked what the board is,"
        with reading(
            self.device, asked, done.stdout, f"set devices.{self.device}.python in devices.yaml to a sound one"
        ):
            return TypeAdapter(BoardFacts).validate_json(said)

    @functools.cached_property
    def files(self) -> DeviceFiles:
        """The files that it keeps for us."""
        return DeviceFiles(self.link, f"{self.facts.work_folder}/files")

    def put_code(self, runtime: Runtime) -> str | None:
        """The path there of what the runtime's class consists of; None where it is installed. Raises DeviceError."""
        if not runtime.packed:
            return None
        with temporary_folder() as folder:
            packed = folder / f"{runtime}.zip"
            packed.write_bytes(runtime.packed)
            return self.files.put(packed)

    def version(self, runtime: Runtime) -> str:
        """The version of a runtime there, ``absent`` of what is not installed. Raises DeviceError."""
        known = self.facts.runtimes | self._own_versions
        if runtime.name not in known:
            installed = self._ask({package: [package] for package in runtime.packages}).runtimes
            known[runtime.name] = self._own_versions[runtime.name] = runtime.version(installed)
        return known[runtime.name]

    def package_version(self, package: str) -> str:
        """The version of a distribution there, ``absent`` of what is not installed. Raises DeviceError."""
        if package not in self._packages:
            self._packages |= self._ask({package: [package]}).runtimes
        return self._packages[package]

    def state(self) -> LinuxState:
        """The state it is in; a link that is down for a while is waited for. Raises DeviceError."""
        return patiently(lambda: read_state(self.link))

    def forget(self) -> None:
        """Ask for the facts again when they are wanted next."""
        self.__dict__.pop("facts", None)
        self._own_versions.clear()

    def close(self) -> None:
        """End the link."""
        self.link.close()


def open_board(device: str, entry: LinuxDevice, base: Path) -> Board:
    """The board of devices.yaml; relative paths there are relative to ``base``. Raises DeviceError without asyncssh."""
    try:
        from edgeworthy.targets.links.ssh import SshLink  # asyncssh takes 0.3 s, and is an extra
        from edgeworthy.targets.links.ssh_connection import SshAddress
    except ImportError as error:
        raise DeviceError(
            f"{device}: SSH needs a package that is not installed ({error})",
            hint="pip install 'edgeworthy[devices]'",
        ) from error
    key, known_hosts = (base / Path(name).expanduser() for name in (entry.key, entry.known_hosts))
    to = SshAddress(device, entry.address, entry.port, entry.user, key, known_hosts)
    return Board(device, entry, SshLink(to))
