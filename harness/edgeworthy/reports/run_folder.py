"""Folders below ``results/``: one per run, named by when it began."""

from __future__ import annotations

import contextlib
import dataclasses
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgeworthy.cells import CellId
from edgeworthy.errors import StoreError
from edgeworthy.measurements.journal import Journal
from edgeworthy.measurements.run_file import COMPLETE, UNFINISHED, RunFile, Scope
from edgeworthy.reports.environment import environment
from edgeworthy.reports.frames import write_frames
from edgeworthy.reports.rows import cell_rows
from edgeworthy.reports.summary import markdown
from edgeworthy.storage import write_atomically, write_json
from edgeworthy.verdicts.log import VerdictLog


def begin(folder: Path, planned: Sequence[CellId], scope: Scope) -> None:
    """Make the folder and note what is planned, so that an interrupted run says what it lacks."""
    RunFile(folder, list(planned), scope, UNFINISHED).write()


def unfinished(results: Path) -> Path | None:
    """The newest unfinished run below ``results``."""
    for file in sorted(results.glob("*/run.json"), reverse=True):
        with contextlib.suppress(StoreError):
            if not file.parent.is_symlink() and not RunFile.read(file.parent).complete:
                return file.parent
    return None


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """The run's cells, judged or not, the worst first. Raises StoreError."""
    return cell_rows(RunFile.read(folder).cells, VerdictLog(folder).read(), Journal(folder))


def finish(folder: Path, root: Path, complete: bool, notes: Sequence[str]) -> list[dict[str, Any]]:
    """Write the reports of a run that ended, or was stopped, with ``notes`` below the table; returns the run's rows."""
    rows = rows_of(folder)
    datasets = Journal(folder).datasets()
    write_json(folder / "environment.json", {**environment(root), "datasets": datasets})
    notes = [*notes, *(f"dataset {name}: {description}" for name, description in datasets.items())]
    write_frames(folder, rows, Journal(folder))
    write_atomically(folder / "summary.md", markdown(rows, f"edgeworthy run {folder.name}", notes).encode())
    dataclasses.replace(RunFile.read(folder), status=COMPLETE if complete else UNFINISHED).write()
    _point_latest(folder)
    return rows


def _point_latest(folder: Path) -> None:
    """``results/latest`` leads to the newest run, where the file system has links."""
    link = folder.parent / "latest"
    temporary = folder.parent / f".latest.{uuid.uuid4().hex}"
    with contextlib.suppress(OSError):
        temporary.symlink_to(folder.name)
        temporary.replace(link)
