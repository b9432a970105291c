"""Which measured variant fits, by the numbers of one run on the target asked for, and by nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from edgeworthy.cells import CellId
from edgeworthy.config import CANARY
from edgeworthy.errors import ConfigError
from edgeworthy.records import Estimate
from edgeworthy.reports.frames import RunFrames
from edgeworthy.suggestions import did_you_mean
from edgeworthy.verdicts.limits import Check, checks_of, describe

#: What a choice is made by. A cell without time or size is not known, nor one without accuracy where that is asked for.
METRICS = ("p50_ms", "top1_percent", "size_kb")
#: Statuses with which a variant may ship.
SHIPPABLE = ("pass",)


@dataclass(frozen=True)
class Candidate:
    """A measured cell held against what is wanted."""

    cell: CellId
    status: str
    message: str
    estimates: Mapping[str, Estimate]
    checks: Sequence[Check]

    @property
    def fits(self) -> bool:
        """Whether all its numbers are within the limits."""
        return all(check.passed for check in self.checks)

    @property
    def excess(self) -> float:
        """How much of the limit is used that is broken worst."""
        return max((check.usage for check in self.checks), default=0.0)

    def numbers(self) -> str:
        """``p50 latency 0.0468 ms (0.0467 to 0.0468), top-1 accuracy ..., file size ...``."""
        return ", ".join(describe(metric, estimate) for metric, estimate in self.estimates.items())

    def broken(self) -> str:
        """The broken limits, in a sentence."""
        return "; ".join(check.message() for check in self.checks if not check.passed)


@dataclass(frozen=True)
class Choice:
    """One model's candidates on the target, the fastest first, and why others are not known there."""

    model: str
    fitting: list[Candidate]
    rejected: list[Candidate]
    others: list[Candidate]
    unknown: dict[str, str]

    @property
    def nearest(self) -> Candidate | None:
        """Of those that do not fit, or that the gate rejected, the one that breaks its limits least."""
        return min([*self.rejected, *self.others], key=lambda candidate: candidate.excess, default=None)


def choices(run: RunFrames, target: str, limits: Mapping[str, float], models: Sequence[str] = ()) -> list[Choice]:
    """What of every model (or of ``models``) fits ``limits``, named as budgets are. Raises ConfigError for an unknown name."""
    rows = [row for row in run.cells.to_dict("records") if row["variant"] != CANARY]
    _check_known("--target", [target], {row["target"] for row in rows}, run)
    _check_known("--model", models, {row["model"] for row in rows}, run)
    wanted = models or dict.fromkeys(row["model"] for row in rows)
    return [_choice(model, [row for row in rows if row["model"] == model], target, limits) for model in wanted]


def _choice(model: str, rows: list[dict[Any, Any]], target: str, limits: Mapping[str, float]) -> Choice:
    there = {row["variant"]: row for row in rows if row["target"] == target}
    unknown = {row["variant"]: f"not measured on {target}" for row in rows if row["variant"] not in there}
    measured = {}
    for variant, row in there.items():
        needed = [metric for metric in METRICS if metric != "top1_percent" or "min_top1_percent" in limits]
        missing = [metric for metric in needed if pd.isna(row[metric])]
        if missing:
            unknown[variant] = f"{row['status']}, without {', '.join(missing)}: {row['message']}"
        else:
            measured[variant] = _candidate(row, limits)
    found = sorted(measured.values(), key=lambda candidate: candidate.estimates["p50_ms"].value)
    fits = [candidate for candidate in found if candidate.fits]
    return Choice(
        model,
        fitting=[candidate for candidate in fits if candidate.status in SHIPPABLE],
        rejected=[candidate for candidate in fits if candidate.status not in SHIPPABLE],
        others=[candidate for candidate in found if not candidate.fits],
        unknown=unknown,
    )


def _candidate(row: Mapping[Any, Any], limits: Mapping[str, float]) -> Candidate:
    estimates = {metric: _estimate(row, metric) for metric in METRICS if not pd.isna(row[metric])}
    cell = CellId(row["model"], row["variant"], row["target"])
    return Candidate(cell, row["status"], row["message"], estimates, checks_of(estimates, limits))


def _estimate(row: Mapping[Any, Any], metric: str) -> Estimate:
    low, high = (row.get(f"{metric}_{end}") for end in ("low", "high"))
    if low is None or high is None or pd.isna(low) or pd.isna(high):
        return Estimate(float(row[metric]))
    return Estimate(float(row[metric]), float(low), float(high))


def _check_known(option: str, names: Iterable[str], known: set[str], run: RunFrames) -> None:
    for name in names:
        if name not in known:
            raise ConfigError(
                f"{option} {name}: nothing of that name was measured in the run {run.folder.resolve().name};"
                f" {did_you_mean(name, sorted(known))}",
                hint="name what the run measured, or another run with --run",
            )
