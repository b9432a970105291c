"""``run.json``: what a run set out to measure, and whether it came to its end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from edgeworthy.cells import CellId, CellSelector
from edgeworthy.errors import StoreError
from edgeworthy.storage import readable, write_json, writing

FORMAT_VERSION = 2
COMPLETE, UNFINISHED = "complete", "unfinished"
_CELLS, _STATUS, _EMULATED = TypeAdapter(list[CellId]), TypeAdapter(str), TypeAdapter(dict[str, str])


@dataclass(frozen=True)
class Scope(CellSelector):
    """Which part of the project a run speaks of.

    ``left_out`` are configured cells within its globs that pytest's own selection (``-k``, a path) took away.
    """

    left_out: Sequence[CellId] = ()

    @classmethod
    def within(cls, selection: CellSelector, left_out: Sequence[CellId] = ()) -> Scope:
        """The selected cells without those."""
        return cls(selection.models, selection.variants, selection.targets, left_out)

    @property
    def whole(self) -> bool:
        """Whether the run speaks of the whole project."""
        return not (self.models or self.variants or self.targets or self.left_out)

    def selects(self, cell: CellId) -> bool:
        """Whether the run was meant to cover the cell."""
        return super().selects(cell) and cell not in self.left_out


_SCOPE = TypeAdapter(Scope)


@dataclass(frozen=True)
class RunFile:
    """A run's planned cells, its scope and its status; ``emulated`` names the emulator of each target that is no device."""

    folder: Path
    cells: list[CellId]
    scope: Scope
    status: str
    emulated: Mapping[str, str] = field(default_factory=dict)

    def write(self) -> None:
        """Write ``run.json``, atomically; the folder is made where it is not there."""
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        scope = self.scope
        stored = {
            "version": FORMAT_VERSION,
            "status": self.status,
            "cells": [list(cell) for cell in self.cells],
            "emulated": dict(self.emulated),
            "scope": {
                "models": list(scope.models),
                "variants": list(scope.variants),
                "targets": list(scope.targets),
                "left_out": [list(cell) for cell in scope.left_out],
            },
        }
        write_json(self.folder / "run.json", stored)

    @classmethod
    def read(cls, folder: Path) -> RunFile:
        """Read ``run.json``. Raises StoreError where there is none, or none that this edgeworthy reads."""
        path = folder / "run.json"
        with readable(path, "not a readable run", "measure the run again"):
            if not path.is_file():
                raise StoreError(f"{folder}: there is no run", hint="give a folder below results/")
            return cls._parsed(folder, json.loads(path.read_bytes()))

    @classmethod
    def _parsed(cls, folder: Path, facts: Any) -> RunFile:
        version = facts.get("version") if isinstance(facts, dict) else None
        if version != FORMAT_VERSION:
            raise StoreError(
                f"{folder}: run format {version}, this edgeworthy reads {FORMAT_VERSION}",
                hint="read it with the edgeworthy that wrote it",
            )
        cells, status = _CELLS.validate_python(facts["cells"]), _STATUS.validate_python(facts["status"])
        emulated = _EMULATED.validate_python(facts.get("emulated", {}))
        return cls(folder, cells, _SCOPE.validate_python(facts["scope"]), status, emulated)
