"""Install the runtimes on a board that may have neither internet nor pip: wheels are fetched here and unpacked there.

They go to a folder of their own in the work folder, which only our runner has on its path; nothing else on the board
changes, and removing the work folder removes them.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from edgeworthy.errors import CommandFailed, RuntimeMissing
from edgeworthy.installed import ABSENT
from edgeworthy.runtimes import BuiltIn
from edgeworthy.storage import LOG_TAIL_LINES
from edgeworthy.targets import host_state
from edgeworthy.targets.links.patience import patiently
from edgeworthy.targets.linux.board import Board, BoardFacts
from edgeworthy.temporary import temporary_folder

DOWNLOAD_S = 1800.0
UNPACK_S = 900.0
#: The oldest C library that manylinux wheels name in this way (PEP 600).
OLDEST_GLIBC_MINOR = 17

#: Runs on the board: unpacks wheels (PEP 427) beside what is there, and puts the new folder in its place.
_UNPACK = r"""
import os, shutil, sys, zipfile
final, wheels = sys.argv[1], sys.argv[2:]
made = final + ".new"
shutil.rmtree(made, ignore_errors=True)
for wheel in wheels:
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(made)
for name in os.listdir(made):
    for part in ("purelib", "platlib"):
        if os.path.isdir(os.path.join(made, name, part)) and name.endswith(".data"):
            shutil.copytree(os.path.join(made, name, part), made, dirs_exist_ok=True)
shutil.rmtree(final, ignore_errors=True)
os.rename(made, final)
"""


def set_up(board: Board, runtimes: Sequence[BuiltIn], tell: Callable[[str], None]) -> dict[str, str]:
    """Install runtimes on the board, in this machine's own versions; returns each one's version there.

    A vendor's build in its Python is left alone: its execution providers are in no wheel from here, which would hide it.
    Raises RuntimeMissing where no wheel fits the board, or what was installed cannot be imported; DeviceError.
    """
    kept = board.facts.own_builds
    for build in (kept[runtime.name] for runtime in runtimes if runtime.name in kept):
        tell(f"{board.device}: keeps its own {build}")
    lacking = [runtime for runtime in runtimes if runtime.name not in kept]
    if lacking:
        _install(board, lacking, tell)
    board.forget()
    return {runtime.name: board.facts.runtimes[runtime.name] for runtime in runtimes}


def _install(board: Board, runtimes: Sequence[BuiltIn], tell: Callable[[str], None]) -> None:
    facts = board.facts
    with temporary_folder() as folder:
        tell(f"fetching {', '.join(map(str, runtimes))} for {_in_words(facts)}")
        wheels = _fetch(board, runtimes, folder)
        for wheel in wheels:
            tell(f"{board.device}: {wheel.name} ({wheel.stat().st_size / 1e6:.1f} MB)")
        remote = [board.files.put(wheel) for wheel in wheels]
    _python(board, "the wheels cannot be unpacked", _UNPACK, facts.packages, *remote)
    for runtime in runtimes:
        code = f"import sys; sys.path.insert(0, sys.argv[1]); import numpy, {runtime.module}"
        _python(board, f"{runtime} was installed and cannot be imported", code, facts.packages)


def _fetch(board: Board, runtimes: Sequence[BuiltIn], folder: Path) -> list[Path]:
    """The wheels of the runtimes and all that they need, for the board's processor, C library and Python."""
    facts, wanted = board.facts, [_requirement(runtime) for runtime in runtimes]
    command = [
        *(sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--quiet", "--only-binary=:all:"),
        *("--python-version", ".".join(map(str, facts.python)), "--implementation", "cp", "--dest", str(folder)),
        *(argument for platform in platforms(facts) for argument in ("--platform", platform)),
        *wanted,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_S, check=False)
    if done.returncode == 0:
        return sorted(folder.glob("*.whl"))
    log_tail = "\n".join(done.stderr.splitlines()[-LOG_TAIL_LINES:])
    no_wheel = re.search(r"No matching distribution found for (\S+)", done.stderr)
    if no_wheel and "(from versions:" in done.stderr and "onnection" not in done.stderr:
        raise RuntimeMissing(
            f"{board.device}: no wheel of {no_wheel[1]} fits {_in_words(facts)}",
            hint=f"use another Python on the board (devices.{board.device}.python in devices.yaml), "
            "or install another version of the runtime here",
            log_tail=log_tail,
        )
    raise RuntimeMissing(
        f"{board.device}: pip could not fetch {' '.join(wanted)}",
        hint="check this machine's network and pip's configuration",
        log_tail=log_tail,
    )


def _requirement(runtime: BuiltIn) -> str:
    """The version that is installed here, so that both sides of a comparison run the same; else the newest."""
    package, version = runtime.distribution, host_state.runtime_version(runtime)
    return package if version == ABSENT else f"{package}=={version.partition('+')[0]}"


def platforms(facts: BoardFacts) -> list[str]:
    """The platform tags of wheels that run on the board, best first (PEP 600); pip takes each as it stands."""
    machine, (_, _, minor) = facts.identity["machine"], facts.glibc.partition(".")
    newest = int(minor) if minor.isdigit() else OLDEST_GLIBC_MINOR
    tags = [f"manylinux_2_{number}_{machine}" for number in range(newest, OLDEST_GLIBC_MINOR - 1, -1)]
    return [*tags, f"manylinux2014_{machine}", f"linux_{machine}"]


def _in_words(facts: BoardFacts) -> str:
    version = ".".join(map(str, facts.python))
    return (
        f"{facts.identity['machine']} with Python {version} and {f'glibc {facts.glibc}' if facts.glibc else 'no glibc'}"
    )


def _python(board: Board, problem: str, code: str, *arguments: str) -> None:
    """Run Python code on the board that may be run twice. Raises CommandFailed."""
    words = [board.entry.python, "-c", code, *arguments]
    done = patiently(lambda: board.link.run(words, UNPACK_S))
    if done.status != 0:
        said = done.why
        raise CommandFailed(
            f"{board.device}: {problem}: {said.splitlines()[-1]}",
            log_tail=said[-2000:],
            hint="fix this on the board, then run 'edgeworthy devices setup' again",
        )
