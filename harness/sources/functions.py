"""Find the Python function that a configuration names: ``package.module:function`` or ``file.py:function``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.errors import SourceError


def load_function(name: str, base_dir: Path) -> Callable[..., Any]:
    """The function called ``name``; a ``.py`` path is relative to ``base_dir``.

    Raises SourceError where the name is malformed, or the module or the function does not exist or cannot be imported.
    """
    where, separator, attribute = name.rpartition(":")
    if not (separator and where and attribute):
        raise SourceError(
            f"{name!r} does not name a function", next_step="write 'package.module:function' or 'file.py:function'"
        )
    module = load_file(base_dir / where) if where.endswith(".py") else _load_module(where, name)
    function = getattr(module, attribute, None)
    if not callable(function):
        raise SourceError(f"{where} has no function {attribute!r} (asked for by {name!r})")
    return function  # type: ignore[no-any-return]


def function_file(name: str, base_dir: Path) -> Path:
    """The file in which the function called ``name`` should stand, found without importing it. Raises SourceError."""
    where = name.rpartition(":")[0]
    if where.endswith(".py"):
        path = base_dir / where
    else:
        try:
            spec = importlib.util.find_spec(where) if where else None
        except (ImportError, ValueError) as error:
            raise SourceError(f"{name!r}: there is no module {where!r} ({error})") from error
        path = Path(spec.origin) if spec and spec.origin else Path(where)
    if not path.is_file():
        raise SourceError(
            f"{name!r}: {path}: no such file", next_step="write 'package.module:function' or 'file.py:function'"
        )
    return path


def load_file(path: Path) -> ModuleType:
    """Import the Python file at ``path``, once per process. Raises SourceError where that fails."""
    path = path.resolve()
    if not path.is_file():
        raise SourceError(f"{path}: no such file")
    # The whole path is in the name: two users' files may both be called train.py.
    name = "edgegate_file_" + path.as_posix().encode().hex()
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise SourceError(f"{path}: importing it raised {type(error).__name__}: {error}") from error
    return module


def _load_module(module_name: str, asked_for: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except Exception as error:
        raise SourceError(
            f"{asked_for!r}: importing {module_name} raised {type(error).__name__}: {error}",
            next_step="check the spelling, and that the module can be imported from where edgegate was started",
        ) from error
