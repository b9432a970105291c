"""The accuracy of a cell, paired with its reference sample by sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgeworthy.cells import CellId
from edgeworthy.measurements.tasks import judged
from edgeworthy.metrics import QUALITIES, TOP_K, in_points
from edgeworthy.records import Estimate, Verdict
from edgeworthy.statistics.paired import PairedAccuracy, share
from edgeworthy.statistics.paired_corpus import PairedCorpus
from edgeworthy.statistics.paired_scores import PairedScores, mean_with_interval
from edgeworthy.truth import Truth
from edgeworthy.verdicts import columns, fidelity, scoring
from edgeworthy.verdicts.agreement import agreement
from edgeworthy.verdicts.defects import defect
from edgeworthy.verdicts.limits import checks_of, judge
from edgeworthy.verdicts.per_class import per_class
from edgeworthy.verdicts.vacuous import refuse_vacuous

AXIS = "accuracy"
RANDOM_WEIGHTS = "accuracy is not judged: the model's weights are random"
NO_TARGETS = "judged by fidelity to the reference alone, against no targets"
REPAIR = "calibrate on real, equally preprocessed inputs, or leave sensitive ops float with the 'mixed' recipe"
#: Of outputs that are NaN or constant.
INVALID = "check the conversion and its calibration"
HINTS = dict.fromkeys(
    (
        *(quality.metric for quality in QUALITIES.values()),
        "score",
        "loss",
        "worst_class_percent",
        "class_drop_points",
        "column_drop_points",
        "drop_points",
        "metric_drop",
        "metric_drop_percent",
        "error_ratio",
        "agreement_percent",
        "sqnr_db",
        "output_difference",
    ),
    REPAIR,
)


def judge_accuracy(
    cell: CellId,
    values: NDArray[np.float32],
    truth: Truth,
    limits: Mapping[str, float],
) -> Verdict:
    """Judge outputs of shape (samples, values) against the reference's outputs for the same samples.

    Invalid outputs (NaN, constant) fail whatever the limits say. Raises SourceError for a metric function that cannot
    be loaded or fails, ConfigError for a limit that cannot fail.
    """
    refuse_vacuous(cell.model, truth, limits)
    judged = _judge_by(truth)(cell, values, truth, limits)
    found = ((name, defect(part, own)) for name, part, own in truth.parts(values))
    name, invalid = next(((name, problem) for name, problem in found if problem), ("", None))
    if invalid:
        invalid = f"output {name}: {invalid}" if name else invalid
        return replace(judged, status="fail", evidence="exact", message=invalid, hint=INVALID)
    return judged


def _judge_by(truth: Truth) -> Callable[..., Verdict]:
    if truth.by_fidelity:
        return _judge_fidelity
    if truth.task:
        return _judge_predictions
    return _judge_classes if truth.metric in TOP_K else _judge_scores


def _judge_predictions(cell: CellId, values: NDArray[np.float32], truth: Truth, limits: Mapping[str, float]) -> Verdict:
    """By the predictions of a task, and a metric of all of them."""
    task = judged(truth)
    predictions = task.decode(values)
    pairs = PairedCorpus(task.reference, task.of(predictions), truth.higher_is_better)
    drop = {"drop_points": pairs.drop()} if in_points(truth.metric) else {}
    same = task.same(task.decode(truth.reference), predictions)
    estimates = {
        **drop,
        scoring.column(truth): pairs.value(),
        "metric_drop": pairs.drop(),
        "metric_drop_percent": pairs.drop_percent(),
        "agreement_percent": share(int(same.sum()), same.size),
        **_noise(values, truth),
    }
    verdict = judge(cell, AXIS, estimates, limits, HINTS)
    return _with_values(verdict, pairs, truth, limits)


def _judge_scores(cell: CellId, values: NDArray[np.float32], truth: Truth, limits: Mapping[str, float]) -> Verdict:
    """By a metric that gives a number for each sample."""
    pairs = PairedScores(scoring.scores(truth.reference, truth), scoring.scores(values, truth), truth.higher_is_better)
    name = scoring.column(truth)
    estimates = {
        name: mean_with_interval(pairs.candidate),
        "metric_drop": pairs.drop(),
        "metric_drop_percent": pairs.drop_percent(),
        **_fidelity(values, truth),
    }
    column = None
    if columns.has_targets(truth):
        estimates["column_drop_points"], column = columns.drop_points(values, truth)
    verdict = judge(cell, AXIS, estimates, limits, HINTS)
    if verdict.checks and verdict.checks[0].metric == "column_drop_points":
        verdict = replace(verdict, message=f"{verdict.message} (column {column})")
    return _with_values(verdict, pairs, truth, limits)


def _with_values(
    verdict: Verdict, pairs: PairedScores | PairedCorpus, truth: Truth, limits: Mapping[str, float]
) -> Verdict:
    """The verdict's message with the metric before and after, p, and how many samples would make it conclusive."""
    (before, after), samples, p = pairs.values, len(truth.reference), pairs.p()
    digits = ".2f" if in_points(truth.metric) else ".6g"
    said = (
        f"{verdict.message}; {truth.metric} {before:{digits}} -> {after:{digits}} {truth.unit}".rstrip()
        + f" on {samples} samples (p = {p:.2g})"
    )
    limit = limits.get("max_drop_points" if in_points(truth.metric) else "max_metric_drop")
    needed = pairs.samples_to_decide(limit) if limit is not None and verdict.evidence == "inconclusive" else None
    if needed and needed > samples:
        said += f"; inconclusive: about {needed:,} samples would decide"
    return replace(verdict, message=said, metrics={**verdict.metrics, "metric_p": p})


