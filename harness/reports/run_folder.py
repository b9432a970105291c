"""Folders below ``results/``: one per run, named by when it began."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.errors import StoreError
from harness.measurements.journal import Journal
from harness.records import CellId
from harness.reports.environment import environment
from harness.reports.frames import write_frames
from harness.reports.rows import cell_rows
from harness.reports.summary import markdown
from harness.storage import read_json, write_atomically, write_json, writing
from harness.verdicts.log import VerdictLog

FORMAT_VERSION = 1
COMPLETE, UNFINISHED = "complete", "unfinished"


def new_name() -> str:
    """A name that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:4]}"


def begin(folder: Path, planned: Sequence[CellId]) -> None:
    """Make the folder and note what is planned, so that an interrupted run says what it lacks."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_json(
        folder / "run.json",
        {"version": FORMAT_VERSION, "status": UNFINISHED, "cells": [list(cell) for cell in planned]},
    )


def unfinished(results: Path) -> Path | None:
    """The newest run below ``results`` that did not come to its end."""
    for file in sorted(results.glob("*/run.json"), reverse=True):
        with contextlib.suppress(StoreError):
            if not file.parent.is_symlink() and read_json(file)["status"] != COMPLETE:
                return file.parent
    return None


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """The run's cells, judged or not, the worst first. Raises StoreError."""
    planned = [CellId(*cell) for cell in _read(folder)["cells"]]
    return cell_rows(planned, VerdictLog(folder).read(), Journal(folder))


def finish(folder: Path, root: Path, complete: bool) -> list[dict[str, Any]]:
    """Write the reports of a run that ended, or was stopped, and return its rows."""
    rows = rows_of(folder)
    write_json(folder / "environment.json", environment(root))
    write_frames(folder, rows, Journal(folder))
    write_atomically(folder / "summary.md", markdown(rows, f"edgegate run {folder.name}").encode())
    write_json(folder / "run.json", {**_read(folder), "status": COMPLETE if complete else UNFINISHED})
    _point_latest(folder)
    return rows


def _read(folder: Path) -> dict[str, Any]:
    if not (folder / "run.json").is_file():
        raise StoreError(f"{folder}: there is no run", next_step="give a folder below results/")
    facts: dict[str, Any] = read_json(folder / "run.json")
    if facts["version"] != FORMAT_VERSION:
        raise StoreError(
            f"{folder}: run format {facts['version']}, this edgegate reads {FORMAT_VERSION}",
            next_step="read it with the edgegate that wrote it",
        )
    return facts


def _point_latest(folder: Path) -> None:
    """``results/latest`` leads to the newest run, where the file system has links."""
    link = folder.parent / "latest"
    temporary = folder.parent / f".latest.{uuid.uuid4().hex}"
    with contextlib.suppress(OSError):
        temporary.symlink_to(folder.name)
        temporary.replace(link)
