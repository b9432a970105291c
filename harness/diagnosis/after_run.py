"""Cells that failed on accuracy in a run are diagnosed at its end, once; whatever goes wrong, the run is none the worse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from harness.diagnosis.diagnose import Diagnostician, with_float
from harness.diagnosis.findings import label
from harness.diagnosis.records import Diagnosis
from harness.diagnosis.report import markdown
from harness.errors import EdgegateError
from harness.measurements.bench import Bench
from harness.measurements.project import Project
from harness.records import CellId, Verdict
from harness.storage import Store, write_atomically, writing
from harness.verdicts.accuracy import AXIS


def failed_on_accuracy(verdicts: Sequence[Verdict]) -> list[CellId]:
    """The first cell of every variant that failed on accuracy: on another target its artifact is the same."""
    failed = [verdict.cell for verdict in verdicts if verdict.axis == AXIS and verdict.outcome == "fail"]
    return list({(cell.model, cell.variant): cell for cell in reversed(failed)}.values())[::-1]


def diagnose_cells(
    project: Project, store: Store, run_folder: Path, cells: Sequence[CellId], progress: Callable[[str], None]
) -> list[str]:
    """Diagnose cells of a run into ``diagnosis/`` of its folder; a line for each."""
    return [_line(project, store, run_folder, cell, progress) for cell in cells]


def _line(project: Project, store: Store, run_folder: Path, cell: CellId, progress: Callable[[str], None]) -> str:
    try:
        found = _diagnosed(project, store, run_folder, cell, progress)
        path = _written(run_folder / "diagnosis", cell, found)
    except EdgegateError as error:
        return f"{cell} could not be diagnosed: {error.message}"
    return f"{cell}: {found.findings[0].sentence}; {_proposed(found)}see {path}"


def _diagnosed(
    project: Project, store: Store, run_folder: Path, cell: CellId, progress: Callable[[str], None]
) -> Diagnosis:
    wider, floats = with_float(project, cell)
    bench = Bench(wider, store, run_folder, [cell, floats], progress)
    try:
        return Diagnostician(bench).diagnose(cell, floats, timed=False)
    finally:
        bench.close()


def _proposed(found: Diagnosis) -> str:
    if found.proposal is None:
        return ""
    parts = [part for value in found.proposal.options.values() for part in value]
    return f"proposed: {found.proposal.recipe} with {', '.join(map(label, parts[:3]))}{' ...' * (len(parts) > 3)} in float; "


def _written(folder: Path, cell: CellId, found: Diagnosis) -> Path:
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / f"{cell.slug()}.json", found.model_dump_json(indent=1).encode())
    path = folder / f"{cell.slug()}.md"
    write_atomically(path, markdown(found).encode())
    return path