def _judge_classes(cell: CellId, values: NDArray[np.float32], truth: Truth, limits: Mapping[str, float]) -> Verdict:
    """By accuracy."""
    labels, scores = truth.labels, truth.class_scores(values)
    right = [
        fidelity.in_top_k(side, labels, TOP_K[truth.metric]) for side in (truth.class_scores(truth.reference), scores)
    ]
    pairs, classes = PairedAccuracy.of(*right), per_class(labels, *right)
    estimates = {
        "drop_points": pairs.drop_interval(),
        **{
            f"{name}_percent": share(int(fidelity.in_top_k(scores, labels, k).sum()), len(labels))
            for name, k in TOP_K.items()
            if k < scores.shape[1]
        },
        "worst_class_percent": classes[0].percent,
        "class_drop_points": Estimate(max(each.drop_points for each in classes)),
        "error_ratio": Estimate(pairs.error_ratio),
        **_fidelity(values, truth),
    }
    verdict = judge(cell, AXIS, estimates, limits, HINTS)
    more = {"mcnemar_p": pairs.mcnemar_p(), "worst_class": float(classes[0].label)}
    said = _with_pairs(verdict, pairs, truth.metric, limits)
    if truth.threshold is not None:
        kind = "probability" if truth.threshold else "logit"
        said += f"; the one output is taken as the {kind} of class 1, threshold {truth.threshold:g}"
    return replace(verdict, message=said, metrics={**verdict.metrics, **more})


def _judge_fidelity(cell: CellId, values: NDArray[np.float32], truth: Truth, limits: Mapping[str, float]) -> Verdict:
    """Without targets, or where they mean nothing to random weights: accuracy limits are not judged, as the message says.

    SQNR is that of what changes from sample to sample: most of a random network's output is the same for all of them,
    and a variant that gives only that (0 dB) would look faithful.
    """
    sqnr_db = {name: _changing_sqnr_db(part, own) for name, part, own in truth.parts(values)}
    noisiest = min(sqnr_db, key=lambda name: sqnr_db[name])
    nmse = mean_with_interval(scoring.worst_errors(values, truth))
    estimates = {"nmse": nmse, **_fidelity(values, truth), "sqnr_db": Estimate(sqnr_db[noisiest])}
    verdict = judge(cell, AXIS, estimates, limits, HINTS)
    worst = f"; of {len(truth.outputs)} outputs {noisiest} is the worst" if truth.several else ""
    why = RANDOM_WEIGHTS if truth.random_weights else NO_TARGETS
    return replace(verdict, message=f"{verdict.message}{worst}; {why}")


def _changing_sqnr_db(values: NDArray[np.float32], truth: Truth) -> float:
    own = truth.own_values()
    same = scoring.own_mean(truth.reference, own).astype(np.float32)
    changing = (truth.reference - same, values - same)
    return fidelity.sqnr_db(*(each if own is None else each * own for each in changing))


def _fidelity(values: NDArray[np.float32], truth: Truth) -> dict[str, Estimate]:
    """How close the outputs are to the reference's, whatever the labels say."""
    estimates = _noise(values, truth)
    if agreed := agreement(truth, truth.reference, values):
        estimates["agreement_percent"] = agreed
    return estimates


def _noise(values: NDArray[np.float32], truth: Truth) -> dict[str, Estimate]:
    return {
        "sqnr_db": Estimate(columns.sqnr_db(values, truth)),
        "output_difference": Estimate(fidelity.max_difference(truth.reference, values)),
    }


def _with_pairs(verdict: Verdict, pairs: PairedAccuracy, metric: str, limits: Mapping[str, float]) -> str:
    """The verdict's message with both accuracies, McNemar's p, and how many samples would make it conclusive."""
    said = (
        f"{verdict.message}; {metric} {pairs.reference_percent:.2f} -> {pairs.candidate_percent:.2f} %"
        f" on {pairs.n} samples (p = {pairs.mcnemar_p():.2g})"
    )
    limit = limits.get("max_drop_points")
    if limit is not None and verdict.evidence == "inconclusive":
        drop = {"drop_points": pairs.drop_interval()}
        undecided = [check for check in checks_of(drop, {"max_drop_points": limit}) if check.evidence == "inconclusive"]
        needed = pairs.samples_to_decide(limit) if undecided else None
        if needed:
            said += f"; inconclusive: about {needed:,} samples would decide"
    return said
