"""Runtimes of the user's own: rows beside those of the table, whose artifacts a class of the user's runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeworthy.runtimes import Runtime
from edgeworthy.source_schema import OwnRuntime
from edgeworthy.storage import zipped
from edgeworthy.user_code.function_files import function_copy, function_digest, function_parts

CORRECT_CLASS = "correct the class; its artifacts are made and measured anew in the next run"


@dataclass(frozen=True, kw_only=True)
class ClassRuntime(Runtime):
    """A runtime of the user's own; ``text`` is the digest of the files that its class consists of."""

    text: str

    def version(self, installed: Mapping[str, str]) -> str:
        """The digest of the user's files, and the versions of the packages."""
        return ", ".join([self.text[:12], *(f"{package} {installed[package]}" for package in self.packages)])

    def how_to_install(self, board: str | None = None) -> str:
        """The hint where what it imports is missing: here, or on a board."""
        where = f" where {board}'s Python finds it" if board else ""
        return f"install what the class imports{where}, and list it in packages of the runtime in models.yaml"


def write_packed(runtime: Runtime, folder: Path) -> str | None:
    """The path of the user's files in ``folder``, as a runner is given them; None where the runtime is installed."""
    if not runtime.packed:
        return None
    path = folder / f"{runtime}.zip"  # Python remembers what a zip of a path holds: those of several have several names
    path.write_bytes(runtime.packed)
    return str(path)


def own_runtime(name: str, entry: OwnRuntime, base: Path) -> ClassRuntime:
    """The row of an entry of models.yaml, which lies in ``base``. Raises SourceError where its class has no file."""
    text, copy = function_digest(entry.class_, base), function_copy(entry.class_, base)
    where, class_name = function_parts(copy.name if copy else entry.class_)
    return ClassRuntime(
        name,
        suffix=entry.suffix,
        module=where.removesuffix(".py").replace("/", "."),
        packages=tuple(entry.packages),
        processor_alone=True,
        class_name=class_name,
        text=text,
        packed=zipped(copy.files) if copy else b"",
    )
