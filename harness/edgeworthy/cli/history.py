"""``edgeworthy history`` and ``edgeworthy record``: trends over every run, and runs put into the history by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from edgeworthy.cli.options import RunArgument
from edgeworthy.errors import ConfigError
from edgeworthy.history.location import FILE_NAME, OFF, Location
from edgeworthy.history.recording import record_run
from edgeworthy.pytest_ini import ini_path, ini_value
from edgeworthy.storage import writing
from edgeworthy.text import one_line

HistoryOption = Annotated[
    str,
    typer.Option(
        "--history",
        envvar="EDGE_HISTORY_URL",
        metavar="URL",
        help="a URL or a SQLite file; default: pytest's ini value edge_history, or beside the runs",
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
    location = location_of(history, ini_path("edge_results"))
    from edgeworthy.history.database import History
    from edgeworthy.history.picture import picture
    from edgeworthy.history.terminal import terminal_trend
    from edgeworthy.history.trend import matching_cells, read_trend

    stored = History(location)
    trends = [read_trend(stored, name, metric) for name in matching_cells(stored, cell, metric)]
    if html is not None and len(trends) > 1:
        raise ConfigError(
            f"--html {html}: a picture shows one cell, and {cell} matches {len(trends)}",
            hint="name one cell, MODEL/VARIANT/TARGET, without globs",
        )
    regressed = [found for trend in trends for found in trend.regressions(since)]
    for trend in trends:
        print(terminal_trend(trend, color=Console().is_terminal), end="")
    if html is not None:
        with writing(html):
            html.write_text(picture(trends[0]), encoding="utf-8")
        print(f"wrote {one_line(str(html))}")
    if check and regressed:
        raise typer.Exit(1)


def record(run: RunArgument, history: HistoryOption = "") -> None:
    """Put a run into the history, or replace what the history has of it; runs that end do so by themselves."""
    location = location_of(history, run.parent)
    record_run(run, location)
    print(f"{run.resolve().name} is in {location.shown}")


def location_of(asked: str, results: Path) -> Location:
    """Of the history: as asked for, or as pytest's ini value says, or beside the runs."""
    root, written = ini_value("edge_history")
    written = "" if written == OFF else written
    if written and "://" not in written:
        written = str(root / written)
    return Location.parse(asked or written or str(results / FILE_NAME))
