"""A new device's entry, added to devices.yaml without touching the other entries."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError
from ruamel.yaml import YAML

from edgeworthy.cells import TargetId
from edgeworthy.config import load_devices
from edgeworthy.device_schema import Abi, DevicesFile
from edgeworthy.errors import ConfigError, DeviceError
from edgeworthy.measurements.probe import DeviceReport
from edgeworthy.schema import plain_words
from edgeworthy.storage import write_atomically
from edgeworthy.targets.android.benchmark_tool import HEADER_BYTES, elf_abi

#: What is tried on a new device; what works is kept.
BACKENDS: dict[str, dict[str, dict[str, Any]]] = {
    "android": {
        "cpu": {"delegate": "cpu", "threads": 1},
        "nnapi": {"delegate": "nnapi"},
        "gpu": {"delegate": "gpu"},
    },
    "linux": {"cpu": {"threads": 1}},
}


@dataclass(frozen=True)
class NewEntry:
    """``entry`` of the device ``name``; ``file`` is a devices.yaml of it alone, ``path`` the one that it goes into."""

    name: str
    entry: dict[str, Any]
    path: Path
    file: DevicesFile

    def write(self, report: DeviceReport) -> list[str]:
        """Write the entry with the backends that work, or only lack their runtimes; returns their names.

        Raises DeviceError, with nothing written, where there are none.
        """
        if report.problem:
            raise DeviceError(f"{self.name} was not added: {report.problem}", hint=report.hint)
        fit = {
            TargetId.parse(tried.target).backend for tried in report.backends if tried.works or tried.runtime_missing
        }
        if not fit:
            first = report.backends[0]
            raise DeviceError(
                f"{self.name} was not added, none of its backends works: {first.target}: {first.said}",
                hint=first.hint or "fix that, and add the device again",
            )
        kept = [backend for backend in self.entry["backends"] if backend in fit]
        entry = {**self.entry, "backends": {backend: self.entry["backends"][backend] for backend in kept}}
        yaml = YAML()
        yaml.preserve_quotes = True
        document: Any = yaml.load(self.path.read_text()) if self.path.is_file() else {"version": 1, "devices": {}}
        document["devices"][self.name] = entry
        text = io.StringIO()
        yaml.dump(document, text)
        write_atomically(self.path, text.getvalue().encode())
        return kept


def new_entry(name: str, reached: dict[str, Any], path: Path) -> NewEntry:
    """The entry of a device that is ``reached`` in this way: a board where a user is given, else a phone.

    Raises ConfigError where the name is taken or the options do not fit.
    """
    if path.is_file() and name in load_devices(path)[0].devices:
        raise ConfigError(f"{path} has a device {name!r} already", hint="choose another name, or edit its entry")
    kind = "linux" if "user" in reached else "android"
    if "benchmark_model" in reached:
        reached = {**reached, "benchmark_model": _tool(name, str(reached["benchmark_model"]), path.absolute().parent)}
    entry = {"kind": kind, **reached, "backends": BACKENDS[kind]}
    try:
        file = DevicesFile.model_validate({"version": 1, "devices": {name: entry}})
    except ValidationError as error:
        problem = error.errors()[0]
        key = str(problem["loc"][-1])
        option = "" if key == kind else f"--{key.replace('_', '-')}: "
        raise ConfigError(
            f"devices add {name}: {option}{plain_words(dict(problem))}",
            hint="a phone takes --serial or --address, and --benchmark-model; a board --address and --user",
        ) from error
    return NewEntry(name, entry, path, file)


def _tool(name: str, given: str, base: Path) -> str | dict[str, str]:
    """A file here, relative to devices.yaml, under the ABI that it is for; else a path on the phone. Raises ConfigError."""
    local = base / given
    if not local.is_file():
        return given
    with local.open("rb") as stream:
        abi = elf_abi(stream.read(HEADER_BYTES))
    if abi not in get_args(Abi):
        raise ConfigError(
            f"devices add {name}: --benchmark-model: {local} is {abi}, not a program for {', '.join(get_args(Abi))}",
            hint="give TFLite's benchmark_model for the phone's ABI, or its path on the phone",
        )
    return {abi: given}
