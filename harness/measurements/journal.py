"""A run's folder: every measurement is on disk, whole, as soon as it is made.

``measurements/<cell>.<outputs|timing|in-turn>.npz`` holds a record's arrays and, as JSON under ``facts``, all the rest,
with the identity of what was measured, so that a resumed run takes only what it would measure the same way.
``datasets/<name>.txt`` says what a dataset is and how it was preprocessed; ``truths/<model>.npz`` holds what the answers
are judged by, so that a run can be judged again from its folder alone.
"""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from harness.errors import StoreError
from harness.records import Artifact, CellId, Conditions, Delegation, Outputs, PairedTiming, Timing, Truth
from harness.storage import write_atomically, writing

FORMAT_VERSION = 2
Measurement = TypeVar("Measurement", Outputs, Timing, PairedTiming)
_AXES: dict[type, str] = {Outputs: "outputs", Timing: "timing", PairedTiming: "in-turn"}


class Journal:
    """The measurements of one run, below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "measurements"
        self.truths = folder / "truths"
        self.prepared = folder / "datasets"
        for made in (self.folder, self.truths, self.prepared):
            with writing(made):
                made.mkdir(parents=True, exist_ok=True)

    def save(
        self, cell: CellId, identity: str, artifact: Artifact, measurement: Outputs | Timing | PairedTiming
    ) -> None:
        """Write a measurement, atomically."""
        arrays, plain = _split(measurement)
        stored = {
            "version": FORMAT_VERSION,
            "cell": list(cell),
            "identity": identity,
            "provenance": {
                "recipe": artifact.recipe,
                "layout": artifact.layout,
                "artifact": artifact.key,
                "size_bytes": artifact.size_bytes,
                "gzip_bytes": artifact.gzip_bytes,
            },
            "measurement": plain,
        }
        _write(self._path(cell, type(measurement)), arrays, stored)

    def save_truth(self, model: str, truth: Truth) -> None:
        """Write what the model's answers are judged by, atomically."""
        arrays, plain = _split(truth)
        _write(self.truths / f"{model}.npz", arrays, {"version": FORMAT_VERSION, **plain})

    def truth(self, model: str) -> Truth | None:
        """What the model's answers were judged by, if any were. Raises StoreError where it is unreadable."""
        path = self.truths / f"{model}.npz"
        if not path.is_file():
            return None
        arrays, facts = _read(path)
        return Truth(**arrays, **{name: value for name, value in facts.items() if name != "version"})

    def save_dataset(self, name: str, description: str) -> None:
        """Write what a dataset is and how it was preprocessed, atomically."""
        write_atomically(self.prepared / f"{name}.txt", description.encode())

    def datasets(self) -> dict[str, str]:
        """Name -> description of every dataset that the run used."""
        return {path.stem: path.read_text(encoding="utf-8") for path in sorted(self.prepared.glob("*.txt"))}

    def find(self, kind: type[Measurement], cell: CellId, identity: str | None = None) -> Measurement | None:
        """The cell's measurement, if there is one of that identity (None: any). Raises StoreError where it is unreadable."""
        path = self._path(cell, kind)
        if not path.is_file():
            return None
        arrays, facts = _read(path)
        if identity is not None and facts["identity"] != identity:
            return None
        return _joined(kind, arrays, facts)

    def cells(self) -> list[CellId]:
        """Every cell with a measurement."""
        found = {tuple(_read(path)[1]["cell"]) for path in self.folder.glob("*.npz")}
        return sorted(CellId(*cell) for cell in found)

    def provenance(self, cell: CellId) -> dict[str, Any]:
        """Of a measured cell: ``recipe``, ``layout``, ``artifact`` (its key), ``size_bytes`` and ``gzip_bytes``."""
        found: list[dict[str, Any]] = [
            _read(path)[1]["provenance"] for kind in _AXES if (path := self._path(cell, kind)).is_file()
        ]
        if any(provenance["artifact"] != found[0]["artifact"] for provenance in found):
            raise StoreError(
                f"{self.folder}: the measurements of {cell} are of two different artifacts",
                next_step="the variant changed while the run was interrupted: run all suites in a new run",
            )
        return found[0]

    def _path(self, cell: CellId, kind: type) -> Path:
        return self.folder / f"{cell.slug()}.{_AXES[kind]}.npz"


def _write(path: Path, arrays: dict[str, Any], facts: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    told = json.dumps({**facts, "arrays": sorted(arrays)})  # a damaged file may have lost one and still open
    np.savez(buffer, allow_pickle=False, facts=np.array(told), **arrays)
    write_atomically(path, buffer.getvalue())


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:  # np.load(path) leaks a bad file
            arrays = {name: stored[name] for name in stored.files}
        facts: dict[str, Any] = json.loads(str(arrays.pop("facts")))
        version, listed = facts["version"], facts.pop("arrays", sorted(arrays))
        if sorted(arrays) != listed:
            raise ValueError(f"it holds {sorted(arrays)}, not {listed}")
    except Exception as error:  # a damaged zip raises a dozen types
        raise StoreError(
            f"{path}: not a readable measurement ({error})", next_step="delete it; it is measured again"
        ) from error
    if version != FORMAT_VERSION:
        raise StoreError(
            f"{path}: format version {version}, this edgegate reads {FORMAT_VERSION}",
            next_step="read it with the edgegate that wrote it, or measure again",
        )
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
    plain["conditions"] = Conditions(**plain["conditions"])
    if plain.get("delegation"):
        plain["delegation"] = Delegation(**plain["delegation"])
    return kind(**arrays, **plain)
