"""``edgeworthy site``: a static site of the history and the kept runs, for a nightly job to publish."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeworthy.cli.history import HistoryOption, location_of
from edgeworthy.cli.options import ResultsOption
from edgeworthy.text import one_line, plural


def site(
    out: Annotated[Path, typer.Argument(help="the site's folder; what is up to date in it is not written again")],
    results: ResultsOption,
    history: HistoryOption = "",
    keep: Annotated[int, typer.Option(min=1, help="so many of the newest reports stay in the site")] = 60,
) -> None:
    """Write today's state of every model and target, trends, and what got worse, with links to the reports of runs."""
    location = location_of(history, results)
    from edgeworthy.history.database import History
    from edgeworthy.history.static_site.writing import write_site

    changed = write_site(History(location), results, out, keep)
    print(f"{one_line(str(out / 'index.html'))}: {plural(len(changed), 'file') if changed else 'nothing'} changed")
