"""``edgegate history`` and ``edgegate record``: trends over every run, and runs put into the history by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from harness.errors import ConfigError
from harness.history.location import FILE_NAME, Location
from harness.history.recording import record_run
from harness.storage import writing

HistoryOption = Annotated[
    str,
    typer.Option(
        "--history", envvar="EDGE_HISTORY_URL", metavar="URL", help="a URL or a SQLite file [default: beside the runs]"
    ),
]


def history(
    cell: Annotated[str, typer.Argument(metavar="MODEL/VARIANT/TARGET", help="whose trend to show; may be a glob")],
    metric: Annotated[str, typer.Option(help="a column of cells.csv that a budget may limit")] = "p50_ms",
    html: Annotated[Path | None, typer.Option(help="write the trend as a picture, one file for a browser")] = None,
    check: Annotated[bool, typer.Option("--check", help="exit with 1 where the metric got worse and still is")] = False,
    since: Annotated[str, typer.Option(help="a run; what began before it is known and not for --check")] = "",
    history: HistoryOption = "",
) -> None:
    """Show a metric over every run, and the run and revision where it changed."""
    location = Location.parse(history or str(Path("results") / FILE_NAME))
    from harness.history.database import History
    from harness.history.picture import picture
    from harness.history.terminal import terminal_trend
    from harness.history.trend import matching_cells, read_trend

    stored = History(location)
    trends = [read_trend(stored, name, metric) for name in matching_cells(stored, cell, metric)]
    if html is not None and len(trends) > 1:
        raise ConfigError(f"--html {html}: a picture shows one cell, and {cell} matches {len(trends)}")
    regressed = [found for trend in trends for found in trend.regressions(since)]
    for trend in trends:
        print(terminal_trend(trend, color=Console().is_terminal), end="")
    if html is not None:
        with writing(html):
            html.write_text(picture(trends[0]), encoding="utf-8")
        print(f"wrote {html}")
    if check and regressed:
        raise typer.Exit(1)


def record(
    run: Annotated[Path, typer.Argument(help="a run's folder")] = Path("results/latest"), history: HistoryOption = ""
) -> None:
    """Put a run into the history, or replace what the history has of it; runs that end do so by themselves."""
    location = Location.parse(history or str(run.parent / FILE_NAME))
    record_run(run, location)
    print(f"{run.resolve().name} is in {location.shown}")
