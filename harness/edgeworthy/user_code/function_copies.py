"""Load a function from a copy of its files, apart from all other modules of this process."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from edgeworthy.errors import SourceError
from edgeworthy.user_code.function_files import LOADED, function_parts
from edgeworthy.user_code.functions import loaded_once, users_code


def load_copy(name: str, folder: Path) -> Callable[..., Any]:
    """The function called ``name`` of the copy in ``folder`` (see function_copy), whatever else is called like its modules.

    Raises SourceError where the name leads out of the folder, or the function does not exist or cannot be imported.
    """
    copy = _copy(folder.resolve())
    with copy.alone():
        function = getattr(copy.module(name), function_parts(name)[1], None)
    if not callable(function):
        raise SourceError(f"{folder} has no function {name!r}", hint="measure the run again")

    def call(*given: Any, **named: Any) -> Any:
        with copy.alone():  # a function may import when it is called
            return function(*given, **named)

    return call


class _Copy:
    """A folder with a copy, and the modules that were loaded from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names = {path.name.removesuffix(".py") for path in folder.iterdir()} - {LOADED}
        self._loaded: dict[str, ModuleType] = {}

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Within, imports of the copy's modules give its own; nothing is written beside them."""
        others = self._taken()
        path, sys.path[:] = sys.path[:], [str(self.folder), *sys.path]
        writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        sys.modules.update(self._loaded)
        importlib.invalidate_caches()
        try:
            yield
        finally:
            self._loaded = self._taken()
            sys.modules.update(others)
            sys.path[:], sys.dont_write_bytecode = path, writes

    def _taken(self) -> dict[str, ModuleType]:
        """The modules that this process has under the copy's names, taken out of it."""
        return {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in self._names}

    def module(self, name: str) -> ModuleType:
        """The module of the function ``name``, loaded once."""
        where, _ = function_parts(name)
        with users_code(
            f"{self.folder}: importing {where}", "measure the run again, with a function that can be imported"
        ):
            module = self._by_path(where) if where.endswith(".py") else importlib.import_module(where)
        if self.folder not in Path(module.__file__ or "/").resolve().parents:
            raise SourceError(f"{self.folder}: {where!r} is not among its files", hint="measure the run again")
        return module

    def _by_path(self, where: str) -> ModuleType:
        path = (self.folder / where).resolve()
        if self.folder not in path.parents or not path.is_file():
            raise SourceError(f"{self.folder}: {where!r} is not among its files", hint="measure the run again")
        return loaded_once(path)


@functools.cache
def _copy(folder: Path) -> _Copy:
    return _Copy(folder)
