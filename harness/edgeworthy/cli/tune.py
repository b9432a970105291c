"""``edgeworthy tune``: search for the variant to ship."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from edgeworthy.cli.diagnose import chosen_cell, say
from edgeworthy.cli.options import DevicesOption, ModelsOption
from edgeworthy.errors import ConfigError
from edgeworthy.measurements.project import Project
from edgeworthy.pytest_ini import ini_path
from edgeworthy.storage import open_store
from edgeworthy.tuning.choice import recommended
from edgeworthy.tuning.report import as_json, terminal
from edgeworthy.tuning.search import Clock, Search


def tune(
    model: Annotated[str, typer.Argument(help="a model of models.yaml")],
    models: ModelsOption,
    devices: DevicesOption,
    target: Annotated[str, typer.Option(help="device:backend of devices.yaml; default: the first that runs it")] = "",
    minutes: Annotated[float, typer.Option(min=0.1, help="how long to search")] = 5.0,
    json: Annotated[bool, typer.Option("--json", help="print every candidate with its numbers as JSON")] = False,
) -> None:
    """Try recipes and mixed variants, cheapest first, and recommend one; exit status 1 if none keeps the budgets."""
    clock = Clock(minutes * 60, say)
    project = Project.load(models, devices)
    cell = chosen_cell(project, model, None, target)
    search = Search(project, open_store(ini_path("edge_store")), model, cell.target, clock)
    search.run()
    if search.over:
        left = ", ".join(one.name for one in search.untried) or "mixed variants"
        say(f"time limit reached; not tried: {left} and later candidates")
    if search.judged_by is None or not search.tried:
        raise ConfigError(
            f"--minutes {minutes:g}: the time limit was reached before the reference of {model!r} was made",
            hint="allow more minutes; artifacts made so far are kept in the store",
        )
    found = (search.tried, model, cell.target, search.judged_by)
    print(as_json(*found) if json else terminal(*found, color=Console().is_terminal), end="\n" * json)
    if recommended(search.tried) is None:
        raise typer.Exit(1)
