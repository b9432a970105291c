"""``edgeworthy baseline accept | diff`` and ``edgeworthy gate``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from edgeworthy.cells import CellSelector
from edgeworthy.cli.options import FolderOption, ModelGlobs, ModelsOption, RunArgument, TargetGlobs, VariantGlobs
from edgeworthy.config import Tolerances, load_models
from edgeworthy.errors import EdgeworthyError
from edgeworthy.judging.gate import GateResult, judge_run
from edgeworthy.reports import gate_report
from edgeworthy.reports.ci.places import Places
from edgeworthy.reports.ci.requested import Requested
from edgeworthy.reports.compare.comparison import differences
from edgeworthy.reports.compare.sides import baselines_at, one_side
from edgeworthy.reports.compare.terminal import changes_table
from edgeworthy.runs.run import Run
from edgeworthy.text import one_line
from edgeworthy.verdicts.acceptance import accept as accept_run
from edgeworthy.verdicts.waivers import Waivers

baseline_app = typer.Typer(
    no_args_is_help=True, help="Accepted measurements: accept those of a run, show what changed."
)


@baseline_app.command()
def accept(
    run: RunArgument,
    folder: FolderOption,
    reason: Annotated[str, typer.Option(help="why these numbers may be the baseline")] = "",
    model: ModelGlobs = None,
    variant: VariantGlobs = None,
    target: TargetGlobs = None,
    removed: Annotated[
        bool, typer.Option("--removed", "--gone", help="also remove selected cells that the run does not have")
    ] = False,
) -> None:
    """Make a run's cells the baseline: the only way in which a baseline changes."""
    done = accept_run(Run.open(run), folder, CellSelector(model or [], variant or [], target or []), reason, removed)
    for cell, what in done:
        print(f"{what} {cell}")
    print(f"review and commit {one_line(str(folder))}")


@baseline_app.command()
def diff(
    a: Annotated[str, typer.Argument(help="a run's folder, a folder of baselines, or a git revision")],
    b: Annotated[str, typer.Argument(help="likewise; the newer one")],
    folder: FolderOption,
    models: ModelsOption,
) -> None:
    """Show, for every axis, what is new, missing, better, worse or not comparable."""
    before, after = one_side(a, folder), one_side(b, folder)
    tolerances = load_models(models)[0].regression if models.is_file() else Tolerances()
    changes = gate_report.worst_first(differences(before, after, tolerances))
    table = changes_table(changes, a, b)
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    if table.row_count:
        console.print(table)
    for change in changes:
        if change.status in ("regressed", "not comparable"):
            console.print(f"{change.status} {change.cell}: {change.message}", soft_wrap=True, markup=False)
    print(gate_report.counted(changes))


def gate(
    run: Annotated[Path, typer.Option(help="a finished run's folder")],
    baseline: Annotated[str, typer.Option(help="a folder of baselines, or a git revision")],
    folder: FolderOption,
    models: ModelsOption,
    markdown: Annotated[Path | None, typer.Option(help="write a summary fit for a pull request")] = None,
    junit: Annotated[Path | None, typer.Option(help="write JUnit XML")] = None,
    github: Annotated[
        bool, typer.Option("--github", help="print annotations, write the step's summary and TO/comment.md")
    ] = False,
    gitlab: Annotated[
        bool, typer.Option("--gitlab", help="write TO/code-quality.json, TO/junit.xml and TO/comment.md")
    ] = False,
    to: Annotated[Path, typer.Option("--to", help="folder that --github and --gitlab write into")] = Path("gate"),
    report_url: Annotated[
        str, typer.Option(metavar="URL", help="where the run's report is published, to link to")
    ] = "",
) -> None:
    """Judge a stored run against baselines, without measuring: exit 0, 1 (regressed) or 2 (could not judge)."""
    requested = Requested.of(
        os.environ,
        markdown=markdown,
        junit=junit,
        for_github=github,
        for_gitlab=gitlab,
        folder=to,
        report_url=report_url,
    )
    try:
        loaded, document = load_models(models)
        waivers = Waivers.load(models.with_name("waivers.yaml"))
        result = judge_run(Run.open(run), baselines_at(baseline, folder), waivers, loaded.regression)
        places = Places(models, loaded, document)
    except EdgeworthyError as error:  # a pull request must not go on showing what an earlier run said
        result, places = GateResult.unjudged(str(run), baseline, error), Places(models)
        if not github:
            requested.write(result, places)
            raise
    print(requested.write(result, places), end="")
    raise typer.Exit(result.status)
