"""The command line, ``edgeworthy``: its commands are registered here; the larger ones have a file each."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from importlib import metadata, resources
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from edgeworthy.cells import CellSelector
from edgeworthy.cli.compare import compare
from edgeworthy.cli.devices import devices_app
from edgeworthy.cli.diagnose import diagnose
from edgeworthy.cli.export import export
from edgeworthy.cli.gate import baseline_app, gate
from edgeworthy.cli.history import history, record
from edgeworthy.cli.noise import noise
from edgeworthy.cli.options import DevicesOption, ModelsOption, RunArgument
from edgeworthy.cli.profile import profile
from edgeworthy.cli.run import run
from edgeworthy.cli.select import select
from edgeworthy.cli.site import site
from edgeworthy.cli.track import track
from edgeworthy.cli.tune import tune
from edgeworthy.config import ModelsFile
from edgeworthy.device_schema import DevicesFile
from edgeworthy.errors import ConfigError, EdgeworthyError
from edgeworthy.interruption import interrupt_on_signals
from edgeworthy.measurements.project import Project
from edgeworthy.pytest_ini import ini_path
from edgeworthy.reports.run_folder import rows_of
from edgeworthy.reports.summary import terminal_table
from edgeworthy.runs.run import Run
from edgeworthy.schema import Strict
from edgeworthy.session.report_page import write_again
from edgeworthy.session.settings import Settings
from edgeworthy.storage import Store, writing
from edgeworthy.text import one_line, printable
from edgeworthy.verdicts.waivers import WaiversFile

#: Where ``init`` writes each template.
TEMPLATES = {
    "models.yaml": "benchmarks/models.yaml",
    "test_edgeworthy.py": "benchmarks/test_edgeworthy.py",
    "test_consistency.py": "benchmarks/test_consistency.py",
    "devices.yaml": "devices.yaml",
}
SCHEMAS: dict[str, type[Strict]] = {"models": ModelsFile, "devices": DevicesFile, "waivers": WaiversFile}

#: Of a path, so many characters are shown.
LONGEST_NAME = 200
app = typer.Typer(no_args_is_help=True, add_completion=False, help="Accuracy and latency gates for quantized models.")

app.add_typer(baseline_app, name="baseline")
app.add_typer(devices_app, name="devices")
app.command()(run)
app.command()(gate)
app.command()(compare)
app.command()(noise)
app.command()(diagnose)
app.command()(profile)
app.command()(tune)
app.command()(select)
app.command()(export)
app.command()(history)
app.command()(record)
app.command()(track)
app.command()(site)


def _version(asked: bool) -> None:
    if asked:
        print(f"edgeworthy {metadata.version('edgeworthy')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """Accuracy and latency gates for quantized models."""
    del version


@app.command()
def init(folder: Annotated[Path, typer.Argument(help="the repository to set up")] = Path()) -> None:
    """Write a first models.yaml, devices.yaml, suites and .gitignore; nothing that exists is overwritten."""
    taken = [target for target in TEMPLATES.values() if (folder / target).exists()]
    if taken:
        raise ConfigError(f"{folder / taken[0]} exists already", hint="remove it, or run init in another folder")
    for template, target in TEMPLATES.items():
        path = folder / target
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_template(template))
        print(f"wrote {one_line(str(path))}")
    _ignore_results(folder / ".gitignore")
    print("next: pytest benchmarks/")


def _template(name: str) -> str:
    return resources.files("edgeworthy").joinpath("templates", name).read_text()


def _ignore_results(path: Path) -> None:
    """Have git ignore what runs write; lines that a .gitignore has already are not added again."""
    with writing(path):
        before = path.read_text() if path.is_file() else ""
        lacking = [line for line in _template("gitignore").splitlines() if line not in before.splitlines()]
        if lacking:
            path.write_text(before + "\n" * bool(before and not before.endswith("\n")) + "\n".join(lacking) + "\n")
            print(f"{'added to' if before else 'wrote'} {one_line(str(path))}")


@app.command()
def models(models: ModelsOption, devices: DevicesOption) -> None:
    """Check the configuration and list its cells with their limits."""
    project = Project.load(models, devices)
    for cell in project.cells(CellSelector()):
        limits = " ".join(f"{name}={value:g}" for name, value in sorted(project.limits(cell).items()))
        print(f"{cell}  {limits}")


@app.command()
def report(
    run: RunArgument,
    models: ModelsOption,
    devices: DevicesOption,
    html: Annotated[
        bool, typer.Option("--html", help="write report.html again, with what the history knows by now")
    ] = False,
) -> None:
    """Show a run's table again, or write its page again."""
    if html:
        for sentence in write_again(Run.open(run), Settings.from_ini(models, devices, run.parent)):
            print(f"edgeworthy: {sentence}")
        print(f"wrote {one_line(str(run / 'report.html'))}")
        return
    print(terminal_table(rows_of(Run.open(run)), Console().is_terminal, shutil.get_terminal_size().columns), end="")


@app.command()
def schema(name: Annotated[str, typer.Argument(help="models, devices or waivers")]) -> None:
    """Print a file's JSON schema, for editors to complete and check it."""
    if name not in SCHEMAS:
        raise ConfigError(f"there is no schema {name!r}; known: {', '.join(SCHEMAS)}", hint="name one of these")
    print(json.dumps(SCHEMAS[name].model_json_schema(), indent=2))


@app.command()
def prune(
    max_gb: Annotated[float, typer.Option(min=0, help="remove the least recently used entries above this size")],
    store: Annotated[
        Path | None, typer.Option(help="the store; default: EDGE_STORE, or pytest's ini value edge_store")
    ] = None,
) -> None:
    """Shrink the artifact store. What was used within the last hour stays."""
    root = store or Path(os.environ.get("EDGE_STORE") or ini_path("edge_store"))
    if not root.is_dir():
        raise ConfigError(f"{root}: no store here", hint="name it with --store")
    freed = Store(root).prune(int(max_gb * 1e9))
    print(f"freed {freed / 1e6:.1f} MB")


def main() -> None:
    """Run a command; edgeworthy's own errors, and the system's, are printed without a traceback, with exit status 2."""
    interrupt_on_signals()
    for stream in (sys.stdout, sys.stderr):  # a path may hold what the terminal's encoding has not
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except EdgeworthyError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    except BrokenPipeError:
        raise
    # A path that is too long, too deep or no text, a full disk, a folder that is not ours.
    except (OSError, UnicodeError, RecursionError) as error:
        name = getattr(error, "filename", None)
        where = f"{printable(str(name), LONGEST_NAME)}: " if name else ""
        why = (error.strerror if isinstance(error, OSError) else None) or printable(str(error))
        print(f"error: {where}{why}\nHint: correct the path, or what keeps the system from using it", file=sys.stderr)
        raise SystemExit(2) from error
