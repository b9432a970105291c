"""A site of a year of nights: how long ``edgeworthy site`` takes to write it, and to bring it up to date after one run more."""

import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from edgeworthy.cells import CellId
from edgeworthy.history.database import History
from edgeworthy.history.entry import CellEntry, RunEntry
from edgeworthy.history.location import Location
from finding import Finding

RUNS, CELLS = 365, 60
REPORT_BYTES = 1_000_000
MOST_WHOLE_S, MOST_MORE_S = 60.0, 3.0
EDGEWORTHY = str(Path(sys.executable).with_name("edgeworthy"))


def measure():
    """With the command's own start; one cell in ten gets slower half way."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        history, random = History(Location.parse(str(root / "history.sqlite"))), np.random.default_rng(0)
        for run in range(RUNS):
            _record(root, history, run, random)
        whole = _seconds(root)
        yield Finding("site of a year", whole, "s", f"{RUNS} runs of {CELLS} cells", most=MOST_WHOLE_S)
        _record(root, history, RUNS, random)
        yield Finding("site, one run more", _seconds(root), "s", "every cell's trends judged again", most=MOST_MORE_S)


def _record(root, history, run, random):
    """A run in the history, with a report among the results."""
    began = datetime(2025, 1, 1, 2, tzinfo=UTC) + timedelta(days=run)
    name = began.strftime("%Y%m%d-%H%M%S-0000")
    cells = [_cell(index, run, random) for index in range(CELLS)]
    revision = f"{run:040x}"
    history.record(RunEntry(name, began.isoformat(), "complete", revision, False, "0.1.0", "a host", tuple(cells)))
    folder = root / "results" / name
    folder.mkdir(parents=True)
    (folder / "report.html").write_bytes(bytes(REPORT_BYTES))


def _cell(index, run, random):
    slower = 1.2 if index % 10 == 7 and run > RUNS // 2 else 1.0
    metrics = {
        "p50_ms": (1 + index) * slower * random.normal(1, 0.02),
        "drop_points": random.normal(0.3, 0.05),
        "size_kb": 100.0 + index,
    }
    cell = CellId(f"model{index // 10}", f"variant{index % 10}", "host:cpu")
    return CellEntry(cell, "pass", "0123456789abcdef", metrics, "0123456789abcdef")


def _seconds(root):
    began = time.perf_counter()
    command = [EDGEWORTHY, "site", "site", "--history", "history.sqlite", "--results", "results"]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    return time.perf_counter() - began
