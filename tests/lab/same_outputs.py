"""What a device answered in a run, sample by sample, beside what this machine answers to the same artifact."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from edgeworthy.cells import CellId
from edgeworthy.measurements.bench import Bench
from edgeworthy.measurements.project import Project
from edgeworthy.records import Outputs
from edgeworthy.runs.journal import Journal
from edgeworthy.storage import open_store

#: Of a float output: another build of the same kernels may order its sums otherwise.
CLOSE = 1e-5


@dataclass(frozen=True)
class Compared:
    """One cell's answers beside the host's: how many samples are answered otherwise, and by how much at most."""

    cell: CellId
    samples: int
    other_answers: int
    largest_difference: float

    @property
    def same(self) -> bool:
        """Whether every sample has the host's answer, and outputs that are its own but for rounding."""
        return self.other_answers == 0 and self.largest_difference <= CLOSE


def compare(run_folder: Path, project: Project, device: str, scratch: Path) -> list[Compared]:
    """Every cell of ``device`` in a run, its canaries apart, beside this machine's backend of the same name.

    What this machine answers is measured now, into ``scratch``.
    """
    measured = Journal(run_folder)
    cells = [cell for cell in measured.cells() if cell.target.startswith(f"{device}:") and cell.variant != "canary"]
    on_host = {cell: cell._replace(target=cell.target.replace(device, "host", 1)) for cell in cells}
    store = open_store(Path(".edgeworthy").absolute())
    with contextlib.closing(
        Bench(project, store, Journal(scratch), list(on_host.values()), lambda text: None)
    ) as bench:
        return [_compared(cell, measured, bench.outputs(on_host[cell]).values) for cell in cells]


def _compared(cell: CellId, measured: Journal, here: np.ndarray) -> Compared:
    found = measured.find(Outputs, cell)
    assert found is not None, f"{cell} has no outputs"
    other = int((found.values.argmax(axis=1) != here.argmax(axis=1)).sum())
    return Compared(cell, len(here), other, float(np.abs(found.values - here).max()))
