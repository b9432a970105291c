"""How a cell changed since its baseline: one typed change per metric, and one verdict over all of them.

A regression is an effect above the tolerance and, where a number has noise, evidence against that noise. What cannot be
compared is "not comparable", and never a pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgeworthy.cells import CellId
from edgeworthy.config import Regression
from edgeworthy.metrics import COMPARED
from edgeworthy.records import Change, ChangeStatus, Estimate, Evidence, Interleaved, Verdict
from edgeworthy.verdicts.paired import PairedAccuracy, conclusive, share
from edgeworthy.verdicts.paired_scores import PairedScores
from edgeworthy.verdicts.percentiles import FEWEST_LOADS, over_loads
from edgeworthy.verdicts.snapshots import Snapshot

AXIS = "regression"
#: Statuses that fail, worst first, and the others.
RED: tuple[ChangeStatus, ...] = ("regressed", "missing", "not comparable", "new")
WORDS: tuple[ChangeStatus, ...] = (*RED, "improved", "unchanged")


def accept_command(run: str, cell: CellId, removed: bool = False) -> str:
    """The command that makes this cell of the run the baseline, or takes a removed cell out of it."""
    only = f"--model {cell.model} --variant {cell.variant} --target {cell.target}"
    return f'edgeworthy baseline accept {run} {only}{" --removed" if removed else ""} --reason "..."'


def new_cell(cell: CellId, run: str) -> Change:
    """A cell without a baseline."""
    return Change(
        cell, "cell", "new", "exact", None, None, "the cell has no baseline", f"accept it: {accept_command(run, cell)}"
    )


def compare_cell(
    cell: CellId,
    before: Snapshot,
    after: Snapshot,
    tolerances: Regression,
    *,
    run: str,
    interleaved: Interleaved | None = None,
) -> list[Change]:
    """One change per metric that either side has.

    ``run`` is how commands name the run. ``interleaved`` is stronger evidence of latency than stored times, and needs
    no equal fingerprints, since both sides ran on the device as it now is.
    """
    return _Comparison(cell, before, after, tolerances, run, interleaved).changes()


def same_artifact(before: Snapshot, after: Snapshot) -> bool:
    """Whether the same file ran in the same way on the same device: then times differ by noise alone."""
    share = "delegated_percent"
    return (
        before.artifact == after.artifact
        and before.fingerprint == after.fingerprint
        and _near(before.metrics.get(share), after.metrics.get(share))
    )


def regression_verdict(cell: CellId, changes: Sequence[Change]) -> Verdict:
    """All changes of a cell as one verdict: true if none of them fails."""
    red = sorted((change for change in changes if change.status in RED), key=lambda change: RED.index(change.status))
    if red:
        said = "; ".join(f"{change.status}: {change.message}" for change in red)
        return Verdict(cell, AXIS, "fail", red[0].evidence, said, red[0].hint)
    improved = [change for change in changes if change.status == "improved"]
    evidence: Evidence = (
        "inconclusive" if any(change.evidence == "inconclusive" for change in changes) else "conclusive"
    )
    said = f"unchanged against the baseline in {len(changes) - len(improved)} metrics"
    return Verdict(
        cell, AXIS, "pass", evidence, "; ".join([said, *(f"improved: {change.message}" for change in improved)])
    )


class _Comparison:
    """One cell against its baseline."""

    def __init__(
        self,
        cell: CellId,
        before: Snapshot,
        after: Snapshot,
        tolerances: Regression,
        run: str,
        interleaved: Interleaved | None,
    ) -> None:
        self.cell, self.before, self.after = cell, before, after
        self.tolerances = tolerances
        self.accept = accept_command(run, cell)
        self.interleaved = interleaved
        self.same = same_artifact(before, after)

    def changes(self) -> list[Change]:
        """Every metric in the order of COMPARED."""
        t = self.tolerances
        found = [
            *self._quality(),
            self._latency(),
            self._load(),
            self._memory(),
            self._exact("size", "size_kb", t.size_percent, t.size_floor_kb),
            self._exact("gzip", "gzip_kb", t.size_percent, t.size_floor_kb),
            self._delegated(),
        ]
        return [change for change in found if change is not None]

    # -- quality ----------------------------------------------------------------------------------------------

    def _quality(self) -> Iterable[Change | None]:
        before, after = self.before, self.after
        by_score = before.scores is not None or after.scores is not None
        for metric in ("metric",) if by_score else ("accuracy", "agreement"):
            lacking = self._lacking(metric, before.judged is not None, after.judged is not None)
            unlike = self._unlike_samples()
            if lacking or unlike:
                yield lacking or self._change(metric, "not comparable", "exact", None, None, unlike or "")
                continue
            yield {"metric": self._scores, "accuracy": self._accuracy, "agreement": self._agreement}[metric]()

    def _unlike_samples(self) -> str | None:
        before, after = self.before, self.after
        if before.metric != after.metric:
            return f"the metric was {before.metric}, is {after.metric}"
        if before.dataset != after.dataset:
            labels = "the labels are the same" if before.labels == after.labels else "so are the labels"
            return f"the samples differ (dataset {before.dataset[:12]} -> {after.dataset[:12]}; {labels})"
        if before.higher_is_better != after.higher_is_better:
            return f"the direction of {after.metric} (higher or lower is better) changed"
        if before.judged is not None and after.judged is not None and before.judged.size != after.judged.size:
            return f"the baseline has {before.judged.size} samples, the run {after.judged.size}"
        return None

    def _scores(self) -> Change:
        """Another metric than accuracy, sample by sample."""
        assert self.before.scores is not None
        assert self.after.scores is not None
        pairs = PairedScores(self.before.scores, self.after.scores, self.after.higher_is_better)
        old, new = (float(side.mean(dtype=np.float64)) for side in (pairs.reference, pairs.candidate))
        lost, limit = pairs.drop_percent(), self.tolerances.metric_percent
        status: ChangeStatus = (
            "regressed" if not lost.value <= limit else "improved" if -lost.value > limit else "unchanged"
        )
        opposite = Estimate(-lost.value, *(None if end is None else -end for end in (lost.high, lost.low)))
        certain = conclusive(opposite if status == "improved" else lost, limit, "max")
        verb = "better" if lost.value < 0 else "worse"
        said = (
            f"{self.after.metric} {old:.6g} -> {new:.6g} on the same {pairs.reference.size} samples:"
            f" {abs(lost.value):.2f} % {verb}{_allowed(status, f'{limit:.2f} %')} (p = {pairs.p():.2g})"
        )
        return self._change("metric", status, "conclusive" if certain else "inconclusive", old, new, said)

    def _accuracy(self) -> Change:
        assert self.before.correct is not None
        assert self.after.correct is not None
        pairs = PairedAccuracy.of(self.before.correct, self.after.correct)
        drop, limit = pairs.drop_interval(), self.tolerances.accuracy_points
        gained = Estimate(-drop.value, *(None if end is None else -end for end in (drop.high, drop.low)))
        status: ChangeStatus = (
            "regressed" if drop.value > limit else "improved" if gained.value > limit else "unchanged"
        )
        certain = conclusive(gained if status == "improved" else drop, limit, "max")
        shown, verb = (gained, "gained") if drop.value < 0 else (drop, "lost")
        said = (
            f"{self.after.metric} {pairs.reference_percent:.2f} -> {pairs.candidate_percent:.2f} % on the same"
            f" {pairs.n} samples: {_with_interval(shown, 2)} pp {verb}{_allowed(status, f'{limit:.2f} pp')}"
            f" (p = {pairs.mcnemar_p():.2g})"
        )
        evidence: Evidence = "conclusive" if certain else "inconclusive"
        return self._change("accuracy", status, evidence, pairs.reference_percent, pairs.candidate_percent, said)

    def _agreement(self) -> Change:
        """Samples whose prediction changed and is not newly correct: other samples may be wrong at the same average."""
        before, after = self.before, self.after
        assert before.predictions is not None
        assert after.predictions is not None
        assert before.correct is not None
        assert after.correct is not None
        won = int((after.correct & ~before.correct).sum())
        lost = int((before.correct & ~after.correct).sum())
        other = int(((before.predictions != after.predictions) & ~(after.correct & ~before.correct)).sum())
        part, limit = share(other, before.predictions.size), self.tolerances.agreement_points
        surely = part.value > limit and (part.low is None or part.low > limit)
        status: ChangeStatus = "regressed" if surely else "unchanged"
        same_average = ": other samples are wrong at the same average" if lost and lost == won else ""
        said = (
            f"{100.0 - part.value:.2f} %: {other} of {before.predictions.size} samples changed their"
            " prediction and are not newly correct"
            f"{_allowed(status, f'{limit:.2f} %')}; {lost} became wrong, {won} became correct{same_average}"
            + ("; regression.agreement_points in models.yaml allows more" if surely else "")
        )
        evidence: Evidence = "conclusive" if conclusive(part, limit, "max") else "inconclusive"
        return self._change("agreement", status, evidence, 100.0, 100.0 - part.value, said)

    # -- times ------------------------------------------------------------------------------------------------

    def _latency(self) -> Change | None:
        before, after, t = self.before.latency_ms, self.after.latency_ms, self.tolerances
        lacking = self._lacking("latency", before is not None, after is not None)
        if lacking or before is None or after is None:
            return lacking
        if self.before.statistic != self.after.statistic:
            unlike = f"cannot be compared: the baseline has {self.before.statistic}s, the run {self.after.statistic}s"
            return self._change("latency", "not comparable", "exact", None, None, unlike)
        if self.same and not self.interleaved:
            return self._same_artifact(before, after)
        loads = self.before.latency_loads_ns, self.after.latency_loads_ns
        if not self.interleaved:
            return self._stored_times("latency", before, after, loads, t.latency_percent, t.latency_floor_us / 1e3)
        timed = self.interleaved
        if timed.invalid_reason:
            return self._change("latency", "not comparable", "exact", before, after, timed.invalid_reason)
        how = f"{timed.rounds} interleaved A/B rounds"
        slower_ms = after - after / timed.ratio.value
        said = self._times("latency", timed.ratio, slower_ms, t.latency_percent, t.latency_floor_us / 1e3)
        return self._change("latency", said[0], timed.evidence, before, after, f"{said[1]}; {how}")

    def _same_artifact(self, before_ms: float, after_ms: float) -> Change:
        """Unchanged, unless it certainly takes so much longer than when it was accepted that no session's noise explains it."""
        ratio = self._same_artifact_ratio(after_ms / before_ms)
        if ratio.value <= SAME_ARTIFACT_LIMIT or after_ms - before_ms <= self.tolerances.latency_floor_us / 1e3:
            return self._change("latency", "unchanged", "exact", before_ms, after_ms, _SAME)
        low, high = ratio.low or ratio.value, ratio.high or ratio.value
        said = f"{_SAME}, and {ratio.value:.1f}x ({low:.1f} to {high:.1f}) as long as when it was accepted"
        if low <= SAME_ARTIFACT_LIMIT:
            return self._change(
                "latency", "unchanged", "inconclusive", before_ms, after_ms, f"{said}: noise may explain it"
            )
        said += ": the device changed, not the model (throttled?)"
        return self._change("latency", "regressed", "conclusive", before_ms, after_ms, said)

    def _same_artifact_ratio(self, value: float) -> Estimate:
        """After over before, with its interval where there are loads enough for one."""
        loads = self.before.latency_loads_ns, self.after.latency_loads_ns
        if min(side.size for side in loads) < FEWEST_LOADS:
            return Estimate(value)
        return stored_ratio(*loads, between_session_percent=0)

    def _load(self) -> Change | None:
        before, after, t = self.before.metrics.get("load_ms"), self.after.metrics.get("load_ms"), self.tolerances
        lacking = self._lacking("load", before is not None, after is not None)
        if lacking or before is None or after is None:
            return lacking
        if self.same:
            return self._change("load", "unchanged", "exact", before, after, _SAME)
        loads = self.before.load_loads_ns, self.after.load_loads_ns
        return self._stored_times("load", before, after, loads, t.load_percent, t.load_floor_ms)

    def _stored_times(
        self,
        metric: str,
        before_ms: float,
        after_ms: float,
        loads: tuple[NDArray[np.int64], NDArray[np.int64]],
        tolerance_percent: float,
        floor_ms: float,
    ) -> Change:
        unlike = self.after.invalid_reason or unlike_fingerprints(self.before.fingerprint, self.after.fingerprint)
        if not unlike and min(side.size for side in loads) < FEWEST_LOADS:
            unlike = f"with fewer than {FEWEST_LOADS} reloads a side there is no evidence against noise"
        if unlike:
            return self._change(metric, "not comparable", "exact", before_ms, after_ms, unlike)
        ratio = stored_ratio(*loads, self.tolerances.between_session_percent)
        status, said = self._times(metric, ratio, after_ms - before_ms, tolerance_percent, floor_ms)
        evidence: Evidence = "conclusive" if conclusive(ratio, 1 + tolerance_percent / 100, "max") else "inconclusive"
        shown = COMPARED[metric].shown
        said = (
            f"{shown(before_ms)} -> {shown(after_ms)}: {said}; stored times of two sessions,"
            f" {self.tolerances.between_session_percent:g} % allowed for what differs between sessions"
        )
        return self._change(metric, status, evidence, before_ms, after_ms, said)

    @staticmethod
    def _times(
        metric: str, ratio: Estimate, slower_ms: float, tolerance_percent: float, floor_ms: float
    ) -> tuple[ChangeStatus, str]:
        """Word and clause: an effect above tolerance and floor, and an interval that lies on the effect's side of 1."""
        low, high = ratio.low or ratio.value, ratio.high or ratio.value
        limit = 1 + tolerance_percent / 100
        status: ChangeStatus = "unchanged"
        if ratio.value > limit and low > 1 and slower_ms > floor_ms:
            status = "regressed"
        elif ratio.value < 1 / limit and high < 1 and -slower_ms > floor_ms:
            status = "improved"
        names = COMPARED[metric]
        percent = Estimate(*(100 * (value - 1) for value in (ratio.value, low, high)))
        said = f"{_signed(percent)} % {names.larger}{_allowed(status, f'{tolerance_percent:g} %')}"
        if status == "unchanged" and ratio.value > limit:
            said += f": no evidence against noise, or under the floor of {floor_ms:g} ms"
        return status, said

    # -- exact numbers ----------------------------------------------------------------------------------------

    def _memory(self) -> Change | None:
        before, after = self.before.metrics.get("peak_memory_mb"), self.after.metrics.get("peak_memory_mb")
        unlike = unlike_fingerprints(self.before.fingerprint, self.after.fingerprint)
        if before is not None and after is not None and unlike:
            return self._change("memory", "not comparable", "exact", before, after, unlike)
        t = self.tolerances
        return self._exact("memory", "peak_memory_mb", t.memory_percent, t.memory_floor_mb)

    def _exact(self, metric: str, key: str, tolerance_percent: float, floor: float = 0.0) -> Change | None:
        before, after = self.before.metrics.get(key), self.after.metrics.get(key)
        lacking = self._lacking(metric, before is not None, after is not None)
        if lacking or before is None or after is None:
            return lacking
        names, more = COMPARED[metric], after - before
        percent = 100 * more / before if before else math.inf * more if more else 0.0
        status: ChangeStatus = "unchanged"
        if abs(percent) > tolerance_percent and abs(more) > floor and not _near(before, after):
            status = "regressed" if more > 0 else "improved"
        how = f"{abs(percent):.1f} % {names.larger if more > 0 else names.smaller}" if more else "the same"
        limit = f"{tolerance_percent:g} %" + (f" and {names.shown(floor)}" if floor else "")
        said = f"{names.shown(before)} -> {names.shown(after)}: {how}{_allowed(status, limit)}"
        return self._change(metric, status, "exact", before, after, said)

    def _delegated(self) -> Change | None:
        before, after = (side.metrics.get("delegated_percent") for side in (self.before, self.after))
        lacking = self._lacking("delegated", before is not None, after is not None)
        if lacking or before is None or after is None:
            return lacking
        limit, names = self.tolerances.delegated_points, COMPARED["delegated"]
        status: ChangeStatus = "unchanged"
        if abs(after - before) > limit and not _near(before, after):
            status = "regressed" if after < before else "improved"
        said = f"{names.shown(before)} -> {names.shown(after)}{_allowed(status, f'{limit:g} pp less')}"
        return self._change("delegated", status, "exact", before, after, said)

    # -- what is common ---------------------------------------------------------------------------------------

    def _lacking(self, metric: str, before: bool, after: bool) -> Change | None:
        if before and not after:
            return self._change(metric, "missing", "exact", None, None, "is in the baseline but not in the run")
        if after and not before:
            return self._change(metric, "new", "exact", None, None, "is in the run but not in the baseline")
        return None

    def _change(
        self,
        metric: str,
        status: ChangeStatus,
        evidence: Evidence,
        before: float | None,
        after: float | None,
        said: str,
    ) -> Change:
        said += self._cause() if metric in ("accuracy", "metric", "agreement") else ""
        hint = f"{_STEPS[status]}: {self.accept}" if status in RED else ""
        label = "mean latency" if metric == "latency" and self.after.statistic == "mean" else COMPARED[metric].label
        return Change(self.cell, metric, status, evidence, before, after, f"{label} {said}", hint)

    def _cause(self) -> str:
        """What is known of why outputs differ: another source, or another way of making the artifact of the same one."""
        before, after = self.before, self.after
        if before.artifact == after.artifact or not before.source or not after.source:
            return ""
        if before.source != after.source:
            return "; the model's source changed (its weights or code)"
        return "; the artifact changed, its source did not (recipe, calibration or tools)"


