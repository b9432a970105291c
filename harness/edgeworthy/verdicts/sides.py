"""A cell and its baseline, side by side, and what every comparison of them says in the same way."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass

from edgeworthy.cells import CellId
from edgeworthy.config import Tolerances
from edgeworthy.metrics import COMPARED
from edgeworthy.records import Change, ChangeStatus, Effect, Evidence, Interleaved
from edgeworthy.verdicts.snapshots import Snapshot

#: Statuses that fail, worst first, and the others.
RED: tuple[ChangeStatus, ...] = ("regressed", "missing", "not comparable", "new")
WORDS: tuple[ChangeStatus, ...] = (*RED, "improved", "unchanged")
_STEPS: dict[ChangeStatus, str] = {
    "regressed": "find what changed since the baseline, or accept it with the reason",
    "missing": "measure it again, or accept a baseline without it",
    "not comparable": "compare where the baseline was measured, or accept a baseline that was measured here",
    "new": "accept it",
}


@dataclass(frozen=True)
class Sides:
    """The accepted numbers of a cell ``before`` and those of the run ``after``; ``run`` is how commands name the run."""

    cell: CellId
    before: Snapshot
    after: Snapshot
    tolerances: Tolerances
    run: str
    interleaved: Interleaved | None = None

    @functools.cached_property
    def same(self) -> bool:
        """Whether times differ by noise alone."""
        return same_artifact(self.before, self.after)

    def lacking(self, metric: str, before: bool, after: bool) -> Change | None:
        """The change of a metric that only one side has; None where both have it, or neither."""
        if before and not after:
            return self.change(metric, "missing", "exact", None, None, "is in the baseline but not in the run")
        if after and not before:
            return self.change(metric, "new", "exact", None, None, "is in the run but not in the baseline")
        return None

    def change(
        self,
        metric: str,
        status: ChangeStatus,
        evidence: Evidence,
        before: float | None,
        after: float | None,
        said: str,
        effect: Effect | None = None,
    ) -> Change:
        """A change of one metric, with what is known of its cause and what to do about it."""
        said += self._cause() if metric in ("accuracy", "metric", "agreement") else ""
        hint = f"{_STEPS[status]}: {accept_command(self.run, self.cell)}" if status in RED else ""
        label = "mean latency" if metric == "latency" and self.after.statistic == "mean" else COMPARED[metric].label
        return Change(self.cell, metric, status, evidence, before, after, f"{label} {said}", hint, effect)

    def tolerance(self, key: str) -> float:
        """The tolerance of that name in models.yaml."""
        value: float = getattr(self.tolerances, key)
        return value

    def _cause(self) -> str:
        """What is known of why outputs differ: another source, or another way of making the artifact of the same one."""
        before, after = self.before, self.after
        if before.artifact == after.artifact or not before.source or not after.source:
            return ""
        if before.source != after.source:
            return "; the model's source changed (its weights or code)"
        return "; the artifact changed, its source did not (recipe, calibration or tools)"


def accept_command(run: str, cell: CellId, removed: bool = False) -> str:
    """The command that makes this cell of the run the baseline, or takes a removed cell out of it."""
    only = f"--model {cell.model} --variant {cell.variant} --target {cell.target}"
    return f'edgeworthy baseline accept {run} {only}{" --removed" if removed else ""} --reason "..."'


def same_artifact(before: Snapshot, after: Snapshot) -> bool:
    """Whether the same file ran in the same way on the same device: then times differ by noise alone."""
    share = "delegated_percent"
    return (
        before.artifact == after.artifact
        and before.fingerprint == after.fingerprint
        and near(before.metrics.get(share), after.metrics.get(share))
    )


def unlike_fingerprints(before: Mapping[str, str], after: Mapping[str, str]) -> str | None:
    """What differs between two devices' fingerprints, with both values, or None where nothing does."""
    keys = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
    if not keys:
        return None
    pairs = (f"{key} was {before.get(key, 'not known')!r}, is {after.get(key, 'not known')!r}" for key in keys)
    return f"cannot be compared: {', '.join(pairs)}"


def near(one: float | None, other: float | None) -> bool:
    """Equal up to the rounding of baseline files."""
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-9)


def allowed(status: ChangeStatus, limit: str) -> str:
    """A clause that says what would have been allowed, of a regression."""
    return f", at most {limit} allowed" if status == "regressed" else ""
