"""Size, speed and accuracy of the variants on one target, to choose between them: what dominates what, and the budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgeworthy.cells import CellId
from edgeworthy.config import CANARY
from edgeworthy.metrics import METRICS
from edgeworthy.records import Verdict
from edgeworthy.reports.columns import Row, id_of
from edgeworthy.reports.html.numbers import finite, latency_column, lost_column

#: A front of fewer variants is no choice.
FEWEST = 2
#: A budget that allows so many times the largest value is drawn nowhere near it.
NEAR = 5


def choices_of(rows: Sequence[Row], verdicts: Mapping[CellId, Sequence[Verdict]]) -> list[dict[str, Any]]:
    """For each model and target the measured variants as plain data; a target with fewer than FEWEST is left out."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        if row["variant"] != CANARY and _where(row):
            groups.setdefault((row["model"], row["target"], latency_column(row)), []).append(row)
    return [_figure(*key, own, verdicts) for key, own in groups.items() if len(own) >= FEWEST]


def _where(row: Row) -> tuple[float, float, float] | None:
    """What is lost, latency and size, where all are known and finite: less of each is better."""
    found = [finite(row[column]) for column in (lost_column(row), latency_column(row), "size_kb")]
    lost, latency, size = found
    return None if lost is None or latency is None or size is None else (lost, latency, size)


def _figure(
    model: str, target: str, latency: str, rows: Sequence[Row], verdicts: Mapping[CellId, Sequence[Verdict]]
) -> dict[str, Any]:
    lost = lost_column(rows[0])
    places = [place for row in rows if (place := _where(row))]
    points = [_point(row, lost, latency, places) for row in rows]
    (x, far), (y, farther) = (_limits(column, rows, verdicts) for column in (latency, lost))
    return {
        "model": model,
        "target": target,
        "x": _axis(latency),
        "y": _axis(lost),
        "limits": {"x": x, "y": y},
        "beyond": [*far, *farther],
        "points": points,
        "front": sorted((point["x"], point["y"]) for point in points if point["front"]),
    }


def _limits(
    column: str, rows: Sequence[Row], verdicts: Mapping[CellId, Sequence[Verdict]]
) -> tuple[list[float], list[str]]:
    """The different limits of a metric: those that are drawn, and those that are too far off, as text."""
    checks = [check for row in rows for verdict in verdicts.get(id_of(row), ()) for check in verdict.checks]
    limits = sorted({check.limit for check in checks if check.metric == column})
    largest = NEAR * max(row[f"{column}_high"] or row[column] for row in rows)
    metric = METRICS[column]
    far = [f"{metric.label} {metric.shown(limit)}" for limit in limits if limit > largest]
    return [limit for limit in limits if limit <= largest], far


def _axis(column: str) -> str:
    metric = METRICS[column]
    return f"{metric.label},{metric.unit}" if metric.unit else metric.label


def _point(row: Row, lost: str, latency: str, places: Sequence[tuple[float, float, float]]) -> dict[str, Any]:
    place = _where(row)
    assert place is not None
    ends = {
        f"{axis}{end[0]}": finite(row.get(f"{column}_{end}"))
        for axis, column in (("x", latency), ("y", lost))
        for end in ("low", "high")
    }
    return {
        "cell": str(id_of(row)),
        "variant": row["variant"],
        "status": row["status"],
        "y": place[0],
        "x": place[1],
        "size": place[2],
        "texts": [METRICS[name].shown(row[name]) for name in (latency, lost, "size_kb")],
        "dominated": any(_dominates(other, place) for other in places),
        "front": not any(_dominates(other[:2], place[:2]) for other in places),
        **ends,
    }


def _dominates(other: tuple[float, ...], place: tuple[float, ...]) -> bool:
    """At least as good in everything, and better in something."""
    return other != place and all(theirs <= own for theirs, own in zip(other, place, strict=True))