#: The same artifact in another session: the 90th percentile of the spread was 1.2x (docs/gate.md), a throttled core is 2x.
SAME_ARTIFACT_LIMIT = 2.0
_SAME = "is that of the same artifact, run in the same way on the same device"
_STEPS: dict[ChangeStatus, str] = {
    "regressed": "find what changed since the baseline, or accept it with the reason",
    "missing": "measure it again, or accept a baseline without it",
    "not comparable": "compare where the baseline was measured, or accept a baseline that was measured here",
    "new": "accept it",
}


def unlike_fingerprints(before: Mapping[str, str], after: Mapping[str, str]) -> str | None:
    """What differs between two devices' fingerprints, with both values, or None where nothing does."""
    keys = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
    if not keys:
        return None
    pairs = (f"{key} was {before.get(key, 'not known')!r}, is {after.get(key, 'not known')!r}" for key in keys)
    return f"cannot be compared: {', '.join(pairs)}"


def stored_ratio(before_ns: NDArray[np.int64], after_ns: NDArray[np.int64], between_session_percent: float) -> Estimate:
    """After over before, of one number per reload, with an interval that also holds what differs between sessions.

    The interval of the log ratio comes from the two medians' own (G. Y. Zou, A. Donner, Construction of confidence
    limits about effect measures: a general approach, Statistics in Medicine 27 (2008) 1693-1702); it is then widened
    on both sides by the allowance. Needs FEWEST_LOADS loads a side.
    """
    sides = [over_loads(side) for side in (before_ns, after_ns)]
    (old, old_low, old_high), (new, new_low, new_high) = (
        (math.log(side.value), math.log(side.low or side.value), math.log(side.high or side.value)) for side in sides
    )
    between = math.log1p(between_session_percent / 100)
    low = new - old - math.hypot(new - new_low, old_high - old) - between
    high = new - old + math.hypot(new_high - new, old - old_low) + between
    return Estimate(*(math.exp(value) for value in (new - old, low, high)))


def _near(one: float | None, other: float | None) -> bool:
    """Equal up to the rounding of baseline files."""
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-9)


def _allowed(status: ChangeStatus, limit: str) -> str:
    return f", at most {limit} allowed" if status == "regressed" else ""


def _with_interval(estimate: Estimate, digits: int) -> str:
    return f"{estimate.value:.{digits}f} ({estimate.low:.{digits}f} to {estimate.high:.{digits}f})"


def _signed(percent: Estimate) -> str:
    return f"{percent.value:+.1f} ({percent.low:+.1f} to {percent.high:+.1f})"
