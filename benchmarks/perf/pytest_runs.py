"""``pytest benchmarks/`` in processes of its own, as a user starts it."""

import functools
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from edgeworthy.records import Outputs, Timing
from edgeworthy.runs.journal import Journal
from sides import ROOT

#: Of pytest's exit codes: all passed, or some failed. What the cells are worth is not asked here.
RAN = (0, 1)


def pytest(*arguments, **environment):
    """Seconds that ``pytest benchmarks/`` took, and what it printed."""
    inherited = {**os.environ, **environment}
    inherited.pop("PYTHONDONTWRITEBYTECODE", None)  # with it, nothing is ever warm: every start compiles every module
    command = [sys.executable, "-m", "pytest", "benchmarks/", "-q", *arguments]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env=inherited, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode not in RAN:
        raise SystemExit(
            f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-1000:]}"
        )
    return seconds, done.stdout


@dataclass(frozen=True)
class WarmRun:
    """Seconds outside of measuring windows and inside, cells, the modules that it had imported, and bytes of its page."""

    outside_s: float
    inside_s: float
    cells: int
    modules: frozenset[str]
    report_bytes: int


@functools.cache
def warm_run(selected, models_yaml):
    """What is known of a warm run.

    The first run warms the store, and of both the one with the least outside counts: the other one waited for a
    conversion, or for a device that another run held.
    """
    return min((_run(selected, models_yaml) for _ in range(2)), key=lambda found: found.outside_s)


def _run(selected, models_yaml):
    with tempfile.TemporaryDirectory() as name:
        folder, modules = Path(name) / "results", Path(name) / "modules"
        wall_s, printed = pytest(
            *(f"--edge-model={glob}" for glob in selected), "-o", f"edge_models={models_yaml}",
            "-o", f"edge_results={folder}", "-p", "imported_modules",
            PYTHONPATH=str(Path(__file__).parent), PERF_MODULES=str(modules),
        )  # fmt: skip
        journal = Journal((folder / "latest").resolve())
        cells = journal.cells()
        if not cells:
            raise SystemExit(f"pytest benchmarks/ measured no cell:\n{printed[-3000:]}")
        kept = (journal.find(kind, cell) for cell in cells for kind in (Outputs, Timing))
        inside_s = sum(measurement.window_seconds for measurement in kept if measurement)
        report = (folder / "latest" / "report.html").stat().st_size
        return WarmRun(wall_s - inside_s, inside_s, len(cells), frozenset(modules.read_text().split()), report)
