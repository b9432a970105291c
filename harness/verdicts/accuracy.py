"""The accuracy of a cell: in pairs against its reference, sample by sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from harness.records import CellId, Estimate, Truth, Verdict
from harness.verdicts import fidelity
from harness.verdicts.limits import checks_of, judge
from harness.verdicts.paired import PairedAccuracy, share

AXIS = "accuracy"
TOP_K = {"top1": 1, "top5": 5}
_REPAIR = "calibrate on real, equally preprocessed inputs, or leave sensitive ops float with the 'mixed' recipe"
NEXT_STEPS = dict.fromkeys(
    (
        "drop_points",
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
    """Judge answers of shape (samples, classes) against the reference's answers to the same samples.

    Outputs that are no outputs (NaN, constant) fail whatever the limits say.
    """
    labels, reference = truth.labels, truth.reference
    pairs = _pairs(values, truth)
    estimates = {
        "drop_points": pairs.drop_interval(),
        **{
            f"{name}_percent": share(int(fidelity.in_top_k(values, labels, k).sum()), len(labels))
            for name, k in TOP_K.items()
        },
        "error_ratio": Estimate(pairs.error_ratio),
        "agreement_percent": fidelity.agreement(reference, values),
        "sqnr_db": Estimate(fidelity.sqnr_db(reference, values)),
        "output_difference": Estimate(fidelity.max_difference(reference, values)),
    }
    verdict = judge(cell, AXIS, estimates, limits, NEXT_STEPS)
    verdict = replace(verdict, metrics={**verdict.metrics, "mcnemar_p": pairs.mcnemar_p()})
    defect = fidelity.defect(values)
    if defect:
        return replace(
            verdict, outcome="fail", evidence="exact", sentence=defect, next_step="check the conversion and its ranges"
        )
    return replace(verdict, sentence=_with_pairs(verdict, pairs, truth.metric, limits))


def _pairs(values: NDArray[np.float32], truth: Truth) -> PairedAccuracy:
    labels, k = truth.labels, TOP_K[truth.metric]
    return PairedAccuracy.of(fidelity.in_top_k(truth.reference, labels, k), fidelity.in_top_k(values, labels, k))


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
