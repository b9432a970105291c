"""The command line, ``edgegate``: its commands are registered here; the larger ones have a file each."""

from __future__ import annotations

import json
import os
import sys
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from harness.cli.devices import devices_app
from harness.cli.diagnose import diagnose
from harness.cli.gate import baseline_app, gate
from harness.cli.history import history, record
from harness.cli.noise import noise
from harness.cli.select import select
from harness.cli.tune import tune
from harness.config import ModelsFile
from harness.device_schema import DevicesFile
from harness.errors import ConfigError, EdgegateError
from harness.measurements.project import Project, Selection
from harness.reports.run_folder import rows_of
from harness.reports.summary import terminal_table
from harness.schema import Strict
from harness.storage import Store, writing
from harness.verdicts.waivers import WaiversFile

#: Where ``init`` writes each template.
TEMPLATES = {
    "models.yaml": "benchmarks/models.yaml",
    "test_edgegate.py": "benchmarks/test_edgegate.py",
    "devices.yaml": "devices.yaml",
}
SCHEMAS: dict[str, type[Strict]] = {"models": ModelsFile, "devices": DevicesFile, "waivers": WaiversFile}

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Accuracy and latency gates for quantized models.")

app.add_typer(baseline_app, name="baseline")
app.add_typer(devices_app, name="devices")
app.command()(gate)
app.command()(noise)
app.command()(diagnose)
app.command()(tune)
app.command()(select)
app.command()(history)
app.command()(record)

ModelsOption = Annotated[Path, typer.Option("--models", help="path of models.yaml")]
DevicesOption = Annotated[Path, typer.Option("--devices", help="path of devices.yaml")]


@app.command()
def init(folder: Annotated[Path, typer.Argument(help="the repository to set up")] = Path()) -> None:
    """Write a first models.yaml, devices.yaml and suite; nothing that exists is overwritten."""
    taken = [target for target in TEMPLATES.values() if (folder / target).exists()]
    if taken:
        raise ConfigError(f"{folder / taken[0]} exists already", next_step="remove it, or run init in another folder")
    for template, target in TEMPLATES.items():
        path = folder / target
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(resources.files("harness").joinpath("templates", template).read_text())
        print(f"wrote {path}")
    print("next: pytest benchmarks/")


@app.command()
def models(
    models: ModelsOption = Path("benchmarks/models.yaml"), devices: DevicesOption = Path("devices.yaml")
) -> None:
    """Check the configuration and list its cells with their limits."""
    project = Project.load(models, devices)
    for cell in project.cells(Selection()):
        limits = " ".join(f"{name}={value:g}" for name, value in sorted(project.limits(cell).items()))
        print(f"{cell}  {limits}")


@app.command()
def report(run: Annotated[Path, typer.Argument(help="a run's folder")] = Path("results/latest")) -> None:
    """Show a run's table again."""
    print(terminal_table(rows_of(run), color=Console().is_terminal), end="")


@app.command()
def schema(name: Annotated[str, typer.Argument(help="models, devices or waivers")]) -> None:
    """Print a file's JSON schema, for editors to complete and check it."""
    if name not in SCHEMAS:
        raise ConfigError(f"there is no schema {name!r}; known: {', '.join(SCHEMAS)}")
    print(json.dumps(SCHEMAS[name].model_json_schema(), indent=2))


@app.command()
def prune(
    max_gb: Annotated[float, typer.Option(min=0, help="remove the least recently used entries above this size")],
    store: Annotated[Path | None, typer.Option(help="the store; default: EDGE_STORE, or .edgegate")] = None,
) -> None:
    """Shrink the artifact store. What was used within the last hour stays."""
    root = store or Path(os.environ.get("EDGE_STORE", ".edgegate"))
    if not root.is_dir():
        raise ConfigError(f"{root}: there is no store", next_step="name it with --store")
    freed = Store(root).prune(int(max_gb * 1e9))
    print(f"freed {freed / 1e6:.1f} MB")


def main() -> None:
    """Run a command; what edgegate raises on purpose is said without a traceback, with exit status 2."""
    try:
        app()
    except EdgegateError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
