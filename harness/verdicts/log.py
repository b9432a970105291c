"""The verdicts of a run, one JSON line each, flushed as they fall.

Every process appends to a file of its own. A line that a killed process left half written is passed over: whatever
it said is judged again from the stored measurement when the run is resumed.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from harness.records import CellId, Outcome, Verdict
from harness.storage import writing

#: Worst first.
OUTCOMES: tuple[Outcome, ...] = ("error", "fail", "not comparable", "waived", "absent", "refused", "pass")


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
        """The worst verdict for every cell and axis: several tests may judge one."""
        found: dict[tuple[CellId, str], Verdict] = {}
        for file in sorted(self.folder.glob("*.jsonl")):
            for line in file.read_text(encoding="utf-8").splitlines():
                try:
                    fields = json.loads(line)
                except ValueError:
                    continue
                verdict = Verdict(**{**fields, "cell": CellId(*fields["cell"])})
                key = verdict.cell, verdict.axis
                if key not in found or OUTCOMES.index(verdict.outcome) <= OUTCOMES.index(found[key].outcome):
                    found[key] = verdict
        return list(found.values())
