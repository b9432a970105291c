"""The reports in a run's folder."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgeworthy.reports.environment import environment
from edgeworthy.reports.frames import write_frames
from edgeworthy.reports.rows import cell_rows
from edgeworthy.reports.summary import markdown
from edgeworthy.runs.run import Run
from edgeworthy.storage import write_atomically, write_json


def rows_of(run: Run) -> list[dict[str, Any]]:
    """The run's cells, judged or not, the worst first. Raises StoreError."""
    return cell_rows(run.cells, run.verdicts(), run.journal, run.emulated)


def finish(run: Run, root: Path, complete: bool, notes: Sequence[str]) -> list[dict[str, Any]]:
    """Write the reports of a run that ended, or was stopped, with ``notes`` below the table; returns the run's rows."""
    folder, rows, datasets = run.folder, rows_of(run), run.journal.datasets()
    write_json(folder / "environment.json", {**environment(root), "datasets": datasets})
    notes = [*notes, *(f"dataset {name}: {description}" for name, description in datasets.items())]
    write_frames(folder, rows, run.journal)
    write_atomically(folder / "summary.md", markdown(rows, f"edgeworthy run {folder.name}", notes).encode())
    run.end(complete)
    _point_latest(folder)
    return rows


def _point_latest(folder: Path) -> None:
    """``results/latest`` leads to the newest run, where the file system has links."""
    link = folder.parent / "latest"
    temporary = folder.parent / f".latest.{uuid.uuid4().hex}"
    with contextlib.suppress(OSError):
        temporary.symlink_to(folder.name)
        temporary.replace(link)
