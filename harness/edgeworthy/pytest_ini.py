"""The ini values of pytest, for commands that are not run by pytest: both see the same project.

pytest's files and their order: https://docs.pytest.org/en/stable/reference/customize.html
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import iniconfig

from edgeworthy.errors import ConfigError

#: Name -> default, both relative to pytest's root folder.
PATHS = {
    "edge_models": "benchmarks/models.yaml",
    "edge_devices": "devices.yaml",
    "edge_baselines": "results/baselines",
    "edge_results": "results",
    "edge_store": ".edgeworthy",
}
_NAMES = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
_SECTIONS = {"setup.cfg": "tool:pytest"}


def ini_path(name: str) -> Path:
    """The path that ``name`` (one of PATHS) has where the command is run. Raises ConfigError for an unreadable file."""
    root, values = _found(Path.cwd())
    return Path(os.path.relpath(root / (values.get(name) or PATHS[name])))


def ini_value(name: str) -> tuple[Path, str]:
    """pytest's root folder, and the value as written there; empty where there is none. Raises ConfigError."""
    root, values = _found(Path.cwd())
    return root, values.get(name, "")


def _found(here: Path) -> tuple[Path, Mapping[str, str]]:
    """pytest's root folder, and the values of its first file that is there: in this folder, or in the nearest above it."""
    for folder in (here, *here.parents):
        for name in _NAMES:
            path = folder / name
            values = _values(path) if path.is_file() else None
            if values is not None:
                return folder, {key: str(value) for key, value in values.items()}
    return here, {}


def _values(path: Path) -> Mapping[str, Any] | None:
    """The file's section for pytest, None where it has none."""
    try:
        if path.suffix == ".toml":
            return _toml_values(path)
        sections = iniconfig.IniConfig(str(path)).sections
    except (tomllib.TOMLDecodeError, iniconfig.ParseError, OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: cannot be read as pytest's configuration: {error}", hint="correct this file"
        ) from error
    always: Mapping[str, str] | None = {} if path.name.lstrip(".") == "pytest.ini" else None
    return sections.get(_SECTIONS.get(path.name, "pytest"), always)


def _toml_values(path: Path) -> Mapping[str, Any] | None:
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    if path.name.lstrip(".") == "pytest.toml":
        found: Mapping[str, Any] = document.get("pytest", {})
        return found
    tool = document.get("tool", {}).get("pytest")
    return None if tool is None else {**tool, **tool.get("ini_options", {})}
