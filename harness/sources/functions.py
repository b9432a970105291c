"""Import the Python function that a configuration names, ``package.module:function`` or ``file.py:function``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.errors import EdgegateError, SourceError

MAX_REASON = 300


def load_function(name: str, base_dir: Path) -> Callable[..., Any]:
    """The function called ``name``; a ``.py`` path is relative to ``base_dir``.

    Raises SourceError where the name is malformed, or the module or the function does not exist or cannot be imported.
    """
    where, attribute = function_parts(name)
    module = load_file(base_dir / where) if where.endswith(".py") else _load_module(where, name)
    function = getattr(module, attribute, None)
    if not callable(function):
        raise SourceError(
            f"{where} has no function {attribute!r} (asked for by {name!r})",
            next_step=f"correct the name in models.yaml, or define the function in {where}",
        )
    return function  # type: ignore[no-any-return]


def function_parts(name: str) -> tuple[str, str]:
    """The module or file, and the function's own name. Raises SourceError."""
    where, separator, attribute = name.rpartition(":")
    if not (separator and where and attribute):
        raise SourceError(
            f"{name!r} does not name a function", next_step="write 'package.module:function' or 'file.py:function'"
        )
    return where, attribute


def load_file(path: Path) -> ModuleType:
    """Import the Python file at ``path``, once per process. Raises SourceError where that fails."""
    path = path.resolve()
    if not path.is_file():
        raise SourceError(f"{path}: no such file", next_step="correct the path in models.yaml")
    # The whole path is in the name: two users' files may both be called train.py.
    name = "edgegate_file_" + path.as_posix().encode().hex()
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        with users_code(f"{path}: importing it", f"mend the file until 'python {path}' runs through"):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]  # half of a module is worse than none
        raise
    return module


@contextmanager
def users_code(doing: str, next_step: str) -> Iterator[None]:
    """Turn what a user's code raises inside the block, sys.exit() too, into SourceError: ``doing`` raised it."""
    try:
        yield
    except EdgegateError:
        raise
    except (Exception, SystemExit) as error:
        reason = next(iter(str(error).strip().splitlines()), "")[:MAX_REASON]
        raise SourceError(
            f"{doing} raised {type(error).__name__}: {reason}".rstrip(": "), next_step=next_step
        ) from error


def _load_module(module_name: str, asked_for: str) -> ModuleType:
    with users_code(
        f"{asked_for!r}: importing {module_name}",
        f"mend it until 'python -c \"import {module_name}\"' runs through where edgegate was started",
    ):
        return importlib.import_module(module_name)
