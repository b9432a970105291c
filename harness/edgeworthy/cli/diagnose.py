"""``edgeworthy diagnose``: which layers cost a variant its accuracy, and the recipe that repairs it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from edgeworthy.cells import CellId, CellSelector
from edgeworthy.cli.options import DevicesOption, ModelsOption
from edgeworthy.cli.short_bench import short_bench
from edgeworthy.config import CANARY
from edgeworthy.diagnosis.accelerator import on_accelerator
from edgeworthy.diagnosis.diagnose import Diagnostician, with_float
from edgeworthy.diagnosis.node_data import times_by_tensor, write_node_data
from edgeworthy.diagnosis.records import Diagnosis
from edgeworthy.diagnosis.report import accelerator_text, terminal
from edgeworthy.errors import ConfigError, ProfileUnavailable
from edgeworthy.measurements.bench import Bench
from edgeworthy.measurements.project import Project
from edgeworthy.storage import writing
from edgeworthy.suggestions import did_you_mean
from edgeworthy.text import one_line


def diagnose(
    model: Annotated[str, typer.Argument(help="a model of models.yaml")],
    variant: Annotated[str, typer.Argument(help="a variant of it, or 'canary'")],
    models: ModelsOption,
    devices: DevicesOption,
    target: Annotated[str, typer.Option(help="device:backend of devices.yaml; default: the first that runs it")] = "",
    json: Annotated[bool, typer.Option("--json", help="print the whole diagnosis as JSON")] = False,
    node_data: Annotated[
        Path | None,
        typer.Option(help="write the artifact into this folder, and what Model Explorer shows on its nodes"),
    ] = None,
) -> None:
    """Run a variant and its float model side by side, and name the layers that cause the difference."""
    project = Project.load(models, devices)
    cell = chosen_cell(project, model, variant, target)
    if project.accelerates(cell):
        _print_accelerator(project, cell, json=json)
        return
    project, floats = with_float(project, cell)
    with short_bench(project, [cell, floats], say) as bench:
        found = Diagnostician(bench).diagnose(cell, floats, timed=bench.timed(cell))
        written = _node_data(bench, cell, found, node_data) if node_data else []
    print(found.model_dump_json(indent=1) if json else terminal(found, color=Console().is_terminal), end="\n" * json)
    for path in written:
        say(f"wrote {one_line(str(path))}")


def _print_accelerator(project: Project, cell: CellId, *, json: bool) -> None:
    """Which op goes wrong first on the cell's accelerator."""
    with short_bench(project, [cell], say) as bench:
        found = on_accelerator(bench, cell)
    print(found.model_dump_json(indent=1) if json else accelerator_text(found), end="\n" * json)


def _node_data(bench: Bench, cell: CellId, found: Diagnosis, folder: Path) -> list[Path]:
    """The cell's artifact in ``folder``, and its node data beside it."""
    stored = bench.artifact(cell.model, cell.variant).path
    artifact = folder / f"{cell.model}-{cell.variant}{''.join(stored.suffixes)}"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(stored, artifact)
    try:
        times = times_by_tensor(bench.profile(cell), stored)
    except ProfileUnavailable as error:
        times = {}
        say(f"no times of nodes: {error.message}")
    return [artifact, *write_node_data(artifact, found, times)]


def chosen_cell(project: Project, model: str, variant: str | None, target: str) -> CellId:
    """The first cell that the words name; any variant for None. Raises ConfigError with the nearest name."""
    entries = project.models.models
    if model not in entries:
        raise ConfigError(
            f"there is no model {model!r}; {did_you_mean(model, list(entries))}",
            hint="correct the name, or add the model to models.yaml",
        )
    known = [*entries[model].variants, CANARY]
    if variant is not None and variant not in known:
        raise ConfigError(
            f"the model {model!r} has no variant {variant!r}; {did_you_mean(variant, known)}",
            hint="correct the name, or add the variant to models.yaml",
        )
    cells = project.cells(CellSelector(models=[model]))
    cells += project.canaries(cells)
    found = [cell for cell in cells if variant in (None, cell.variant) and target in ("", cell.target)]
    if not found:
        targets = list(dict.fromkeys(cell.target for cell in cells))
        raise ConfigError(
            f"{model}/{variant or '*'} does not run on {target!r}; {did_you_mean(target, targets)}",
            hint="choose one of its targets with --target",
        )
    return found[0]


def say(text: str) -> None:
    """Report progress on standard error."""
    print(f"edgeworthy: {text}", file=sys.stderr, flush=True)
