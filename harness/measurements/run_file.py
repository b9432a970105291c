"""``run.json``: what a run set out to measure, and whether it came to its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import StoreError
from harness.records import CellId
from harness.storage import read_json, write_json, writing

FORMAT_VERSION = 2
COMPLETE, UNFINISHED = "complete", "unfinished"


@dataclass(frozen=True)
class Scope:
    """Which part of the project a run speaks of: globs over models, variants and targets (none: all of them).

    ``left_out`` are configured cells within these globs that pytest's own selection (``-k``, a path) took away.
    """

    models: Sequence[str] = ()
    variants: Sequence[str] = ()
    targets: Sequence[str] = ()
    left_out: Sequence[CellId] = field(default=())


@dataclass(frozen=True)
class RunFile:
    """A run's planned cells, its scope and its status."""

    folder: Path
    cells: list[CellId]
    scope: Scope
    status: str

    @property
    def complete(self) -> bool:
        """Whether the run came to its end."""
        return self.status == COMPLETE

    def write(self) -> None:
        """Write ``run.json``, atomically; the folder is made where it is not there."""
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        scope = self.scope
        stored = {
            "version": FORMAT_VERSION,
            "status": self.status,
            "cells": [list(cell) for cell in self.cells],
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
        """Read ``run.json``. Raises StoreError where there is none, or none that this edgegate reads."""
        path = folder / "run.json"
        if not path.is_file():
            raise StoreError(f"{folder}: there is no run", next_step="give a folder below results/")
        facts = read_json(path)
        version = facts.get("version") if isinstance(facts, dict) else None
        if version != FORMAT_VERSION:
            raise StoreError(
                f"{folder}: run format {version}, this edgegate reads {FORMAT_VERSION}",
                next_step="read it with the edgegate that wrote it",
            )
        try:
            return cls(folder, _cells(facts["cells"]), _scope(facts["scope"]), str(facts["status"]))
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"{path}: not a readable run ({type(error).__name__}: {error})", next_step="measure the run again"
            ) from error


def _scope(stored: dict[str, Any]) -> Scope:
    models, variants, targets = (tuple(map(str, stored[key])) for key in ("models", "variants", "targets"))
    return Scope(models, variants, targets, tuple(_cells(stored["left_out"])))


def _cells(stored: list[list[str]]) -> list[CellId]:
    return [CellId(*cell) for cell in stored]
