"""``edgegate tune``: search for the variant to ship."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from harness.cli.diagnose import chosen_cell, say
from harness.errors import ConfigError
from harness.measurements.project import Project
from harness.storage import open_store
from harness.tuning.choice import recommended
from harness.tuning.report import terminal
from harness.tuning.search import Clock, Search


def tune(
    model: Annotated[str, typer.Argument(help="a model of models.yaml")],
    target: Annotated[str, typer.Option(help="device:backend of devices.yaml; default: the first that runs it")] = "",
    minutes: Annotated[float, typer.Option(min=0.1, help="how long to search")] = 5.0,
    models: Annotated[Path, typer.Option("--models", help="path of models.yaml")] = Path("benchmarks/models.yaml"),
    devices: Annotated[Path, typer.Option("--devices", help="path of devices.yaml")] = Path("devices.yaml"),
) -> None:
    """Try recipes and mixed variants, cheapest first, and recommend one; exit status 1 where none keeps the budgets."""
    clock = Clock(minutes * 60, say)
    project = Project.load(models, devices)
    cell = chosen_cell(project, model, None, target)
    search = Search(project, open_store(Path(".edgegate")), model, cell.target, clock)
    search.run()
    if search.over:
        left = ", ".join(one.name for one in search.untried) or "mixed variants"
        say(f"the time is over: not tried were {left}, and what comes after")
    if not search.tried:
        raise ConfigError(
            f"--minutes {minutes:g}: the time was over before the reference of {model!r} was made",
            next_step="give more minutes; what a suite or a search has made is taken from the store",
        )
    print(terminal(search.tried, model, cell.target, color=Console().is_terminal), end="")
    if recommended(search.tried) is None:
        raise typer.Exit(1)
