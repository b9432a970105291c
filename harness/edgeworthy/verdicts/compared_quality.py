"""The quality of a cell against its baseline's, on the same samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from edgeworthy.metrics import in_points
from edgeworthy.records import Change, ChangeStatus, Effect, Estimate, Evidence
from edgeworthy.statistics.paired import PairedAccuracy, conclusive, share
from edgeworthy.statistics.paired_corpus import PairedCorpus
from edgeworthy.statistics.paired_scores import PairedScores
from edgeworthy.tasks.corpus import Corpus
from edgeworthy.verdicts.sides import Sides, allowed


def quality_changes(sides: Sides) -> Iterator[Change]:
    """Of an accuracy that and the agreement, else of the metric; nothing where neither side has any."""
    judged = (sides.before, sides.after)
    by_accuracy = all(side.scores is None and side.evidence is None for side in judged)
    for metric, compare in _BY_ACCURACY.items() if by_accuracy else _BY_METRIC.items():
        lacking = sides.lacking(metric, *(bool(side.judged) for side in judged))
        unlike = unlike_samples(sides)
        if lacking or unlike:
            yield lacking or sides.change(metric, "not comparable", "exact", None, None, unlike or "")
            continue
        yield compare(sides)


def unlike_samples(sides: Sides) -> str | None:
    """Why the two sides' qualities cannot be compared; None where they were judged by the same samples in the same way."""
    before, after = sides.before, sides.after
    if before.metric != after.metric:
        return f"the metric was {before.metric}, is {after.metric}"
    if before.dataset != after.dataset:
        labels = "the labels are the same" if before.labels == after.labels else "so are the labels"
        return f"the samples differ (dataset {before.dataset[:12]} -> {after.dataset[:12]}; {labels})"
    if before.higher_is_better != after.higher_is_better:
        return f"the direction of {after.metric} (higher or lower is better) changed"
    if before.task != after.task:
        return f"the options of its task were {dict(before.task)}, are {dict(after.task)}"
    if before.judged and after.judged and before.judged != after.judged:
        return f"the baseline has {before.judged} samples, the run {after.judged}"
    return None


def _metric(sides: Sides) -> Change:
    """Another metric than accuracy: sample by sample, or over all of them."""
    pairs = _pairs(sides)
    old, new = pairs.values
    points = in_points(sides.after.metric)
    lost, key = (pairs.drop(), "accuracy_points") if points else (pairs.drop_percent(), "metric_percent")
    limit = sides.tolerance(key)
    status: ChangeStatus = (
        "regressed" if not lost.value <= limit else "improved" if -lost.value > limit else "unchanged"
    )
    opposite = Estimate(-lost.value, *(None if end is None else -end for end in (lost.high, lost.low)))
    certain = conclusive(opposite if status == "improved" else lost, limit, "max")
    verb = "better" if lost.value < 0 else "worse"
    unit: Literal["pp", "%"] = "pp" if points else "%"
    p = pairs.p()
    said = (
        f"{sides.after.metric} {old:.6g} -> {new:.6g} on the same {sides.after.judged} samples:"
        f" {abs(lost.value):.2f} {unit} {verb}{allowed(status, f'{limit:.2f} {unit}')} (p = {p:.2g})"
    )
    effect = Effect(lost, limit, unit, f"paired, p = {p:.2g}", key)
    return sides.change("metric", status, "conclusive" if certain else "inconclusive", old, new, said, effect)


def _pairs(sides: Sides) -> PairedScores | PairedCorpus:
    before, after = sides.before, sides.after
    if after.evidence is not None:
        assert before.evidence is not None
        assert after.measure is not None
        old, new = (Corpus(after.measure, evidence, after.samples) for evidence in (before.evidence, after.evidence))
        return PairedCorpus(old, new, after.higher_is_better)
    assert before.scores is not None
    assert after.scores is not None
    return PairedScores(before.scores, after.scores, after.higher_is_better)


def _accuracy(sides: Sides) -> Change:
    assert sides.before.correct is not None
    assert sides.after.correct is not None
    pairs = PairedAccuracy.of(sides.before.correct, sides.after.correct)
    drop, limit = pairs.drop_interval(), sides.tolerances.accuracy_points
    gained = Estimate(-drop.value, *(None if end is None else -end for end in (drop.high, drop.low)))
    status: ChangeStatus = "regressed" if drop.value > limit else "improved" if gained.value > limit else "unchanged"
    certain = conclusive(gained if status == "improved" else drop, limit, "max")
    shown, verb = (gained, "gained") if drop.value < 0 else (drop, "lost")
    said = (
        f"{sides.after.metric} {pairs.reference_percent:.2f} -> {pairs.candidate_percent:.2f} % on the same"
        f" {pairs.n} samples: {_with_interval(shown, 2)} pp {verb}{allowed(status, f'{limit:.2f} pp')}"
        f" (p = {pairs.mcnemar_p():.2g})"
    )
    evidence: Evidence = "conclusive" if certain else "inconclusive"
    effect = Effect(drop, limit, "pp", f"paired, p = {pairs.mcnemar_p():.2g}", "accuracy_points")
    return sides.change("accuracy", status, evidence, pairs.reference_percent, pairs.candidate_percent, said, effect)


def _agreement(sides: Sides) -> Change:
    """Samples whose prediction changed and is not newly correct: other samples may be wrong at the same average."""
    before, after = sides.before, sides.after
    assert before.predictions is not None
    assert after.predictions is not None
    assert before.correct is not None
    assert after.correct is not None
    won = int((after.correct & ~before.correct).sum())
    lost = int((before.correct & ~after.correct).sum())
    other = int(((before.predictions != after.predictions) & ~(after.correct & ~before.correct)).sum())
    part, limit = share(other, before.predictions.size), sides.tolerances.agreement_points
    surely = part.value > limit and (part.low is None or part.low > limit)
    status: ChangeStatus = "regressed" if surely else "unchanged"
    same_average = ": other samples are wrong at the same average" if lost and lost == won else ""
    said = (
        f"{100.0 - part.value:.2f} %: {other} of {before.predictions.size} samples changed their"
        " prediction and are not newly correct"
        f"{allowed(status, f'{limit:.2f} %')}; {lost} became wrong, {won} became correct{same_average}"
        + ("; regression.agreement_points in models.yaml allows more" if surely else "")
    )
    evidence: Evidence = "conclusive" if conclusive(part, limit, "max") else "inconclusive"
    effect = Effect(part, limit, "pp", "sample by sample", "agreement_points")
    return sides.change("agreement", status, evidence, 100.0, 100.0 - part.value, said, effect)


_BY_METRIC: dict[str, Callable[[Sides], Change]] = {"metric": _metric}
_BY_ACCURACY: dict[str, Callable[[Sides], Change]] = {"accuracy": _accuracy, "agreement": _agreement}


def _with_interval(estimate: Estimate, digits: int) -> str:
    return f"{estimate.value:.{digits}f} ({estimate.low:.{digits}f} to {estimate.high:.{digits}f})"
