"""The section of one cell: all that is known of it, as plain data that the page draws when the cell is chosen."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeworthy.cells import CellId
from edgeworthy.config import CANARY
from edgeworthy.metrics import METRICS
from edgeworthy.records import Change, Checked, Conditions, Delegation, Outputs, Timing, Verdict
from edgeworthy.reports.columns import Row, id_of
from edgeworthy.reports.html.beside import Beside
from edgeworthy.reports.html.changes import shown_change
from edgeworthy.reports.html.latency import latency_of
from edgeworthy.reports.html.layers import layers_of
from edgeworthy.reports.html.numbers import numbers_of
from edgeworthy.reports.html.pairs import Album, References
from edgeworthy.reports.html.times import times_of
from edgeworthy.reports.rows import READINGS, status
from edgeworthy.runs.run import Run

#: What of a row says what was measured.
_IDENTITY = ("recipe", "runtime", "layout", "artifact")


class CellSections:
    """Makes the sections of a run's cells, to be asked for from the worst on: their pictures go into ``album``."""

    def __init__(self, run: Run, verdicts: Mapping[CellId, Sequence[Verdict]], beside: Beside, album: Album) -> None:
        self._run, self._verdicts, self._beside, self._album = run, verdicts, beside, album
        self._references = References()
        self._truths = {model: run.journal.truth(model) for model in {cell.model for cell in run.cells}}
        self._changes: dict[CellId, list[Change]] = {}
        for change in beside.changes or ():
            self._changes.setdefault(change.cell, []).append(change)

    def section(self, row: Row) -> dict[str, Any]:
        """The section of one cell; what is not known of it is not among the keys. Raises StoreError."""
        cell, journal = id_of(row), self._run.journal
        timing, outputs = journal.find(Timing, cell), journal.find(Outputs, cell)
        measured = timing or outputs
        found = {
            "message": row["message"],
            "hint": row["hint"],
            "axes": [_axis(verdict) for verdict in self._verdicts.get(cell, ())],
            "numbers": [[each.column, str(each.value), each.text, each.interval] for each in numbers_of(row)],
            "latency": latency_of(timing, self._beside.before(cell)) if timing else None,
            "pairs": self._pairs(cell, outputs),
            "layers": layers_of(self._run.folder, cell),
            "times": times_of(journal.profile(cell, row["artifact"])) if row["artifact"] else None,
            "readings": list(_readings(row)),
            "ran": _ran(measured.delegation if measured else None),
            "changes": [shown_change(change).cells() for change in self._changes.get(cell, ())],
            "identity": [*_identity(row), *(_fingerprint(measured.conditions) if measured else ())],
            "commands": _commands(cell, self._run.folder.resolve()),
        }
        return {name: value for name, value in found.items() if value}

    def _pairs(self, cell: CellId, outputs: Outputs | None) -> dict[str, Any] | None:
        truth = self._truths.get(cell.model)
        if outputs is None or truth is None or cell.variant == CANARY:
            return None
        if outputs.values.shape != truth.reference.shape:
            return {"unseen": "the outputs have another shape than the reference's"}
        return self._references.pairs(cell.model, truth, outputs.values, self._album)


def _axis(verdict: Verdict) -> dict[str, Any]:
    checks = [_held(check) for check in verdict.checks]
    message = {} if checks else {"message": verdict.message}
    return {"name": verdict.axis, "status": status(verdict), "waived": verdict.waived_by, "checks": checks, **message}


def _held(check: Checked) -> list[Any]:
    """Metric, value, interval, limit, evidence, and whether the limit was kept."""
    metric, side = METRICS[check.metric], "at most" if check.side == "max" else "at least"
    known = check.low is not None and check.high is not None
    interval = f"{check.low:.{metric.digits}f} to {check.high:.{metric.digits}f}" if known else ""
    limit = f"{side} {metric.shown(check.limit)}"
    return [check.metric, metric.shown(check.value), interval, limit, check.evidence, check.passed]


def _readings(row: Row) -> Iterator[list[str]]:
    """A state of the device before, at its worst while, and after it was timed, as text; empty where it was not read."""
    for name, meaning in READINGS.items():
        values = [row.get(f"{name}_{when}") for when in ("before", "during", "after")]
        if any(value is not None for value in values):
            yield [meaning, *("" if value is None else f"{value:g}" for value in values)]


def _ran(found: Delegation | None) -> dict[str, Any] | None:
    """Evidence of where the graph ran."""
    return (
        {"taken": found.taken, "total": found.total, "delegate": found.delegate, "proof": found.proof}
        if found
        else None
    )


def _identity(row: Row) -> list[list[str]]:
    return [[name, row[name]] for name in _IDENTITY if row[name]]


def _fingerprint(conditions: Conditions) -> list[list[str]]:
    return [[name, text] for name, text in sorted(conditions.fingerprint.items()) if name not in _IDENTITY]


def _commands(cell: CellId, run: Path) -> list[list[str]]:
    """What a reader may want to do with the cell next -> the command."""
    model, variant, target = map(shlex.quote, cell)
    one = f"--model {model} --variant {variant} --target {target}"
    if cell.variant == CANARY:
        return [["Measure it again", f"edgeworthy run --model {model} --target {target}"]]
    folder = shlex.quote(f"{run.parent.name}/{run.name}")
    return [
        ["Measure it again", f"edgeworthy run {one}"],
        ["Find the layers that cost accuracy", f"edgeworthy diagnose {model} {variant} --target {target}"],
        ["Take the artifact out", f"edgeworthy export {model} {variant} --run {folder}"],
        ["Show its trend", f"edgeworthy history {shlex.quote(str(cell))}"],
    ]
