"""A run records itself when it ends. Nothing that goes wrong here may cost the run, whose folder is whole."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from harness.errors import EdgegateError
from harness.history.location import FILE_NAME, Location, installed


def record_run(folder: Path, location: Location) -> None:
    """Put the run into the history there. Raises HistoryError, StoreError."""
    from harness.history.database import History
    from harness.history.entry import read_entry

    History(location).record(read_entry(folder))


def record_ended(folder: Path, asked: str, root: Path) -> str:
    """Record a run that just ended; returns a sentence where that failed.

    EDGE_HISTORY_URL says where, else ``asked`` (the ini value ``edge_history``: a URL, or a file relative to ``root``),
    else it is a file beside the run. Where the extra is not installed and nobody asked, nothing is done or said.
    """
    url = os.environ.get("EDGE_HISTORY_URL", "")
    if not installed() and not (url or asked):
        return ""
    file = str(root / asked) if asked else str(folder.parent / FILE_NAME)
    try:
        record_run(folder, Location.parse(url or (asked if "://" in asked else file)))
    except EdgegateError as error:
        said = str(error).replace("\n", " ")
        option = "" if url or not asked else " --history " + ("URL" if "://" in asked else shlex.quote(file))
        return f"the run is not in the history: {said}. Later: edgegate record {shlex.quote(str(folder))}{option}"
    return ""
