"""A cell's metric over all runs: what changed, where it began, and whether it was for the worse."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from edgeworthy.cells import CellId
from edgeworthy.config import Limits
from edgeworthy.errors import ConfigError
from edgeworthy.history.database import History, Point
from edgeworthy.metrics import METRICS
from edgeworthy.statistics.change_points import FEWEST, Change, find_changes
from edgeworthy.suggestions import did_you_mean
from edgeworthy.verdicts import accuracy, consistency

#: Of a longer history the newest runs are judged: more than a year of nights.
JUDGED = 500
#: Metrics that depend on the evaluation samples and on what they are judged by.
ACCURACY = {*accuracy.HINTS, *consistency.HINTS}
#: The smallest change worth a sentence: a share of metrics with these units, else so many of the metric's units.
SHARES = {" ms", " KB", " MB", "x", ""}
SMALLEST_SHARE, SMALLEST = 0.01, 0.1


@dataclass(frozen=True)
class Finding:
    """A change, and the run that it began with; ``stands`` until the metric is half way back."""

    change: Change
    began: Point
    runs: int
    metric: str
    worse: bool
    stands: bool

    @property
    def status(self) -> str:
        """``regressed``, ``improved``, or the same of a change that was undone."""
        status = "regressed" if self.worse else "improved"
        return status if self.stands else f"{status}, since undone"

    def message(self) -> str:
        """What happened, by how much, and the run and revision where it began."""
        row = METRICS[self.metric]
        label, unit, digits = row.label, row.unit, row.digits
        before, after = self.change.before, self.change.after
        how = f"crept over {self.runs} runs" if self.change.kind == "creep" else "stepped"
        by = (
            f"{100 * (after / before - 1):+.1f} %" if _by_share(self.metric, before) else f"{after - before:+.2f}{unit}"
        )
        return (
            f"{label} {self.status}: it {how} from {before:.{digits}f} to {after:.{digits}f}{unit} ({by}), "
            f"beginning with run {self.began.run} ({revision(self.began)})"
        )


@dataclass(frozen=True)
class Trend:
    """``points``, oldest first; those at ``judged`` were made under the newest one's conditions and may be compared."""

    cell: CellId
    metric: str
    points: tuple[Point, ...]
    judged: tuple[int, ...]
    findings: tuple[Finding, ...]

    def regressions(self, since: str = "") -> list[Finding]:
        """What got worse and still is; with ``since``, only what began with that run or later."""
        runs = [point.run for point in self.points]
        if since and since not in runs:
            raise ConfigError(
                f"--since {since}: no such run in the history of {self.cell}; {did_you_mean(since, runs)}",
                hint="name a run of this history",
            )
        first = runs.index(since) if since else 0
        return [
            found for found in self.findings if found.worse and found.stands and runs.index(found.began.run) >= first
        ]

    def summary(self) -> str:
        """How much was judged, and what was found in it."""
        others = len(self.points) - len(self.judged)
        left_out = (
            f" ({others} more are older, or of another device, system, runtime, thread count, dataset or metric)"
            if others
            else ""
        )
        if len(self.judged) < FEWEST:
            return (
                f"{len(self.judged)} comparable runs{left_out}: separating a change from noise takes {FEWEST} or more"
            )
        found = (
            f"{len(self.findings)} changes" if len(self.findings) > 1 else "1 change" if self.findings else "no change"
        )
        return f"{len(self.judged)} comparable runs{left_out}: {found}"


def matching_cells(history: History, glob: str, metric: str) -> list[str]:
    """The cells with a history of ``metric`` that a glob names; what is a cell's name, or no glob, is that one cell."""
    known = _by_name(history)
    if glob in known or not any(sign in glob for sign in "*?["):
        return [glob]
    found = [name for name in fnmatch.filter(known, glob) if history.trend(known[name], metric)]
    if not found:
        raise ConfigError(
            f"the history has no cell {glob!r} with {metric}", hint="use a wider glob, or another --metric"
        )
    return found


def read_trend(history: History, cell: str, metric: str) -> Trend:
    """The trend of ``model/variant/target``. Raises ConfigError with the nearest valid names, HistoryError."""
    if metric not in METRICS:
        raise ConfigError(
            f"there is no metric {metric!r}; {did_you_mean(metric, METRICS)}", hint="correct the name of the metric"
        )
    known = _by_name(history)
    found = known.get(cell)
    points = history.trend(found, metric) if found else []
    if not (found and points):
        raise _refusal(known, cell, metric)
    return judged_trend(found, metric, points)


def _by_name(history: History) -> dict[str, CellId]:
    """Every cell by its name, which is printable where the cell's is not."""
    return {str(cell): cell for cell in history.cells()}


def judged_trend(cell: CellId, metric: str, points: Sequence[Point]) -> Trend:
    """Find the changes among the newest comparable runs."""
    newest = _conditions(points[-1], metric)
    comparable = [index for index, point in enumerate(points) if _conditions(point, metric) == newest]
    judged = comparable[-JUDGED:]
    values = np.array([points[index].value for index in judged])
    by_share = all(_by_share(metric, value) for value in values)
    changes = find_changes(values, SMALLEST_SHARE if by_share else SMALLEST, by_share)
    findings = []
    for change in changes.found:
        up = change.after > change.before
        lasts = (changes.now - change.before) / (change.after - change.before) >= 0.5
        began = points[judged[change.first]]
        findings.append(Finding(change, began, change.runs, metric, up != _higher_is_better(metric), lasts))
    return Trend(cell, metric, tuple(points), tuple(judged), tuple(findings))


def _conditions(point: Point, metric: str) -> tuple[str | None, ...]:
    """What must be equal for two points to be compared: the device, and for accuracy the samples, targets and metric."""
    return (point.fingerprint, point.compared_by) if metric in ACCURACY else (point.fingerprint,)


def revision(point: Point) -> str:
    """``revision 0123456789, modified``."""
    known = f"revision {point.revision[:10]}" if point.revision else "revision unknown"
    return f"{known}, modified" if point.modified else known


def _by_share(metric: str, value: float) -> bool:
    return METRICS[metric].unit in SHARES and value > 0


def _higher_is_better(metric: str) -> bool:
    return f"min_{metric}" in Limits.model_fields


def _refusal(known: Collection[str], cell: str, metric: str) -> ConfigError:
    """Why a cell has no trend: the history knows it without the metric, or not at all."""
    if cell in known:
        return ConfigError(
            f"{cell}: no run ever measured {metric}", hint=f"choose another --metric: {', '.join(METRICS)}"
        )
    return ConfigError(
        f"the history has no cell {cell!r} (MODEL/VARIANT/TARGET); {did_you_mean(cell, known)}",
        hint="correct the cell's name",
    )
