"""Outputs judged column by column, and what makes them invalid whatever the limits say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from edgeworthy.cells import CellId
from edgeworthy.errors import ConfigError
from edgeworthy.truth import Truth
from edgeworthy.verdicts import columns
from edgeworthy.verdicts.accuracy import judge_accuracy
from edgeworthy.verdicts.consistency import judge_consistency
from edgeworthy.verdicts.defects import defect

CELL = CellId("model", "int8", "host:cpu")
SAMPLES = 300
LIMITS = {"max_metric_drop_percent": 10.0, "max_column_drop_points": 10.0}


def detector() -> Truth:
    """Four box numbers in pixels and a score below 1 in one output, and a reference that is near."""
    random = np.random.default_rng(0)
    score = np.where(random.random(SAMPLES) < 0.5, 0.9, 0.1)
    targets = np.column_stack([random.uniform(0, 640, (SAMPLES, 4)), score]).astype(np.float32)
    reference = (targets + random.normal(0, [10, 10, 10, 10, 0.03], targets.shape)).astype(np.float32)
    return Truth(targets, reference, "mse", "checksum", higher_is_better=False, unit="")


def rounded(values: np.ndarray, step: float) -> np.ndarray:
    return (np.round(values / step) * step).astype(np.float32)


def classifier(labels: np.ndarray, classes: int = 3, margin: float = 6.0) -> Truth:
    scores = np.random.default_rng(1).normal(0, 1, (len(labels), classes))
    scores[np.arange(len(labels)), labels] += margin
    return Truth(labels, scores.astype(np.float32), "top1", "checksum")


def test_a_score_beside_boxes_in_pixels_is_not_lost() -> None:
    """Rounding that the boxes do not feel fails where the score becomes constant or loses what it explains."""
    truth = detector()
    dead = judge_accuracy(CELL, rounded(truth.reference, 2.5), truth, LIMITS)
    assert dead.message.startswith(
        "column 4 of the outputs is constant; column 4 is 0 throughout, in the reference 0.0"
    )
    assert dead.metrics["metric_drop_percent"] < 1
    coarse = judge_accuracy(CELL, rounded(truth.reference, 0.7), truth, LIMITS)
    assert (
        "explained variance lost in one output column 14.16 pp, at most 10.00 pp allowed (column 4)" in coarse.message
    )
    assert judge_accuracy(CELL, rounded(truth.reference, 0.05), truth, LIMITS).status == "pass"
    assert columns.sqnr_db(rounded(truth.reference, 2.5), truth) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("of_class", "status"), [(0, "pass"), (2, "fail"), (40, "fail")])
def test_a_rare_class_that_is_never_predicted_any_more_is_named(of_class: int, status: str) -> None:
    """Two samples of 10,000 show that its column is dead; what the reference never predicts either is no defect."""
    labels = np.arange(10_000) % 3
    labels[:of_class] = 3
    truth = classifier(labels, classes=4, margin=20)
    truth.reference[:, 3] = np.where(labels == 3, 40, -20)
    dead = truth.reference.copy()
    dead[:, 3] = -19.5
    verdict = judge_accuracy(CELL, dead, truth, {"max_drop_points": 1.0})
    assert verdict.status == status
    assert ("column 3 of the outputs is constant" in verdict.message) == bool(of_class)


def test_rounded_away_columns_that_say_nothing_are_no_defect() -> None:
    """Dead ReLUs, columns of tiny spread and classes that are never predicted may be constant in the variant."""
    random = np.random.default_rng(2)
    features = random.uniform(0, 10, (SAMPLES, 6)).astype(np.float32)
    features[:, 1], features[:, 2] = 0, 5 + 0.01 * features[:, 2]
    truth = Truth(features.copy(), features, "mse", "checksum", higher_is_better=False, unit="")
    truth.labels[:, 2] = random.uniform(0, 10, SAMPLES)
    assert defect(rounded(features, 0.5), truth) is None
    scores = np.exp(classifier(np.arange(SAMPLES) % 2, 10).reference)
    scores = (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)
    scores[:, 5:] *= 1e-3
    seen = Truth(np.arange(SAMPLES) % 2, scores, "top1", "checksum")
    assert (rounded(scores, 1 / 256)[:, 5:] == 0).all()
    assert defect(rounded(scores, 1 / 256), seen) is None


def test_pixels_are_judged_by_channel() -> None:
    """A pixel that is constant is fine, a channel that is constant is not."""
    random = np.random.default_rng(3)
    images = random.uniform(0, 1, (40, 8, 8, 3)).astype(np.float32)
    images[:, :, :, 2] *= 0.01
    flat = images.reshape(40, -1)
    truth = Truth(flat, flat + np.float32(1e-4), "psnr", "checksum", unit="dB", channels=3)
    still, gray = images.copy(), images.copy()
    still[:, 3, 3, :], gray[..., 2] = 0.005, 0.005
    assert defect(still.reshape(40, -1), truth) is None
    assert "column 2 of the outputs is constant" in str(defect(gray.reshape(40, -1), truth))


@pytest.mark.parametrize("judged", [{"metric": "fidelity"}, {"metric": "miou", "task": {"kind": "segmentation"}}])
def test_one_place_of_a_map_may_be_constant(judged: dict[str, Any]) -> None:
    """A pixel, a step, an anchor; not one of the numbers that a map gives of every place."""
    maps = np.random.default_rng(5).uniform(0, 1, (40, 6, 8, 2)).astype(np.float32)
    flat = maps.reshape(40, -1)
    truth = Truth(np.zeros((40, 6, 8), np.int64), flat, dataset="checksum", outputs={"": (6, 8, 2)}, **judged)
    still, dead = maps.copy(), maps.copy()
    still[:, 3, 3, :], dead[..., 1] = 0.5, 0.5
    assert defect(still.reshape(40, -1), truth) is None
    assert "column 1 of the outputs is constant" in str(defect(dead.reshape(40, -1), truth))


def test_invalid_outputs_are_named() -> None:
    """NaN with its column, a constant output, and one class for all that the reference tells apart."""
    truth = classifier(np.arange(30) % 3)
    broken, single = truth.reference.copy(), truth.reference.copy()
    broken[[3, 7], 1] = np.nan, np.inf
    single[:, 2] = 40 + np.arange(30)
    assert defect(broken, truth) == "the outputs contain NaN or infinity for 2 of 30 samples (column 1)"
    assert defect(np.repeat(truth.reference[:1], 30, axis=0), truth) == "the outputs are the same for all 30 samples"
    assert str(defect(single, truth)).startswith(
        "class 2 is predicted for all 30 samples; the reference predicts other"
    )
    constant = Truth(truth.labels, np.ones((30, 3), np.float32), "top1", "checksum")
    assert defect(np.ones((30, 3), np.float32), constant) is None
    assert defect(truth.reference, truth) is None


def test_one_class_that_the_labels_or_the_reference_have_is_fine() -> None:
    """50 good parts, all predicted right; and a rare class that the reference misses as well."""
    good = classifier(np.ones(50, np.int64))
    assert judge_accuracy(CELL, good.reference + np.float32(0.01), good, {"max_drop_points": 1.0}).status == "pass"
    rare = np.zeros(200, np.int64)
    rare[:4] = 1
    blind = Truth(rare, classifier(np.zeros(200, np.int64), 2).reference, "top1", "checksum")
    assert defect(blind.reference, blind) is None


@pytest.mark.parametrize(("probability", "threshold"), [(True, 0.5), (False, 0.0)])
def test_one_output_is_a_binary_classifier(probability: bool, threshold: float) -> None:
    """Above the threshold is class 1; the sentence says how the output was read, and a shifted one fails."""
    labels = np.arange(200) % 2
    logits = np.random.default_rng(4).normal(0, 1, (200, 1)) + 6 * (labels[:, None] - 0.5)
    outputs = (1 / (1 + np.exp(-logits)) if probability else logits).astype(np.float32)
    truth = Truth(labels, outputs, "top1", "checksum", threshold=threshold)
    right = judge_accuracy(CELL, outputs, truth, {"max_drop_points": 1.0, "min_top1_percent": 95})
    assert right.status == "pass"
    assert f"the {'probability' if probability else 'logit'} of class 1, threshold {threshold:g}" in right.message
    wrong = judge_accuracy(
        CELL, outputs * np.float32(0.3) - np.float32(not probability), truth, {"max_drop_points": 1.0}
    )
    assert wrong.status == "fail"
    flipped = judge_consistency(CELL, -outputs, CELL, outputs, {"min_consistency_percent": 99}, truth)
    assert flipped.status == "fail"


@pytest.mark.parametrize(
    ("truth", "limits", "reason"),
    [
        (classifier(np.arange(30) % 3), {"min_top5_percent": 90}, "every label is among the best 5 of 3 classes"),
        (classifier(np.ones(30, np.int64)), {"min_agreement_percent": 90}, "predicts one class for all samples"),
        (detector(), {"max_output_difference": 2000}, "all outputs of the reference lie within"),
        (detector(), {"max_mse": 1e6}, "the mean of the targets as output for every sample has a mean squared error"),
        (detector(), {"max_metric_drop_percent": 1e6}, "the mean of the targets"),
    ],
)
def test_limits_that_cannot_fail_are_refused(truth: Truth, limits: dict[str, float], reason: str) -> None:
    """The limit, the reason, and what to do; the same limit where it can fail is judged."""
    with pytest.raises(ConfigError, match=reason) as refused:
        judge_accuracy(CELL, truth.reference, truth, limits)
    assert refused.value.hint == f"tighten or remove {next(iter(limits))} in models.yaml"


def test_targets_agree_within_a_step_of_each_column() -> None:
    """Another backend may round an int8 output one step away; a score may not change by half its range."""
    first = rounded(detector().reference, 2.5)
    other = first.copy()
    other[:, 0] += 2.5
    truth = detector()
    limits = {"min_consistency_percent": 99.0}
    assert judge_consistency(CELL, other, CELL, first, limits, truth).status == "pass"
    scores = truth.reference.copy()
    scores[:30, 4] = 0.5
    assert judge_consistency(CELL, scores, CELL, truth.reference, limits, truth).status == "fail"
