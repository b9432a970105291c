"""The files that a user's function is written in: its own, and those of the modules that it imports, theirs too.

They are found by reading ``import`` statements, in functions and under conditions as well, without importing anything:
the process that measures stays lean, and what raises on import raises where it can be told. What stands in more than
one folder that Python might look in counts each time. Not followed is what is installed (a version tells it), and what
no statement names: importlib with a computed name, files that are read.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import sys
import sysconfig
import warnings
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import NamedTuple

import harness
from harness.errors import SourceError
from harness.sources.functions import function_parts
from harness.storage import digest, file_digest

#: Folders of what has a version; edgegate names the files of its own that shape an artifact.
INSTALLED = [
    folder.resolve()
    for folder in (
        *(Path(sysconfig.get_path(kind)) for kind in ("stdlib", "platstdlib", "purelib", "platlib")),
        Path(str(harness.__file__)).parent,
    )
]


class Module(NamedTuple):
    """A module by its full name (empty for a file that is loaded by its path), not imported."""

    name: str
    file: Path
    is_package: bool

    @property
    def package(self) -> str:
        """What its relative imports start from."""
        return self.name if self.is_package else self.name.rpartition(".")[0]


def function_digest(name: str, base_dir: Path) -> str:
    """What stands for the function called ``name``: its files' text. Raises SourceError where there is no such file."""
    where, _ = function_parts(name)
    folders = _folders(base_dir)
    if where.endswith(".py"):
        return digest([name, *map(file_digest, imported_files(_existing(base_dir / where, name), base_dir))])
    found = _modules(where, folders)
    if not found:
        raise SourceError(
            f"{name!r}: there is no module {where!r}",
            next_step="check the spelling, and that the module can be imported from where edgegate was started",
        )
    own = found[0].file.parent if found[0].is_package else None
    return digest([name, *map(file_digest, _followed(found, folders, own))])


def imported_files(path: Path, base_dir: Path) -> list[Path]:
    """The Python file itself, and the files of all modules that it imports which are not installed."""
    path = path.resolve()
    return _followed([Module("", path, False)], [path.parent, *_folders(base_dir)], None)


def _folders(base_dir: Path) -> list[Path]:
    """Where the process that measures and the one that converts look for modules."""
    return [base_dir, Path.cwd(), *map(Path, sys.path)]


def _existing(path: Path, name: str) -> Path:
    if not path.is_file():
        raise SourceError(
            f"{name!r}: {path}: no such file", next_step="write 'package.module:function' or 'file.py:function'"
        )
    return path


def _followed(start: Sequence[Module], folders: Sequence[Path], own: Path | None) -> list[Path]:
    """The files of ``start``, then in the order of their paths those of what they import, without what is installed.

    ``own`` is a package that counts although it is installed.
    """
    left, followed, asked = list(start), list[Path](), set[str]()
    while left:
        module = left.pop(0)
        if module.file in followed:
            continue
        followed.append(module.file)
        for name in _imported(module):
            if name not in asked:
                asked.add(name)
                left += [found for found in _modules(name, folders) if _counts(found.file, own)]
    first = [module.file for module in start]
    return [*first, *sorted(set(followed) - set(first))]


def _counts(file: Path, own: Path | None) -> bool:
    if own and own in file.parents:
        return True
    return not any(folder in file.parents for folder in INSTALLED) and not {"site-packages", "dist-packages"} & {
        *file.parts
    }


def _imported(module: Module) -> list[str]:
    """Full names of what the module imports, or may: in ``from a import b``, b may be a module."""
    names = []
    for node in _import_statements(module.file.read_bytes()) if module.file.suffix == ".py" else ():
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif origin := _origin(node, module.package):
            names += [origin, *(f"{origin}.{alias.name}" for alias in node.names)]
    return names


def _origin(node: ast.ImportFrom, package: str) -> str:
    relative = "." * node.level + (node.module or "")
    try:
        return importlib.util.resolve_name(relative, package)
    except ImportError:  # beyond the outermost package, as Python will say
        return ""


@functools.lru_cache(maxsize=1024)
def _import_statements(text: bytes) -> list[ast.Import | ast.ImportFrom]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the user's code, told when it is imported
            tree = ast.parse(text)
    except (SyntaxError, ValueError):  # told when it is imported
        return []
    return [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def _modules(name: str, folders: Sequence[Path]) -> list[Module]:
    """The module and the packages around it, outermost first, in every folder that has it whole."""
    outermost, *parts = name.split(".")
    return list(
        dict.fromkeys(module for spec in _candidates(outermost, folders) for module in _chain(spec, outermost, parts))
    )


def _candidates(name: str, folders: Sequence[Path]) -> Iterator[ModuleSpec]:
    for folder in dict.fromkeys(folders):
        if spec := PathFinder.find_spec(name, [str(folder)]):
            yield spec
    try:
        spec = importlib.util.find_spec(name)  # what an editable installation adds to Python's own search
    except (ImportError, ValueError):
        spec = None
    if spec:
        yield spec


def _chain(spec: ModuleSpec | None, name: str, parts: Sequence[str]) -> list[Module]:
    chain = []
    for part in (*parts, ""):
        if spec is None:
            return []
        if spec.has_location and spec.origin:  # a namespace package has no file of its own
            chain.append(Module(name, Path(spec.origin).resolve(), spec.submodule_search_locations is not None))
        if part:
            # By its last name alone: of a full one Python would look the packages up among the imported ones.
            spec = PathFinder.find_spec(part, list(spec.submodule_search_locations or []))
            name = f"{name}.{part}"
    return chain
