"""The files that a user's function consists of: its own, and those of the modules that it imports, recursively.

They are found by reading ``import`` statements, in functions and under conditions as well, without importing anything:
the process that measures stays lean, and code that raises on import raises where the error is reported. A module that exists
in several folders of the search path counts each time. Installed packages are not followed (their version identifies them),
nor are modules that no statement names (importlib with a computed name) and files that are read.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import os
import sys
import sysconfig
import warnings
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import edgeworthy
from edgeworthy.array_files import PARSING
from edgeworthy.errors import SourceError
from edgeworthy.readers import checked_file, problem_of
from edgeworthy.storage import digest, file_digest

#: Folders of installed packages, which their versions identify.
INSTALLED = [
    folder.resolve()
    for folder in (
        *(Path(sysconfig.get_path(kind)) for kind in ("stdlib", "platstdlib", "purelib", "platlib")),
        Path(str(edgeworthy.__file__)).parent,
    )
]


#: In a copy of a function's files: where a file lies that is loaded by its path, so that nothing imports it by its name.
LOADED = "loaded"


class Module(NamedTuple):
    """A module by its full name (empty for a file that is loaded by its path), not imported."""

    name: str
    file: Path
    is_package: bool

    @property
    def relative(self) -> str:
        """Where a copy of it lies, with ``/``: as below the folder that it is found in; what is loaded by its path, apart."""
        parts = self.name.split(".") if self.name else [LOADED, self.file.stem]
        return "/".join([*parts, "__init__.py"] if self.is_package else [*parts[:-1], parts[-1] + self.file.suffix])

    @property
    def package(self) -> str:
        """What its relative imports start from."""
        return self.name if self.is_package else self.name.rpartition(".")[0]


def function_parts(name: str) -> tuple[str, str]:
    """The module or file, and the function's own name. Raises SourceError."""
    where, separator, attribute = name.rpartition(":")
    if not (separator and where and attribute):
        raise SourceError(
            f"{name!r} does not name a function", hint="write 'package.module:function' or 'file.py:function'"
        )
    return where, attribute


def function_digest(name: str, base_dir: Path) -> str:
    """A digest of a function's name and of its files' text. Raises SourceError where there is no such file."""
    return _text(name, function_modules(name, base_dir))


class FunctionCopy(NamedTuple):
    """What a folder must hold so that a function can be loaded from it: ``files`` by relative path, its ``name`` there.

    ``text`` is its function_digest.
    """

    name: str
    files: dict[str, bytes]
    text: str


def function_copy(name: str, base_dir: Path) -> FunctionCopy | None:
    """The function's own files; None where it comes with an installed package, or by an importer of its own."""
    where, attribute = function_parts(name)
    try:
        modules = function_modules(name, base_dir)
    except SourceError:
        return None
    if is_installed(modules[0].file):
        return None
    files = {module.relative: module.file.read_bytes() for module in reversed(_as_imported(modules))}
    copied = f"{LOADED}/{Path(where).name}:{attribute}" if where.endswith(".py") else name
    return FunctionCopy(copied, files, _text(name, modules))


def copied_file(path: Path, name: str, base_dir: Path) -> dict[str, bytes]:
    """What the copy of a function has of a file that it reads: the file, as it lies beside or below the function's modules.

    Raises SourceError where it cannot be read, or lies elsewhere.
    """
    path = Path(os.path.normpath(base_dir.resolve() / path))  # a link stays one: data is often kept elsewhere
    modules = function_modules(name, base_dir)
    content = checked_file(path).read_bytes()
    places = {
        PurePosixPath(module.relative).parent / path.relative_to(module.file.parent)
        for module in modules
        if module.file.parent in path.parents
    }
    if not places or is_installed(modules[0].file):
        raise SourceError(
            f"{path}: lies neither beside {modules[0].file} nor in a folder below it",
            hint="move it there: a runner is sent both as they lie, and finds it by Path(__file__).parent",
        )
    return {place.as_posix(): content for place in places}


def _as_imported(modules: Sequence[Module]) -> list[Module]:
    """The modules, of several that lie at one relative path first the one that ``import`` gives."""
    search = [*map(Path, sys.path), modules[0].file.parent]
    places = [(folder / module.relative).resolve() for folder in search for module in modules]
    return sorted(modules, key=lambda module: places.index(module.file) if module.file in places else len(places))


def _text(name: str, modules: Sequence[Module]) -> str:
    return digest([name, *(file_digest(module.file) for module in modules)])


def function_modules(name: str, base_dir: Path) -> list[Module]:
    """The modules that a function consists of, its own first. Raises SourceError where there is no such file."""
    where, _ = function_parts(name)
    folders = _folders(base_dir)
    if where.endswith(".py"):
        return imported_modules(_existing(base_dir / where, name), base_dir)
    found = _modules(where, folders)
    if not found:
        raise SourceError(
            f"{name!r}: there is no module {where!r}",
            hint="check the spelling, and that the module can be imported from where edgeworthy was started",
        )
    own = found[0].file.parent if found[0].is_package else None
    return _followed(found, folders, own)


def imported_files(path: Path, base_dir: Path) -> list[Path]:
    """The Python file itself, and the files of all modules that it imports which are not installed."""
    return [module.file for module in imported_modules(path, base_dir)]


def imported_modules(path: Path, base_dir: Path) -> list[Module]:
    """The file as a module without a name, and the modules that it imports which are not installed, theirs too."""
    path = path.resolve()
    return _followed([Module("", path, False)], [path.parent, *_folders(base_dir)], None)


def _folders(base_dir: Path) -> list[Path]:
    """Where the process that measures and the one that converts look for modules."""
    return [base_dir, Path.cwd(), *map(Path, sys.path)]


def _existing(path: Path, name: str) -> Path:
    problem = problem_of(path)
    if problem:
        raise SourceError(f"{name!r}: {path}: {problem}", hint="write 'package.module:function' or 'file.py:function'")
    return path


def _followed(start: Sequence[Module], folders: Sequence[Path], own: Path | None) -> list[Module]:
    """``start``, then in the order of their paths what they import, each file once, without what is installed.

    ``own`` is a package that counts even if it is installed.
    """
    left, followed, asked = list(start), dict[Path, Module](), set[str]()
    while left:
        module = left.pop(0)
        if module.file in followed:
            continue
        followed[module.file] = module
        for name in _imported(module):
            if name not in asked and name.partition(".")[0] != edgeworthy.__name__:
                asked.add(name)
                left += [found for found in _modules(name, folders) if _counts(found.file, own)]
    first = {module.file for module in start}
    return [*start, *(followed[file] for file in sorted(set(followed) - first))]


def _counts(file: Path, own: Path | None) -> bool:
    return bool(own and own in file.parents) or not is_installed(file)


def is_installed(file: Path) -> bool:
    """Whether the file belongs to Python, to an installed package or to edgeworthy itself."""
    return any(folder in file.parents for folder in INSTALLED) or bool(
        {"site-packages", "dist-packages"} & {*file.parts}
    )


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
            warnings.simplefilter("ignore")  # of the user's code, reported when it is imported
            with PARSING:
                tree = ast.parse(text)
    except (SyntaxError, ValueError):  # reported when it is imported
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
