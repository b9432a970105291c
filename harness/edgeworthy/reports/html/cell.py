"""The section of one cell: all that is known of it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeworthy.cells import CellId
from edgeworthy.config import CANARY
from edgeworthy.metrics import METRICS
from edgeworthy.records import Change, Checked, Delegation, Outputs, Timing, Verdict
from edgeworthy.reports.columns import Row
from edgeworthy.reports.html.beside import Beside
from edgeworthy.reports.html.latency import latency_of
from edgeworthy.reports.html.layers import Layers, layers_of
from edgeworthy.reports.html.numbers import Number, numbers_of
from edgeworthy.reports.html.overview import id_of
from edgeworthy.reports.html.pairs import Album, Pairs, References
from edgeworthy.reports.rows import READINGS, status
from edgeworthy.runs.run import Run


@dataclass(frozen=True)
class Held:
    """One limit: the metric, its value with its interval, the limit, and whether it was kept."""

    label: str
    value: str
    interval: str
    limit: str
    evidence: str
    passed: bool


@dataclass(frozen=True)
class Axis:
    """What was judged on one axis."""

    name: str
    status: str
    message: str
    hint: str
    waived_by: Sequence[str]
    checks: Sequence[Held]


@dataclass(frozen=True)
class Reading:
    """A state of the device before, while and after it was timed, as text; empty where it was not read."""

    name: str
    before: str
    during: str
    after: str


@dataclass(frozen=True)
class CellView:
    """One cell; ``place`` is its own in the page, ``pairs`` is a sentence where outputs cannot be compared."""

    place: int
    cell: CellId
    row: Row
    axes: Sequence[Axis]
    numbers: Sequence[Number]
    latency: dict[str, Any] | None
    pairs: Pairs | str | None
    layers: Layers | None
    readings: Sequence[Reading]
    delegation: Delegation | None
    fingerprint: Sequence[tuple[str, str]]
    changes: Sequence[Change]
    commands: Sequence[tuple[str, str]]


class CellViews:
    """Makes the sections of a run's cells, the worst first; pictures go into ``album``."""

    def __init__(self, run: Run, verdicts: dict[CellId, list[Verdict]], beside: Beside, album: Album) -> None:
        self._run, self._verdicts, self._beside, self._album = run, verdicts, beside, album
        self._references = References()
        self._truths = {model: run.journal.truth(model) for model in {cell.model for cell in run.cells}}
        self._changes: dict[CellId, list[Change]] = {}
        for change in beside.changes or ():
            self._changes.setdefault(change.cell, []).append(change)

    def view(self, place: int, row: Row) -> CellView:
        """The section of one cell. Raises StoreError."""
        cell, journal = id_of(row), self._run.journal
        timing, outputs = journal.find(Timing, cell), journal.find(Outputs, cell)
        measured = timing or outputs
        return CellView(
            place=place,
            cell=cell,
            row=row,
            axes=[_axis(verdict) for verdict in self._verdicts.get(cell, ())],
            numbers=numbers_of(row),
            latency=latency_of(timing, self._beside.before(cell)) if timing else None,
            pairs=self._pairs(cell, outputs),
            layers=layers_of(self._run.folder, cell),
            readings=_readings(row),
            delegation=timing.delegation if timing else None,
            fingerprint=sorted(measured.conditions.fingerprint.items()) if measured else [],
            changes=self._changes.get(cell, ()),
            commands=_commands(cell, self._run.folder.resolve()),
        )

    def _pairs(self, cell: CellId, outputs: Outputs | None) -> Pairs | str | None:
        truth = self._truths.get(cell.model)
        if outputs is None or truth is None or cell.variant == CANARY:
            return None
        if outputs.values.shape != truth.reference.shape:
            return "the outputs have another shape than the reference's"
        return self._references.pairs(cell.model, truth, outputs.values, self._album)


def _axis(verdict: Verdict) -> Axis:
    checks = [_held(check) for check in verdict.checks]
    return Axis(verdict.axis, status(verdict), verdict.message, verdict.hint, verdict.waived_by, checks)


def _held(check: Checked) -> Held:
    metric, side = METRICS[check.metric], "at most" if check.side == "max" else "at least"
    known = check.low is not None and check.high is not None
    interval = f"{check.low:.{metric.digits}f} to {check.high:.{metric.digits}f}" if known else ""
    limit = f"{side} {metric.shown(check.limit)}"
    return Held(metric.label, metric.shown(check.value), interval, limit, check.evidence, check.passed)


def _readings(row: Row) -> list[Reading]:
    found = []
    for name, meaning in READINGS.items():
        values = [row.get(f"{name}_{when}") for when in ("before", "during", "after")]
        if any(value is not None for value in values):
            found.append(Reading(meaning, *("" if value is None else f"{value:g}" for value in values)))
    return found


def _commands(cell: CellId, run: Path) -> list[tuple[str, str]]:
    """What a reader may want to do with the cell next -> the command."""
    model, variant, target = map(shlex.quote, cell)
    one = f"--model {model} --variant {variant} --target {target}"
    commands = [("Measure it again", f"edgeworthy run {one}")]
    if cell.variant == CANARY:
        return [("Measure it again", f"edgeworthy run --model {model} --target {target}")]
    return [
        *commands,
        ("Find the layers that cost accuracy", f"edgeworthy diagnose {model} {variant} --target {target}"),
        (
            "Take the artifact out",
            f"edgeworthy export {model} {variant} --run {shlex.quote(f'{run.parent.name}/{run.name}')}",
        ),
        ("Show its trend", f"edgeworthy history {shlex.quote(str(cell))}"),
    ]
