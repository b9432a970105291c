"""``edgeworthy export``: take the artifact that passed, with a manifest that says what it is and how it was judged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeworthy.cli.options import RunOption
from edgeworthy.diagnosis.after_run import stored_diagnosis
from edgeworthy.diagnosis.node_data import write_node_data
from edgeworthy.pytest_ini import ini_path
from edgeworthy.reports.export import export_variant
from edgeworthy.runs.run import Run
from edgeworthy.storage import open_store
from edgeworthy.text import one_line


def export(
    model: Annotated[str, typer.Argument(help="a model of the run")],
    variant: Annotated[str, typer.Argument(help="a variant of it")],
    run: RunOption,
    to: Annotated[Path, typer.Option("--to", help="folder to write into")] = Path("export"),
    target: Annotated[
        list[str] | None, typer.Option(help="it must have passed on this target (may be repeated)")
    ] = None,
    even_if_failed: Annotated[bool, typer.Option("--even-if-failed", help="also what did not pass")] = False,
) -> None:
    """Write a variant's artifact and its manifest; what did not pass on every target is refused, with exit status 2."""
    store, opened = open_store(ini_path("edge_store")), Run.open(run)
    written = export_variant(opened, store, model, variant, target or [], to, even_if_failed=even_if_failed)
    diagnosed = stored_diagnosis(opened.folder, model, variant)
    for path in (*written, *(write_node_data(written[0], diagnosed, {}) if diagnosed else ())):
        print(f"wrote {one_line(str(path))}")
