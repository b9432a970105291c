"""``edgeworthy compare``: two runs, or a run and a baseline, side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from edgeworthy.cli.options import DevicesOption, FolderOption, ModelsOption, ResultsOption
from edgeworthy.config import Tolerances
from edgeworthy.measurements.project import Project
from edgeworthy.reports.compare.comparison import compare_sides, unseen
from edgeworthy.reports.compare.page import page_of
from edgeworthy.reports.compare.sides import one_side
from edgeworthy.reports.compare.terminal import terminal
from edgeworthy.reports.html.shown.samples import Samples
from edgeworthy.session.report_page import samples_of
from edgeworthy.session.settings import Settings
from edgeworthy.storage import write_atomically
from edgeworthy.text import one_line


def compare(
    a: Annotated[str, typer.Argument(help="a run's folder, a folder of baselines, or a git revision that has some")],
    b: Annotated[str, typer.Argument(help="likewise; the newer one")],
    folder: FolderOption,
    models: ModelsOption,
    devices: DevicesOption,
    results: ResultsOption,
    html: Annotated[Path | None, typer.Option(help="write it as a page, one file for a browser")] = None,
) -> None:
    """Show what changed from A to B: verdicts first, then metrics, both distributions, and the samples that flipped."""
    before, after = one_side(a, folder), one_side(b, folder)
    project = Project.load(models, devices) if models.is_file() else None
    tolerances = project.models.regression if project else Tolerances()
    newest = after.run or before.run
    samples: Callable[[str], Samples | str] = unseen
    if html is not None and project and newest:
        samples = samples_of(newest, project, Settings.from_ini(models, devices, results))
    found = compare_sides(before, after, tolerances, samples)
    print(terminal(found, Console().is_terminal), end="")
    if html is not None:
        write_atomically(html, page_of(found).encode())
        print(f"wrote {one_line(str(html))}")
