"""``edgegate diagnose``: which layers make a variant bad, and the recipe that repairs it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from harness.config import CANARY
from harness.diagnosis.diagnose import Diagnostician, with_float
from harness.diagnosis.report import terminal
from harness.errors import ConfigError
from harness.measurements.bench import Bench
from harness.measurements.project import Project, Selection
from harness.records import CellId
from harness.storage import open_store
from harness.suggestions import did_you_mean


def diagnose(
    model: Annotated[str, typer.Argument(help="a model of models.yaml")],
    variant: Annotated[str, typer.Argument(help="a variant of it, or 'canary'")],
    target: Annotated[str, typer.Option(help="device:backend of devices.yaml; default: the first that runs it")] = "",
    models: Annotated[Path, typer.Option("--models", help="path of models.yaml")] = Path("benchmarks/models.yaml"),
    devices: Annotated[Path, typer.Option("--devices", help="path of devices.yaml")] = Path("devices.yaml"),
    json: Annotated[bool, typer.Option("--json", help="print the whole diagnosis as JSON")] = False,
) -> None:
    """Run a variant and its float model side by side, and name the layers that make the difference."""
    project = Project.load(models, devices)
    cell = chosen_cell(project, model, variant, target)
    project, floats = with_float(project, cell)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(project, open_store(Path(".edgegate")), Path(folder), [cell, floats], say)
        try:
            found = Diagnostician(bench).diagnose(cell, floats, timed=True)
        finally:
            bench.close()
    print(found.model_dump_json(indent=1) if json else terminal(found, color=Console().is_terminal), end="\n" * json)


def chosen_cell(project: Project, model: str, variant: str | None, target: str) -> CellId:
    """The first cell that the words name; any variant for None. Raises ConfigError with the nearest name."""
    entries = project.models.models
    if model not in entries:
        raise ConfigError(f"there is no model {model!r}; {did_you_mean(model, list(entries))}")
    known = [*entries[model].variants, CANARY]
    if variant is not None and variant not in known:
        raise ConfigError(f"the model {model!r} has no variant {variant!r}; {did_you_mean(variant, known)}")
    cells = project.cells(Selection(models=[model]))
    cells += project.canaries(cells)
    found = [cell for cell in cells if variant in (None, cell.variant) and target in ("", cell.target)]
    if not found:
        targets = list(dict.fromkeys(cell.target for cell in cells))
        raise ConfigError(f"{model}/{variant or '*'} does not run on {target!r}; {did_you_mean(target, targets)}")
    return found[0]


def say(text: str) -> None:
    """Tell what is being done, beside the answer."""
    print(f"edgegate: {text}", file=sys.stderr, flush=True)
