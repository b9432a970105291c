"""Which measured variant fits, by the numbers of one run on the target asked for, and by nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgeworthy.cells import CellId
from edgeworthy.config import CANARY
from edgeworthy.errors import ConfigError
from edgeworthy.metrics import TIMED_LIMITS
from edgeworthy.records import Estimate
from edgeworthy.reports.columns import Row, quality
from edgeworthy.reports.frames import RunFrames
from edgeworthy.suggestions import did_you_mean
from edgeworthy.verdicts.limits import Check, checks_of, describe, flat

#: What is known of every candidate, beside what the limits ask for and what its model is judged by.
SPEED, SIZE = "p50_ms", "size_kb"
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
        """``p50 latency 0.0468 ms (0.0467 to 0.0468), word error rate ..., file size ...``."""
        return ", ".join(describe(metric, estimate) for metric, estimate in self.estimates.items())

    def broken(self) -> str:
        """The broken limits, in a sentence."""
        return "; ".join(check.message() for check in self.checks if not check.passed)

    def plain(self) -> dict[str, Any]:
        """The candidate as plain data: its numbers as cells.csv calls them, and every limit with what it was held against."""
        return {
            "variant": self.cell.variant,
            "status": self.status,
            "message": self.message,
            "metrics": flat(self.estimates),
            "checks": [asdict(check.result()) for check in self.checks],
        }


@dataclass(frozen=True)
class Choice:
    """One model's candidates on the target, the fastest first, and why others are not known there.

    Of a target that is ``emulated`` no times are known, and the smallest is first.
    ``metric`` is what the model is judged by, such as ``top1``, ``map`` or ``wer``; None where its reference did not run.
    """

    model: str
    metric: str | None
    fitting: list[Candidate]
    rejected: list[Candidate]
    others: list[Candidate]
    unknown: dict[str, str]
    emulated: bool = False

    @property
    def nearest(self) -> Candidate | None:
        """Of those that do not fit, or that the gate rejected, the one that breaks its limits least."""
        return min([*self.rejected, *self.others], key=lambda candidate: candidate.excess, default=None)

    def plain(self) -> dict[str, Any]:
        """The choice as plain data; of ``fitting`` the first is the one to take."""
        return {
            "model": self.model,
            "metric": self.metric,
            "emulated": self.emulated,
            "fitting": [candidate.plain() for candidate in self.fitting],
            "rejected": [candidate.plain() for candidate in self.rejected],
            "others": [candidate.plain() for candidate in self.others],
            "unknown": self.unknown,
        }


def choices(run: RunFrames, target: str, limits: Mapping[str, float], models: Sequence[str] = ()) -> list[Choice]:
    """What of every model (or of ``models``) fits ``limits``, named as budgets are. Raises ConfigError for an unknown name."""
    rows = [_known(row) for row in run.cells.to_dict("records") if row["variant"] != CANARY]
    _check_known("--target", [target], {row["target"] for row in rows}, run)
    _check_known("--model", models, {row["model"] for row in rows}, run)
    _check_timed(target, limits, rows)
    wanted = models or dict.fromkeys(row["model"] for row in rows)
    return [_choice(model, [row for row in rows if row["model"] == model], target, limits) for model in wanted]


def _choice(model: str, rows: list[Row], target: str, limits: Mapping[str, float]) -> Choice:
    there = {row["variant"]: row for row in rows if row["target"] == target}
    unknown = {row["variant"]: f"not measured on {target}" for row in rows if row["variant"] not in there}
    limited = [name.partition("_")[2] for name in limits]
    emulated = any(row.get("emulated") for row in there.values())
    first = SIZE if emulated else SPEED
    measured = {}
    for variant, row in there.items():
        missing = [metric for metric in dict.fromkeys((first, *limited, SIZE)) if row.get(metric) is None]
        if missing:
            unknown[variant] = f"{row['status']}, without {', '.join(missing)}: {row['message']}"
        else:
            shown = dict.fromkeys((first, quality(row).metric, *limited, SIZE))
            measured[variant] = _candidate(row, list(shown), limits)
    found = sorted(measured.values(), key=lambda candidate: candidate.estimates[first].value)
    fits = [candidate for candidate in found if candidate.fits]
    return Choice(
        model,
        rows[0]["metric"],
        fitting=[candidate for candidate in fits if candidate.status in SHIPPABLE],
        rejected=[candidate for candidate in fits if candidate.status not in SHIPPABLE],
        others=[candidate for candidate in found if not candidate.fits],
        unknown=unknown,
        emulated=emulated,
    )


def _known(row: Mapping[Any, Any]) -> Row:
    """The row as it was written: pandas has a NaN for what is not known."""
    import pandas as pd  # here: every command imports this module, and pandas takes a third of a second

    return {name: None if pd.isna(value) else value for name, value in row.items()}


def _candidate(row: Row, shown: Sequence[str], limits: Mapping[str, float]) -> Candidate:
    estimates = {metric: _estimate(row, metric) for metric in shown if row.get(metric) is not None}
    cell = CellId(row["model"], row["variant"], row["target"])
    return Candidate(cell, row["status"], row["message"], estimates, checks_of(estimates, limits))


def _estimate(row: Row, metric: str) -> Estimate:
    return Estimate(row[metric], row.get(f"{metric}_low"), row.get(f"{metric}_high"))


def _check_timed(target: str, limits: Mapping[str, float], rows: Sequence[Row]) -> None:
    """Refuse limits of times and memory where the target is emulated."""
    unknown = sorted(TIMED_LIMITS & limits.keys())
    if unknown and any(row.get("emulated") for row in rows if row["target"] == target):
        raise ConfigError(
            f"--budget {unknown[0]}: {target} is emulated, and has no times and no memory of its own",
            hint="choose by accuracy and size here, and by times on the device itself",
        )


def _check_known(option: str, names: Iterable[str], known: set[str], run: RunFrames) -> None:
    for name in names:
        if name not in known:
            raise ConfigError(
                f"{option} {name}: nothing of that name was measured in the run {run.folder.resolve().name};"
                f" {did_you_mean(name, sorted(known))}",
                hint="name what the run measured, or another run with --run",
            )
