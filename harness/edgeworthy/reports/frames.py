"""A run as pandas DataFrames, written to and read from its folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeworthy.cells import CellId
from edgeworthy.records import Timing
from edgeworthy.reports.rows import COLUMNS
from edgeworthy.runs.journal import Journal
from edgeworthy.storage import read_json, readable, write_atomically

if TYPE_CHECKING:
    import pandas as pd

#: Every column of samples.parquet.
SAMPLE_COLUMNS = {
    "model": "name in models.yaml",
    "variant": "name in models.yaml",
    "target": "device:backend of devices.yaml",
    "load": "which reload, from 0",
    "sample": "which latency sample of the cell, from 0",
    "duration_ns": "time of one inference on the device's monotonic clock, in nanoseconds; see statistic",
    "statistic": "what the sample is: inference, or the median or mean of the load's inferences",
}


@dataclass(frozen=True)
class RunFrames:
    """A run read back: ``cells`` has the columns of reports.rows.COLUMNS, ``samples`` those of SAMPLE_COLUMNS."""

    folder: Path
    cells: pd.DataFrame
    samples: pd.DataFrame
    environment: dict[str, Any]


def load_run(folder: Path | str) -> RunFrames:
    """Read a run's folder. Raises StoreError where it holds no finished report."""
    import pandas as pd

    folder = Path(folder)
    with readable(folder, "not a readable run", "give a folder below results/ that a run has finished"):
        cells = pd.read_parquet(folder / "cells.parquet")
        samples = pd.read_parquet(folder / "samples.parquet")
    return RunFrames(folder, cells, samples, read_json(folder / "environment.json"))


def write_frames(folder: Path, rows: Sequence[dict[str, Any]], journal: Journal) -> None:
    """Write cells.csv, cells.parquet and samples.parquet."""
    import pandas as pd

    cells = pd.DataFrame(list(rows), columns=list(COLUMNS))
    for column in cells.columns[cells.isna().all()]:  # parquet needs a type where nothing was measured
        cells[column] = cells[column].astype("float64")
    write_atomically(folder / "cells.csv", cells.to_csv(index=False).encode())
    write_atomically(folder / "cells.parquet", cells.to_parquet(index=False))
    write_atomically(folder / "samples.parquet", _samples(journal).to_parquet(index=False))


def _samples(journal: Journal) -> pd.DataFrame:
    import pandas as pd

    frames = [_cell_samples(cell, timing) for cell in journal.cells() if (timing := journal.find(Timing, cell))]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(SAMPLE_COLUMNS))


def _cell_samples(cell: CellId, timing: Timing) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            "model": cell.model,
            "variant": cell.variant,
            "target": cell.target,
            "load": timing.load_of,
            "sample": range(len(timing.samples_ns)),
            "duration_ns": timing.samples_ns,
            "statistic": timing.statistic,
        },
        columns=list(SAMPLE_COLUMNS),
    )
