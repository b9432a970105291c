"""What the history keeps of a run, read from its folder."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgeworthy.cells import CellId
from edgeworthy.errors import SourceError
from edgeworthy.metrics import METRICS
from edgeworthy.records import Outputs, Timing
from edgeworthy.reports.run_folder import rows_of
from edgeworthy.runs.journal import Journal
from edgeworthy.runs.run import Run
from edgeworthy.storage import digest, read_json
from edgeworthy.truth import Truth
from edgeworthy.verdicts.scoring import identity
from edgeworthy.verdicts.snapshots import checksum


@dataclass(frozen=True)
class CellEntry:
    """One cell: its finite metrics, a digest of its device's ``fingerprint``, and one of what it was ``compared_by``.

    ``compared_by`` stands for the evaluation samples as preprocessed, their targets, and the metric with its text.
    """

    cell: CellId
    status: str
    fingerprint: str | None
    metrics: dict[str, float]
    compared_by: str | None = None


@dataclass(frozen=True)
class RunEntry:
    """One run, keyed by its name. Of a run that was killed, ``revision`` and what follows are not known."""

    name: str
    began_utc: str
    status: str
    revision: str | None
    modified: bool | None
    edgeworthy: str | None
    host: str | None
    cells: tuple[CellEntry, ...]


def read_entry(folder: Path) -> RunEntry:
    """Read a run, finished or not. Raises StoreError."""
    folder = folder.resolve()  # results/latest is a link, and a run has one name
    run = Run.open(folder)
    rows, journal = rows_of(run), run.journal
    path = folder / "environment.json"
    environment: dict[str, Any] = read_json(path) if path.is_file() else {}
    hardware = environment.get("hardware", {})
    models = sorted({row["model"] for row in rows})
    judged_by = {model: compared_by(journal.truth(model)) for model in models}
    return RunEntry(
        name=folder.name,
        began_utc=_began(folder),
        status=run.status,
        revision=environment.get("git_revision"),
        modified=environment.get("git_modified"),
        edgeworthy=environment.get("versions", {}).get("edgeworthy"),
        host=", ".join(f"{name} {hardware[name]}" for name in sorted(hardware)) or None,
        cells=tuple(_cell(row, journal, judged_by[row["model"]]) for row in rows),
    )


def _began(folder: Path) -> str:
    """When the run began, in UTC: its name says it; of a folder that somebody renamed, what was written first."""
    stamp = re.match(r"\d{8}-\d{6}", folder.name)
    if stamp:
        began = datetime.strptime(stamp[0], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    else:
        began = datetime.fromtimestamp(min(path.stat().st_mtime for path in folder.iterdir()), UTC)
    return began.isoformat(timespec="seconds")


def _cell(row: dict[str, Any], journal: Journal, judged_by: str | None) -> CellEntry:
    cell = CellId(row["model"], row["variant"], row["target"])
    measured = journal.find(Timing, cell) or journal.find(Outputs, cell)
    metrics = {name: float(row[name]) for name in METRICS if row[name] is not None and math.isfinite(row[name])}
    fingerprint = digest(measured.conditions.fingerprint)[:16] if measured else None
    return CellEntry(cell, row["status"], fingerprint, metrics, judged_by)


def compared_by(truth: Truth | None) -> str | None:
    """A digest of what outputs were judged by, None where they were not."""
    if truth is None:
        return None
    try:
        metric = identity(truth)
    except SourceError:
        metric = f"{truth.metric} (its file is not there)"
    return digest([truth.dataset, checksum(truth.labels), metric])[:16]
