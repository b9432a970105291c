"""Diagnose cells that failed on accuracy once, at the end of a run; an error here never fails the run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from edgeworthy.cells import CellId
from edgeworthy.diagnosis.accelerator import on_accelerator
from edgeworthy.diagnosis.diagnose import Diagnostician, with_float
from edgeworthy.diagnosis.findings import label
from edgeworthy.diagnosis.records import Diagnosis
from edgeworthy.diagnosis.report import markdown
from edgeworthy.errors import EdgeworthyError
from edgeworthy.measurements.bench import Bench
from edgeworthy.measurements.project import Project
from edgeworthy.records import Verdict
from edgeworthy.runs.journal import Journal
from edgeworthy.storage import Store, readable, write_atomically, writing
from edgeworthy.text import first_of
from edgeworthy.verdicts.accuracy import AXIS
from edgeworthy.verdicts.hints import quantizes


def failed_on_accuracy(verdicts: Sequence[Verdict]) -> list[CellId]:
    """The first cell of every variant that failed on accuracy: on another target its artifact is the same."""
    failed = [verdict.cell for verdict in verdicts if verdict.axis == AXIS and verdict.status == "fail"]
    return list({(cell.model, cell.variant): cell for cell in reversed(failed)}.values())[::-1]


def stored_diagnosis(run_folder: Path, model: str, variant: str) -> Diagnosis | None:
    """The diagnosis of a variant in a run's folder; None where it has none. Raises StoreError."""
    for path in sorted((run_folder / "diagnosis").glob(f"{model}+{variant}+*.json")):
        with readable(path, "not a diagnosis that this edgeworthy reads", "edgeworthy diagnose --node-data makes one"):
            return Diagnosis.model_validate_json(path.read_bytes())
    return None


def diagnosable(project: Project, cell: CellId) -> bool:
    """Whether an accelerator, or quantization, can be why the cell failed: this not of a reference, nor of a float variant."""
    if project.accelerates(cell):
        return True
    is_reference = cell.variant == project.models.models[cell.model].reference
    return not is_reference and quantizes(project.plan(cell.model, cell.variant).recipe)


def diagnose_cells(
    project: Project, store: Store, run_folder: Path, cells: Sequence[CellId], progress: Callable[[str], None]
) -> list[str]:
    """Diagnose the diagnosable ones of a run's cells into ``diagnosis/`` of its folder; a line for each."""
    return [_line(project, store, run_folder, cell, progress) for cell in cells if diagnosable(project, cell)]


def _line(project: Project, store: Store, run_folder: Path, cell: CellId, progress: Callable[[str], None]) -> str:
    try:
        if project.accelerates(cell):
            return _accelerator_line(project, store, run_folder, cell, progress)
        found = _diagnosed(project, store, run_folder, cell, progress)
        path = _written(run_folder / "diagnosis", cell, found)
    except EdgeworthyError as error:
        return f"{cell} could not be diagnosed: {error.message}"
    return f"{cell}: {found.findings[0].message}; {_proposed(found)}see {path}"


def _accelerator_line(
    project: Project, store: Store, run_folder: Path, cell: CellId, progress: Callable[[str], None]
) -> str:
    """Which op goes wrong on the accelerator: the layers of the file alone would not say it."""
    bench = Bench(project, store, Journal(run_folder), [cell], progress)
    with contextlib.closing(bench):
        found = on_accelerator(bench, cell)
    folder = run_folder / "diagnosis"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{cell.slug()}.accelerator.json"
    write_atomically(path, found.model_dump_json(indent=1).encode())
    return f"{cell}: {found.finding.message}; see {path}"


def _diagnosed(
    project: Project, store: Store, run_folder: Path, cell: CellId, progress: Callable[[str], None]
) -> Diagnosis:
    wider, floats = with_float(project, cell)
    bench = Bench(wider, store, Journal(run_folder), [cell, floats], progress)
    try:
        return Diagnostician(bench).diagnose(cell, floats, timed=False)
    finally:
        bench.close()


def _proposed(found: Diagnosis) -> str:
    if found.proposal is None:
        return ""
    parts = [part for value in found.proposal.options.values() for part in value]
    return f"proposed: {found.proposal.recipe} with {first_of([label(part) for part in parts], 3)} in float; "


def _written(folder: Path, cell: CellId, found: Diagnosis) -> Path:
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / f"{cell.slug()}.json", found.model_dump_json(indent=1).encode())
    path = folder / f"{cell.slug()}.md"
    write_atomically(path, markdown(found).encode())
    return path
