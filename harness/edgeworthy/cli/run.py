"""``edgeworthy run``: measure and judge the project's cells, as a suite with all axes does by pytest."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from edgeworthy.cells import CellSelector
from edgeworthy.cli.diagnose import say
from edgeworthy.cli.options import (
    BudgetOptions,
    DevicesOption,
    ModelGlobs,
    ModelsOption,
    ResultsOption,
    TargetGlobs,
    VariantGlobs,
    limits_of,
)
from edgeworthy.runs.run import unfinished
from edgeworthy.session.running import Asked, run_cells
from edgeworthy.session.settings import Settings
from edgeworthy.text import one_line

#: As shells call what ctrl-C ended.
INTERRUPTED = 130


def run(
    models: ModelsOption,
    devices: DevicesOption,
    results: ResultsOption,
    model: ModelGlobs = None,
    variant: VariantGlobs = None,
    target: TargetGlobs = None,
    budget: BudgetOptions = None,
    baseline: Annotated[
        Path | None, typer.Option(help="compare every cell with the accepted baselines in this folder")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="resume the newest unfinished run")] = False,
) -> None:
    """Measure and judge all cells without pytest; exit status 1 where one may not ship."""
    asked = Asked(
        CellSelector(model or (), variant or (), target or ()),
        limits_of(budget),
        baseline,
        unfinished(results) if resume else None,
    )
    measured, ended = run_cells(Settings.from_ini(models, devices, results), asked, say)
    print(ended.table(Console().is_terminal, shutil.get_terminal_size().columns), end="")
    if ended.rows:
        print(f"reports: {one_line(str(measured.folder))}")
    for sentence in (*ended.notes, *ended.warnings, *ended.troubles):
        print(f"edgeworthy: {sentence}")
    if ended.stopped:
        print(f"edgeworthy: interrupted; edgeworthy run --resume continues {one_line(measured.name)}")
        raise typer.Exit(INTERRUPTED)
    raise typer.Exit(int(ended.red))
