"""A run's folder: every measurement is on disk, whole, as soon as it is made.

``measurements/<cell>.<outputs|timing|interleaved>.npz`` holds a record's arrays and, as JSON under ``facts``, all the rest,
with the identity of what was measured, so that a resumed run takes only what it would measure the same way.
``datasets/<name>.txt`` says what a dataset is and how it was preprocessed; ``truths/<model>.npz`` holds what the outputs
are judged by, a metric function of the user's with its files, so that a run can be judged again from its folder alone.
``profiles/<cell>.<artifact>.csv`` is where the time of a cell goes, if a test asked for that.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import TypeAdapter

from edgeworthy.array_files import load_arrays
from edgeworthy.cells import CellId
from edgeworthy.errors import StoreError
from edgeworthy.records import (
    Artifact,
    Conditions,
    Delegation,
    OpTime,
    Outputs,
    PairedTiming,
    Provenance,
    Timing,
)
from edgeworthy.storage import digest, readable, write_atomically, writing
from edgeworthy.text import printable
from edgeworthy.truth import Truth

FORMAT_VERSION = 4
Measurement = TypeVar("Measurement", Outputs, Timing, PairedTiming)
_CELL, _CONDITIONS, _DELEGATION = TypeAdapter(CellId), TypeAdapter(Conditions), TypeAdapter(Delegation)
_SHAPES = TypeAdapter(dict[str, tuple[int, ...]])
_PROVENANCE, _TEXT = TypeAdapter(Provenance), TypeAdapter(str)
_TEXTS, _NUMBERS = TypeAdapter(tuple[str, ...]), TypeAdapter(dict[str, float])
_AXES: dict[type, str] = {Outputs: "outputs", Timing: "timing", PairedTiming: "interleaved"}


class Journal:
    """The measurements of one run, below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "measurements"
        self.truths = folder / "truths"
        self.prepared = folder / "datasets"
        self.profiles = folder / "profiles"

    def save(
        self, cell: CellId, identity: str, artifact: Artifact, measurement: Outputs | Timing | PairedTiming
    ) -> None:
        """Write a measurement, atomically."""
        arrays, plain = _split(measurement)
        stored = {
            "version": FORMAT_VERSION,
            "cell": list(cell),
            "identity": identity,
            "provenance": dataclasses.asdict(Provenance.of(artifact)),
            "measurement": plain,
        }
        _write(self._path(cell, type(measurement)), arrays, stored)

    def save_truth(self, model: str, truth: Truth, code: Mapping[str, bytes] | None = None) -> None:
        """Write what the model's outputs are judged by, atomically; ``code`` are the files of a function, by relative path."""
        kept = _digest_of(code) if code else ""
        for relative, content in (code or {}).items():
            _write_file(self._code(model, kept) / relative, content)
        arrays, plain = _split(dataclasses.replace(truth, folder="") if code else truth)
        _write(self.truths / f"{model}.npz", arrays, {"version": FORMAT_VERSION, "code": kept, **plain})

    def truth(self, model: str) -> Truth | None:
        """What the model's outputs were judged by, if any were. Raises StoreError where it is unreadable."""
        path = self.truths / f"{model}.npz"
        with _measurement(path):
            if not path.is_file():
                return None
            arrays, facts = _read(path)
            kept = _TEXT.validate_python(facts.pop("code", ""))
            truth = Truth(**arrays, **{name: value for name, value in facts.items() if name != "version"})
            for text in (truth.metric, truth.folder, truth.copy, truth.text):
                _TEXT.validate_python(text)
            shapes, texts = _SHAPES.validate_python(truth.outputs), _TEXTS.validate_python(truth.texts)
            truth = dataclasses.replace(truth, outputs=shapes, texts=texts)
        return dataclasses.replace(truth, folder=str(self._checked_code(model, kept))) if truth.copy else truth

    def _code(self, model: str, kept: str) -> Path:
        return self.truths / f"{model}.{kept[:16]}"

    def _checked_code(self, model: str, kept: str) -> Path:
        """The folder with a function's files, as they were written. Raises StoreError."""
        folder = self._code(model, kept)
        found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        if _digest_of(found) != kept:
            raise StoreError(
                f"{folder}: the files of the metric's function are not those that the run wrote",
                hint="restore the run's folder, or measure again",
            )
        return folder

    def save_dataset(self, name: str, description: str) -> None:
        """Write what a dataset is and how it was preprocessed, atomically."""
        _write_file(self.prepared / f"{name}.txt", printable(description).encode())

    def datasets(self) -> dict[str, str]:
        """Name -> description of every dataset that the run used. Raises StoreError where one is unreadable."""
        found = {}
        for path in sorted(self.prepared.glob("*.txt")):
            with readable(path, "not a readable description", "delete it; it is written by the next run"):
                found[path.stem] = path.read_text(encoding="utf-8")
        return found

    def save_profile(self, cell: CellId, artifact: str, table: str) -> None:
        """Write the time of every op of the cell's ``artifact``, atomically: CSV with the columns of a target's profile."""
        _write_file(self._profile(cell, artifact), table.encode())

    def profile(self, cell: CellId, artifact: str) -> list[OpTime]:
        """The time of every op of the cell's ``artifact``; none where no test asked for it. Raises StoreError."""
        path = self._profile(cell, artifact)
        with readable(path, "not a readable profile", "delete it; a test that asks for it measures it again"):
            text = path.read_text(encoding="utf-8") if path.is_file() else ""
            found = list(csv.DictReader(io.StringIO(text)))
            return [
                OpTime(row["part"], row["node_type"], float(row["mean_ms"]), float(row["percent"])) for row in found
            ]

    def _profile(self, cell: CellId, artifact: str) -> Path:
        return self.profiles / f"{cell.slug()}.{artifact[:16]}.csv"

    def find(self, kind: type[Measurement], cell: CellId, identity: str | None = None) -> Measurement | None:
        """The cell's measurement, if there is one of that identity (None: any). Raises StoreError where it is unreadable."""
        path = self._path(cell, kind)
        with _measurement(path):
            if not path.is_file():
                return None
            arrays, facts = _read(path)
            if identity is not None and facts["identity"] != identity:
                return None
            return _joined(kind, arrays, facts)

    def cells(self) -> list[CellId]:
        """Every cell with a measurement. Raises StoreError where one is unreadable."""
        found = set()
        for path in self.folder.glob("*.npz"):
            with _measurement(path):
                found.add(_CELL.validate_python(_read(path)[1]["cell"]))
        return sorted(found)

    def provenance(self, cell: CellId) -> Provenance:
        """What was measured of a measured cell. Raises StoreError where it is unreadable, or not one artifact."""
        found: list[Provenance] = []
        for path in (self._path(cell, kind) for kind in _AXES):
            with _measurement(path):
                found += [_PROVENANCE.validate_python(_read(path)[1]["provenance"])] if path.is_file() else []
        if any(provenance.artifact != found[0].artifact for provenance in found):
            raise StoreError(
                f"{self.folder}: the measurements of {cell} are of two different artifacts",
                hint="the variant changed while the run was interrupted: run all suites in a new run",
            )
        return found[0]

    def _path(self, cell: CellId, kind: type) -> Path:
        return self.folder / f"{cell.slug()}.{_AXES[kind]}.npz"


