"""Import the Python function that a configuration names, ``package.module:function`` or ``file.py:function``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from edgeworthy.errors import EdgeworthyError, SourceError
from edgeworthy.readers import checked_file, reason_of
from edgeworthy.user_code.function_files import function_parts, imported_modules, is_installed

#: A line of the user's code is cut to this many characters.
MAX_LINE = 80
#: Devices work at the same time, and several may be targets of one file.
_IMPORTING = threading.RLock()


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
            hint=f"correct the name in models.yaml, or define the function in {where}",
        )
    return function  # type: ignore[no-any-return]


def load_file(path: Path) -> ModuleType:
    """Import the Python file at ``path``, once per process; it may import modules and packages beside it.

    Raises SourceError where that fails, or where another module would be imported than the one beside the file.
    """
    path = checked_file(path, "correct the path in models.yaml").resolve()
    if not is_loaded(path):
        _find_siblings(path)
    with users_code(f"{path}: importing it", f"fix the file so that 'python {path}' runs without errors"):
        return loaded_once(path)


def is_loaded(path: Path) -> bool:
    """Whether loaded_once has the module of this resolved path already."""
    return _module_name(path) in sys.modules


def loaded_once(path: Path) -> ModuleType:
    """The module of the file at the resolved ``path``, executed once per process; raises what the file raises."""
    name = _module_name(path)
    with _IMPORTING:
        if name in sys.modules:
            return sys.modules[name]
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]  # a half-imported module is worse than none
            raise
        return module


def _module_name(path: Path) -> str:
    """The whole path is in the name: two users' files may both be called train.py."""
    return "edgeworthy_file_" + path.as_posix().encode().hex()


def _find_siblings(path: Path) -> None:
    """Let ``path`` import what stands beside it, after all that is found elsewhere. Raises SourceError for ambiguity."""
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    for module in imported_modules(path, path.parent):
        name = module.name.partition(".")[0]
        beside = name and any((path.parent / file).exists() for file in (f"{name}.py", f"{name}/__init__.py"))
        other = _origin(name) if beside and path.parent in module.file.parents else None
        if other and not _is_below(other, path.parent):
            raise SourceError(
                f"{path}: imports {name!r}, which is both beside it and at {other}",
                hint=f"rename {name!r} in {path.parent}",
            )


def _is_below(origin: str, folder: Path) -> bool:
    return Path(origin).is_absolute() and folder in Path(origin).resolve().parents  # else "built-in" or "frozen"


def _origin(name: str) -> str | None:
    """The file that ``import name`` gives in this process."""
    loaded = sys.modules.get(name)
    spec = loaded.__spec__ if loaded else importlib.util.find_spec(name)
    return (spec.origin if spec else None) or getattr(loaded, "__file__", None)


@contextmanager
def users_code(doing: str, hint: str) -> Iterator[None]:
    """Turn what a user's code raises inside the block, sys.exit() too, into SourceError: ``doing`` raised it."""
    try:
        yield
    except EdgeworthyError:
        raise
    except (Exception, SystemExit) as error:
        reason = f": {reason_of(error)}" if str(error).strip() else ""
        raise SourceError(f"{doing} raised {type(error).__name__}{reason}{_place(error)}", hint=hint) from error


def _place(error: BaseException) -> str:
    """The last line of the user's code that led to ``error``, in brackets with its file; empty where there is none."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not is_installed(Path(frame.filename))]
    own = [frame for frame in frames if not frame.filename.startswith("<")]
    if not own:
        return ""
    return f" ({Path(own[-1].filename).name}:{own[-1].lineno}: {(own[-1].line or '')[:MAX_LINE]})"


def _load_module(module_name: str, asked_for: str) -> ModuleType:
    with users_code(
        f"{asked_for!r}: importing {module_name}",
        f"fix it so that 'python -c \"import {module_name}\"' runs without errors where edgeworthy was started",
    ):
        return importlib.import_module(module_name)
