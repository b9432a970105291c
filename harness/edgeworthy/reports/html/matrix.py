"""Variants by targets, one table a model: at a glance what each cell is, and its worst metric or a number of choice."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from edgeworthy.cells import CellId
from edgeworthy.metrics import METRICS
from edgeworthy.records import Checked, Estimate, Verdict
from edgeworthy.reports.columns import Row, id_of
from edgeworthy.reports.html.numbers import Number, latency_column, lost_column, number_of
from edgeworthy.verdicts.limits import Check

#: What the matrix can show of a cell -> what the choice is called.
SHOWN = {
    "status": "Status and worst metric",
    "drop": "Drop",
    "latency": "Latency",
    "size": "Size",
    "accelerated": "Accelerated share",
}


@dataclass(frozen=True)
class Worst:
    """The limit that a cell is nearest to, or breaks most: the number, and the limit with its unit."""

    label: str
    value: str
    limit: str
    passed: bool


@dataclass(frozen=True)
class Entry:
    """A cell of the matrix; ``numbers`` has those of SHOWN that are known."""

    cell: CellId
    status: str
    worst: Worst | None
    numbers: Mapping[str, Number]


@dataclass(frozen=True)
class Matrix:
    """A model's cells; where there is no entry the run did not plan the cell. ``emulated`` are those of the targets."""

    model: str
    targets: Sequence[str]
    variants: Sequence[str]
    entries: Mapping[tuple[str, str], Entry]
    emulated: Collection[str]


def matrices_of(rows: Sequence[Row], verdicts: Mapping[CellId, Sequence[Verdict]]) -> list[Matrix]:
    """One for each model, variants and targets in the order of ``rows`` as the run planned them."""
    by_model: dict[str, list[Row]] = {}
    for row in rows:
        by_model.setdefault(row["model"], []).append(row)
    return [_matrix(model, own, verdicts) for model, own in by_model.items()]


def _matrix(model: str, rows: Sequence[Row], verdicts: Mapping[CellId, Sequence[Verdict]]) -> Matrix:
    entries = {(row["variant"], row["target"]): _entry(row, verdicts.get(id_of(row), ())) for row in rows}
    targets, variants = (list(dict.fromkeys(row[name] for row in rows)) for name in ("target", "variant"))
    emulated = {row["target"] for row in rows if row["emulated"]}
    return Matrix(model, targets, variants, entries, emulated)


def _entry(row: Row, verdicts: Sequence[Verdict]) -> Entry:
    columns = {
        "drop": lost_column(row),
        "latency": latency_column(row),
        "size": "size_kb",
        "accelerated": "delegated_percent",
    }
    known = {name: number for name, column in columns.items() if (number := number_of(row, column))}
    return Entry(id_of(row), row["status"], _worst(verdicts), known)


def _worst(verdicts: Sequence[Verdict]) -> Worst | None:
    """Of all limits of the cell the one that is used most."""
    checks = [check for verdict in verdicts for check in verdict.checks]
    if not checks:
        return None
    check = max(checks, key=_usage)
    metric = METRICS[check.metric]
    side = "\u2264" if check.side == "max" else "\u2265"
    return Worst(metric.label, metric.shown(check.value), f"{side} {metric.shown(check.limit)}", check.passed)


def _usage(check: Checked) -> float:
    return Check(check.metric, check.side, check.limit, Estimate(check.value)).usage
