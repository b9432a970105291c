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
from edgeworthy.installed import ABSENT, installed_version
from edgeworthy.runtimes import Runtime
from edgeworthy.storage import LOG_TAIL_LINES
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


#: Runs on the board: imports a runtime as a runner does, a class of the user's from a zip of its files.
_IMPORT = r"""
import importlib, sys, tempfile, zipfile
sys.path.insert(0, sys.argv[1])
import numpy
with tempfile.TemporaryDirectory() as code:
    for packed in sys.argv[3:]:
        zipfile.ZipFile(packed).extractall(code)
        sys.path.append(code)
    importlib.import_module(sys.argv[2])
"""
_FIX = "fix this on the board, then run 'edgeworthy devices setup' again"


def set_up(board: Board, runtimes: Sequence[Runtime], tell: Callable[[str], None]) -> dict[str, str]:
    """Install runtimes, or the packages of those of the user's own, in this machine's versions; gives each one's version there.

    A vendor's build in its Python is left alone: its execution providers are in no wheel from here, which would hide it.
    Raises RuntimeMissing where no wheel fits the board, or what was installed cannot be imported; DeviceError.
    """
    kept = board.facts.own_builds
    for build in (kept[runtime.name] for runtime in runtimes if runtime.name in kept):
        tell(f"{board.device}: keeps its own {build}")
    lacking = [runtime for runtime in runtimes if runtime.name not in kept]
    if wanted := sorted({_requirement(package) for runtime in lacking for package in runtime.packages}):
        _install(board, wanted, tell)
    for runtime in lacking:
        _import(board, runtime)
    board.forget()
    return {runtime.name: board.version(runtime) for runtime in runtimes}


def _install(board: Board, wanted: Sequence[str], tell: Callable[[str], None]) -> None:
    facts = board.facts
    with temporary_folder() as folder:
        tell(f"fetching {', '.join(wanted)} for {_in_words(facts)}")
        wheels = _fetch(board, wanted, folder)
        for wheel in wheels:
            tell(f"{board.device}: {wheel.name} ({wheel.stat().st_size / 1e6:.1f} MB)")
        remote = [board.files.put(wheel) for wheel in wheels]
    _python(board, "the wheels cannot be unpacked", _FIX, _UNPACK, facts.packages, *remote)


def _import(board: Board, runtime: Runtime) -> None:
    """Raises CommandFailed where the board's Python cannot import it."""
    code = board.put_code(runtime)
    hint = runtime.how_to_install(board.device) if runtime.class_name else _FIX
    words = [board.facts.packages, runtime.module, *([code] if code else [])]
    _python(board, f"{runtime} cannot be imported there", hint, _IMPORT, *words)


def _fetch(board: Board, wanted: Sequence[str], folder: Path) -> list[Path]:
    """The wheels of what is wanted and all that it needs, for the board's processor, C library and Python."""
    facts = board.facts
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
            "or install another version of the package here",
            log_tail=log_tail,
        )
    raise RuntimeMissing(
        f"{board.device}: pip could not fetch {' '.join(wanted)}",
        hint="check this machine's network and pip's configuration",
        log_tail=log_tail,
    )


def _requirement(package: str) -> str:
    """The version that is installed here, so that both sides of a comparison run the same; else the newest."""
    version = installed_version(package)
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


def _python(board: Board, problem: str, hint: str, code: str, *arguments: str) -> None:
    """Run Python code on the board that may be run twice. Raises CommandFailed."""
    words = [board.entry.python, "-c", code, *arguments]
    done = patiently(lambda: board.link.run(words, UNPACK_S))
    if done.status != 0:
        said = done.why
        raise CommandFailed(
            f"{board.device}: {problem}: {said.splitlines()[-1]}",
            log_tail=said[-2000:],
            hint=hint,
        )
