"""A run: everything that a verdict needs, in one folder below ``results/``."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from edgeworthy.cells import CellId
from edgeworthy.errors import StoreError
from edgeworthy.records import Verdict
from edgeworthy.runs.journal import Journal
from edgeworthy.runs.run_file import COMPLETE, UNFINISHED, RunFile, Scope
from edgeworthy.runs.verdict_log import VerdictLog


class Run:
    """A run's folder, with its measurements (``journal``) and its verdicts (``log``).

    :meth:`open` writes nothing, also where the folder may not be written; :meth:`begin` starts one to be measured.
    """

    def __init__(self, plan: RunFile, writer: str = "main") -> None:
        self._plan = plan
        self.folder = plan.folder
        self.journal = Journal(plan.folder)
        self.log = VerdictLog(plan.folder, writer)

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Read a run. Raises StoreError where there is none, or none that this edgeworthy reads."""
        return cls(RunFile.read(folder))

    @classmethod
    def begin(
        cls,
        folder: Path,
        cells: Sequence[CellId],
        scope: Scope,
        emulated: Mapping[str, str] | None = None,
        writer: str = "main",
    ) -> Run:
        """Make the folder and note what is planned, so that an interrupted run says what it lacks. Raises StoreError.

        ``emulated`` names the emulator of each target that is no device. Of the processes that measure into one run each is
        a ``writer`` of verdicts.
        """
        plan = RunFile(folder, list(cells), scope, UNFINISHED, emulated or {})
        plan.write()
        return cls(plan, writer)

    @property
    def name(self) -> str:
        """The folder's own name; ``results/latest`` is a link to it."""
        return self.folder.resolve().name

    @property
    def cells(self) -> list[CellId]:
        """The planned cells, canaries among them."""
        return self._plan.cells

    @property
    def scope(self) -> Scope:
        """Which part of the project the run was meant to cover."""
        return self._plan.scope

    @property
    def emulated(self) -> Mapping[str, str]:
        """The emulator of each target that is no device."""
        return self._plan.emulated

    @property
    def status(self) -> str:
        """``complete``, or ``unfinished``."""
        return self._plan.status

    @property
    def complete(self) -> bool:
        """Whether the run came to its end."""
        return self.status == COMPLETE

    def verdicts(self) -> list[Verdict]:
        """The worst verdict for every cell and axis, by all processes so far. Raises StoreError."""
        return self.log.read()

    def check_complete(self, then: str = "") -> None:
        """Refuse a run that did not finish; ``then`` says what it is refused for. Raises StoreError."""
        if not self.complete:
            raise StoreError(
                f"{self.folder}: the run did not finish{then}", hint=f"pytest benchmarks/ --edge-resume {self.name}"
            )

    def end(self, complete: bool) -> None:
        """Note whether the run came to its end."""
        self._plan = replace(self._plan, status=COMPLETE if complete else UNFINISHED)
        self._plan.write()


def unfinished(results: Path) -> Path | None:
    """The folder of the newest unfinished run below ``results``."""
    for file in sorted(results.glob("*/run.json"), reverse=True):
        with contextlib.suppress(StoreError):
            if not file.parent.is_symlink() and not Run.open(file.parent).complete:
                return file.parent
    return None
