"""A run records itself when it ends. A failure here never costs the run, whose folder is complete."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from edgeworthy.errors import EdgeworthyError
from edgeworthy.history.location import FILE_NAME, OFF, Location, installed


def record_run(folder: Path, location: Location) -> None:
    """Put the run into the history there. Raises HistoryError, StoreError."""
    from edgeworthy.history.database import History
    from edgeworthy.history.entry import read_entry

    History(location).record(read_entry(folder))


def record_ended(folder: Path, configured: str, root: Path) -> str:
    """Record a run that just ended; returns a message if that failed.

    EDGE_HISTORY_URL says where, else ``configured`` (the ini value ``edge_history``: a URL, or a file relative to ``root``),
    else it is a file beside the run. Where it is off, or without the extra and without configuration, nothing is done.
    """
    url = os.environ.get("EDGE_HISTORY_URL", "")
    if not url and (configured == OFF or not (installed() or configured)):
        return ""
    file = str(root / configured) if configured else str(folder.parent / FILE_NAME)
    try:
        record_run(folder, Location.parse(url or (configured if "://" in configured else file)))
    except EdgeworthyError as error:
        said = str(error).replace("\n", " ")
        option = "" if url or not configured else " --history " + ("URL" if "://" in configured else shlex.quote(file))
        return f"the run is not in the history: {said}. Later: edgeworthy record {shlex.quote(str(folder))}{option}"
    return ""