def _digest_of(files: Mapping[str, bytes]) -> str:
    return digest({name: hashlib.sha256(content).hexdigest() for name, content in files.items()})


def _write(path: Path, arrays: dict[str, Any], facts: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    stored = json.dumps({**facts, "arrays": sorted(arrays)})  # a damaged file may have lost one and still open
    np.savez(buffer, allow_pickle=False, facts=np.array(stored), **arrays)
    _write_file(path, buffer.getvalue())


def _write_file(path: Path, content: bytes) -> None:
    """Write it, atomically, into a folder that the first file makes: reading a run makes none."""
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)


def _measurement(path: Path) -> AbstractContextManager[None]:
    return readable(path, "not a readable measurement", "delete it; it is measured again")


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays and the facts. Raises StoreError for another format's, and whatever a damaged file leads to."""
    arrays = load_arrays(path)
    facts: dict[str, Any] = json.loads(str(arrays.pop("facts")))
    version, listed = facts["version"], facts.pop("arrays", sorted(arrays))
    if version != FORMAT_VERSION:
        raise StoreError(
            f"{path}: format version {version}, this edgeworthy reads {FORMAT_VERSION}",
            hint="read it with the edgeworthy that wrote it, or measure again",
        )
    if sorted(arrays) != listed:
        raise ValueError(f"it holds {sorted(arrays)}, not {listed}")
    return arrays, facts


def _split(measurement: Outputs | Timing | PairedTiming | Truth) -> tuple[dict[str, Any], dict[str, Any]]:
    fields = {field.name: getattr(measurement, field.name) for field in dataclasses.fields(measurement)}
    arrays = {name: value for name, value in fields.items() if isinstance(value, np.ndarray)}
    plain = {
        name: dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value
        for name, value in fields.items()
        if name not in arrays
    }
    return arrays, plain


def _joined(kind: type[Measurement], arrays: dict[str, Any], facts: dict[str, Any]) -> Measurement:
    plain = dict(facts["measurement"])
    plain["conditions"] = _CONDITIONS.validate_python(plain["conditions"])
    if plain.get("delegation"):
        plain["delegation"] = _DELEGATION.validate_python(plain["delegation"])
    if "needs" in plain:
        plain["needs"] = _NUMBERS.validate_python(plain["needs"])
    return kind(**arrays, **plain)
