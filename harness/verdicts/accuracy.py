"""The accuracy of a cell: in pairs against its reference, sample by sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from harness.records import CellId, Estimate, Truth, Verdict
from harness.verdicts import fidelity, metrics
from harness.verdicts.limits import checks_of, judge
from harness.verdicts.paired import PairedAccuracy, share
from harness.verdicts.paired_scores import PairedScores, mean_with_interval
from harness.verdicts.per_class import per_class

AXIS = "accuracy"
TOP_K = {"top1": 1, "top5": 5}
NO_ACCURACY = "accuracy is refused as meaningless: the model's weights are random"
_REPAIR = "calibrate on real, equally preprocessed inputs, or leave sensitive ops float with the 'mixed' recipe"
NEXT_STEPS = dict.fromkeys(
    (
        "drop_points",
        "class_drop_points",
        "worst_class_percent",
        "mse",
        "psnr_db",
        "score",
        "loss",
        "metric_drop",
        "metric_drop_percent",
        "error_ratio",
        "agreement_percent",
        "sqnr_db",
        "output_difference",
        "top1_percent",
        "top5_percent",
    ),
    _REPAIR,
)


def judge_accuracy(
    cell: CellId,
    values: NDArray[np.float32],
    truth: Truth,
    limits: Mapping[str, float],
) -> Verdict:
    """Judge answers of shape (samples, values) against the reference's answers to the same samples.

    Outputs that are no outputs (NaN, constant) fail whatever the limits say. Raises SourceError for a metric of the
    user's that cannot be had.
    """
    judge_by = _judge_classes if truth.metric in TOP_K else _judge_scores
    judged = (_judge_fidelity if truth.random_weights else judge_by)(cell, values, truth, limits)
    defect = fidelity.defect(values, truth.classifies)
    if defect:
        return replace(
            judged, outcome="fail", evidence="exact", sentence=defect, next_step="check the conversion and its ranges"
        )
    return judged


def _judge_scores(cell: CellId, values: NDArray[np.float32], truth: Truth, limits: Mapping[str, float]) -> Verdict:
    """By a metric that gives a number for each sample."""
    pairs = PairedScores(metrics.scores(truth.reference, truth), metrics.scores(values, truth), truth.higher_is_better)
    name = metrics.column(truth)
    estimates = {
        name: mean_with_interval(pairs.candidate),
        "metric_drop": pairs.drop(),
        "metric_drop_percent": pairs.drop_percent(),
        **_fidelity(values, truth),
    }
    verdict = judge(cell, AXIS, estimates, limits, NEXT_STEPS)
    before, after = (float(side.mean()) for side in (pairs.reference, pairs.candidate))
    said = (
        f"{verdict.sentence}; {truth.metric} {before:.6g} -> {after:.6g} {truth.unit}".rstrip()
        + f" on {len(values)} samples (p = {pairs.p():.2g})"
    )
    limit = limits.get("max_metric_drop")
    needed = pairs.samples_to_decide(limit) if limit is not None and verdict.evidence == "inconclusive" else None
    if needed and needed > len(values):
        said += f"; inconclusive: about {needed:,} samples would decide"
    return replace(verdict, sentence=said, metrics={**verdict.metrics, "metric_p": pairs.p()})


def _judge_classes(cell: CellId, values: NDArray[np.float32], truth: Truth, limits: Mapping[str, float]) -> Verdict:
    """By accuracy."""
    labels, reference = truth.labels, truth.reference
    right = [fidelity.in_top_k(side, labels, TOP_K[truth.metric]) for side in (reference, values)]
    pairs, classes = PairedAccuracy.of(*right), per_class(labels, *right)
    estimates = {
        "drop_points": pairs.drop_interval(),
        **{
            f"{name}_percent": share(int(fidelity.in_top_k(values, labels, k).sum()), len(labels))
            for name, k in TOP_K.items()
        },
        "worst_class_percent": classes[0].percent,
        "class_drop_points": Estimate(max(each.drop_points for each in classes)),
        "error_ratio": Estimate(pairs.error_ratio),
        **_fidelity(values, truth),
    }
    verdict = judge(cell, AXIS, estimates, limits, NEXT_STEPS)
    more = {"mcnemar_p": pairs.mcnemar_p(), "worst_class": float(classes[0].label)}
    said = _with_pairs(verdict, pairs, truth.metric, limits)
    return replace(verdict, sentence=said, metrics={**verdict.metrics, **more})


def _judge_fidelity(cell: CellId, values: NDArray[np.float32], truth: Truth, limits: Mapping[str, float]) -> Verdict:
    """Labels mean nothing to random weights: limits of accuracy are not judged, and the sentence says so.

    SQNR is that of what changes from sample to sample: most of a random network's answer is the same for all of them,
    and a variant that gives only that (0 dB) would look faithful.
    """
    same = truth.reference.mean(axis=0)
    sqnr_db = Estimate(fidelity.sqnr_db(truth.reference - same, values - same))
    verdict = judge(cell, AXIS, {**_fidelity(values, truth), "sqnr_db": sqnr_db}, limits, NEXT_STEPS)
    return replace(verdict, sentence=f"{verdict.sentence}; {NO_ACCURACY}")


def _fidelity(values: NDArray[np.float32], truth: Truth) -> dict[str, Estimate]:
    """How close the answers are to the reference's, whatever is right."""
    estimates = {
        "sqnr_db": Estimate(fidelity.sqnr_db(truth.reference, values)),
        "output_difference": Estimate(fidelity.max_difference(truth.reference, values)),
    }
    if truth.classifies:
        estimates["agreement_percent"] = fidelity.agreement(truth.reference, values)
    return estimates


def _with_pairs(verdict: Verdict, pairs: PairedAccuracy, metric: str, limits: Mapping[str, float]) -> str:
    """The verdict's sentence with both accuracies, McNemar's p, and how many samples would settle an open question."""
    said = (
        f"{verdict.sentence}; {metric} {pairs.reference_percent:.2f} -> {pairs.candidate_percent:.2f} %"
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
