"""The verdicts of a run, one JSON line each, flushed as they fall.

Every process appends to a file of its own. A line that a killed process left half written is passed over: whatever
it said is judged again from the stored measurement when the run is resumed.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import TypeAdapter

from edgeworthy.cells import CellId
from edgeworthy.records import Status, Verdict
from edgeworthy.storage import readable, writing

#: Worst first.
STATUSES: tuple[Status, ...] = ("error", "fail", "not comparable", "waived", "absent", "refused", "pass", "emulated")


_VERDICT = TypeAdapter(Verdict)


class VerdictLog:
    """Verdicts below ``folder`` of a run, written by the process called ``writer``."""

    def __init__(self, run_folder: Path, writer: str = "main") -> None:
        self.folder = run_folder / "verdicts"
        self.writer = writer

    def add(self, verdict: Verdict) -> None:
        """Append a verdict and flush it."""
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / f"{self.writer}.jsonl").open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(dataclasses.asdict(verdict)) + "\n")

    def clear(self) -> None:
        """Forget all verdicts: a resumed run judges anew."""
        for file in self.folder.glob("*.jsonl"):
            file.unlink()

    def read(self) -> list[Verdict]:
        """The worst verdict for every cell and axis: several tests may judge one. Raises StoreError."""
        found: dict[tuple[CellId, str], Verdict] = {}
        for file in sorted(self.folder.glob("*.jsonl")):
            for verdict in _verdicts(file):
                key = verdict.cell, verdict.axis
                if key not in found or STATUSES.index(verdict.status) <= STATUSES.index(found[key].status):
                    found[key] = verdict
        return list(found.values())


def _verdicts(file: Path) -> Iterator[Verdict]:
    with readable(
        file, "not a readable log of verdicts", "resume the run with --edge-resume: its cells are judged again"
    ):
        for line in file.read_bytes().splitlines():
            try:
                fields = json.loads(line)
            except ValueError:
                continue
            yield _VERDICT.validate_python(fields)
