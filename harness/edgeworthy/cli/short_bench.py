"""A bench for one command: it keeps artifacts in the store, and its records only until the command ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

from edgeworthy.cells import CellId
from edgeworthy.measurements.bench import Bench
from edgeworthy.measurements.project import Project
from edgeworthy.pytest_ini import ini_path
from edgeworthy.runs.journal import Journal
from edgeworthy.storage import open_store
from edgeworthy.temporary import temporary_folder


@contextmanager
def short_bench(project: Project, cells: Sequence[CellId], tell: Callable[[str], None]) -> Iterator[Bench]:
    """A bench of these cells, closed at the end; ``tell`` reports progress."""
    with (
        temporary_folder() as folder,
        closing(Bench(project, open_store(ini_path("edge_store")), Journal(folder), cells, tell)) as bench,
    ):
        yield bench
