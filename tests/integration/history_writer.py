"""One of many processes that write to a history: ``python -m tests.integration.history_writer URL NUMBER RUNS [stall]``.

Prints each run's name once it is stored. With ``stall`` the last run's transaction is left open for ever, all of it
written and nothing committed: a process to kill in mid-write.
"""

from __future__ import annotations

import sys
import time

import sqlalchemy as sa
from edgeworthy.cells import CellId
from edgeworthy.history.database import History
from edgeworthy.history.entry import CellEntry, RunEntry
from edgeworthy.history.location import Location

CELLS = 60
SHARED = "20260101-000000-shared"


def entry(name: str, began_utc: str = "2026-01-01T00:00:00+00:00", p50_ms: float = 1.0) -> RunEntry:
    """A run of sixty cells."""
    cells = tuple(
        CellEntry(CellId(f"model{index % 6}", f"variant{index // 6}", "host:cpu"), "pass", "f", {"p50_ms": p50_ms})
        for index in range(CELLS)
    )
    return RunEntry(name, began_utc, "complete", "0123456789abcdef", False, "0.1.0", "a host", cells)


def stall(_connection: object) -> None:
    """Say so, and stay."""
    print("stalled", flush=True)
    time.sleep(600)


def main(url: str, number: str, runs: str, *last: str) -> None:
    """Write the runs, and the one that everybody writes."""
    history = History(Location.parse(url))
    names = [SHARED, *(f"20260101-{run:06}-writer{number}" for run in range(int(runs)))]
    for name in names:
        if last and name == names[-1]:
            sa.event.listen(sa.Engine, "commit", stall)
        history.record(entry(name))
        print(name, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
