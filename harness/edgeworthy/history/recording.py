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


def address_of(folder: Path, configured: str, root: Path) -> str:
    """Where a run records itself; empty where it does not. It may hold a password.

    EDGE_HISTORY_URL says where, else ``configured`` (the ini value ``edge_history``: a URL, or a file relative to ``root``),
    else it is a file beside the run, if the extra is installed.
    """
    url = os.environ.get("EDGE_HISTORY_URL", "")
    if not url and (configured == OFF or not (installed() or configured)):
        return ""
    file = str(root / configured) if configured else str(folder.parent / FILE_NAME)
    return url or (configured if "://" in configured else file)


def record_ended(folder: Path, configured: str, root: Path) -> str:
    """Record a run that just ended, where ``address_of`` says; returns a message if that failed."""
    address = address_of(folder, configured, root)
    if not address:
        return ""
    try:
        record_run(folder, Location.parse(address))
    except EdgeworthyError as error:
        said = str(error).replace("\n", " ")
        asked = configured and not os.environ.get("EDGE_HISTORY_URL", "")
        option = " --history " + ("URL" if "://" in configured else shlex.quote(address)) if asked else ""
        return f"the run is not in the history: {said}. Later: edgeworthy record {shlex.quote(str(folder))}{option}"
    return ""
