"""Runtimes of the user's own: rows beside those of the table, whose artifacts a class of the user's runs."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgeworthy.errors import SourceError
from edgeworthy.runtimes import RUNTIMES, Runtime
from edgeworthy.source_schema import OwnRuntime
from edgeworthy.storage import digest, zipped
from edgeworthy.user_code.function_files import copied_file, function_copy, function_digest, function_parts
from edgeworthy.yaml_file import KeyPath, YamlFile

CORRECT_CLASS = "correct the class; its artifacts are made and measured anew in the next run"


@dataclass(frozen=True, kw_only=True)
class ClassRuntime(Runtime):
    """A runtime of the user's own; ``text`` is the digest of the files that its class consists of, and of those it reads."""

    text: str

    def version(self, installed: Mapping[str, str]) -> str:
        """The digest of the user's files, and the versions of the packages."""
        return ", ".join([self.text[:12], *(f"{package} {installed[package]}" for package in self.packages)])

    def how_to_install(self, board: str | None = None) -> str:
        """The hint where what it imports is missing: here, or on a board."""
        listed = "list what the class imports in packages of the runtime in models.yaml"
        return f"{listed}, then: edgeworthy devices setup {board}" if board else f"{listed}, and install it"


class WrongEntry(SourceError):
    """An entry of ``runtimes`` names a file that cannot be used; ``key`` is where in the entry."""

    def __init__(self, key: KeyPath, problem: SourceError) -> None:
        super().__init__(problem.message, hint=problem.hint)
        self.key = key


@contextmanager
def _named_by(*key: str | int) -> Iterator[None]:
    try:
        yield
    except SourceError as error:
        raise WrongEntry(key, error) from error


def unpack_code(runtime: Runtime, folder: Path) -> str | None:
    """The folder in ``folder`` with the user's files, as a runner imports them; None where the runtime is installed."""
    if not runtime.packed:
        return None
    path = folder / str(runtime)
    with zipfile.ZipFile(io.BytesIO(runtime.packed)) as packed:
        packed.extractall(path)
    return str(path)


def own_runtime(name: str, entry: OwnRuntime, base: Path) -> ClassRuntime:
    """The row of an entry of models.yaml, which lies in ``base``. Raises WrongEntry where one of its files is not there."""
    with _named_by("class"):
        text, copy = function_digest(entry.class_, base), function_copy(entry.class_, base)
    where, class_name = function_parts(copy.name if copy else entry.class_)
    read: dict[str, bytes] = {}
    for index, file in enumerate(entry.files):
        with _named_by("files", index):
            read |= copied_file(Path(file), entry.class_, base)
    packed = zipped({**copy.files, **read}) if copy else b""
    return ClassRuntime(
        name,
        suffix=entry.suffix,
        module=where.removesuffix(".py").replace("/", "."),
        packages=tuple(entry.packages),
        processor_alone=True,
        class_name=class_name,
        text=digest([text, hashlib.sha256(packed).hexdigest()]) if read else text,
        packed=packed,
    )


def all_runtimes(entries: Mapping[str, OwnRuntime], document: YamlFile) -> dict[str, Runtime]:
    """The table's and the user's own, of the ``runtimes`` in models.yaml. Raises ConfigError."""
    found: dict[str, Runtime] = {**RUNTIMES}
    for name, entry in entries.items():
        if name in RUNTIMES:
            raise document.error(("runtimes", name), f"{name!r} comes with edgeworthy; give yours another name")
        try:
            found[name] = own_runtime(name, entry, document.path.absolute().parent)
        except WrongEntry as error:
            raise document.error(("runtimes", name, *error.key), error.message, error.hint) from error
    return found
