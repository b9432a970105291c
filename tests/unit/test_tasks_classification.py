"""Classification and multi-label classification against scikit-learn; the calibration error against torchmetrics."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from edgeworthy.errors import SourceError
from edgeworthy.tasks.classification import Classification
from edgeworthy.tasks.multi_label import MultiLabel
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax
from sklearn.metrics import accuracy_score, f1_score

from tests.task_values import check_against, check_nan, fitted, value

UNHURRIED = settings(deadline=None, max_examples=25)
SEEDS = st.integers(0, 2**32 - 1)


def logits_and_targets(seed: int, samples: int = 40, classes: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Rather good predictions; one of the classes is in no target."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes - 1, samples)
    outputs = rng.normal(0, 1, (samples, classes)).astype(np.float32)
    outputs[np.arange(samples), targets] += 1
    return outputs, targets


@UNHURRIED
@given(SEEDS)
def test_macro_f1_and_balanced_accuracy_are_scikit_learns(seed: int) -> None:
    outputs, targets = logits_and_targets(seed)
    task = Classification()

    def recall(outputs: np.ndarray, targets: np.ndarray) -> float:
        """scikit-learn's balanced accuracy; that function itself warns of classes that are only predicted."""
        return 100 * float(
            np.mean([(outputs.argmax(axis=1) == targets)[targets == each].mean() for each in np.unique(targets)])
        )

    check_against(
        lambda outputs, targets: 100 * f1_score(targets, outputs.argmax(axis=1), average="macro", zero_division=0),
        task, "macro_f1", outputs, targets, seed,
    )  # fmt: skip
    check_against(recall, task, "balanced_accuracy", outputs, targets, seed)


def ece(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """As torchmetrics computes it, in float64, bin by bin; a bin begins with its lower edge, 1 is in its own."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    edges = [*np.linspace(0, 1, 16), 2]
    bins = [(confidence >= low) & (confidence < high) for low, high in itertools.pairwise(edges)]
    gaps = [abs(right[own].mean() - confidence[own].mean()) * own.mean() for own in bins if own.any()]
    return 100 * float(sum(gaps))


@UNHURRIED
@given(SEEDS)
def test_calibration_error_is_that_of_its_bins(seed: int) -> None:
    """Of logits and of probabilities, with confidences of exactly 1."""
    outputs, targets = logits_and_targets(seed)
    check_against(
        lambda outputs, targets: ece(softmax(outputs.astype(np.float64), axis=1), targets),
        Classification(logits=True), "calibration_error", outputs, targets, seed,
    )  # fmt: skip
    probabilities = softmax(3 * outputs, axis=1)
    probabilities[:5] = np.eye(6, dtype=np.float32)[:5]
    check_against(
        lambda outputs, targets: ece(outputs.astype(np.float64), targets),
        Classification(logits=False), "calibration_error", probabilities, targets, seed,
    )  # fmt: skip


def test_calibration_error_is_torchmetrics() -> None:
    """The number is that of torchmetrics 1.9, MulticlassCalibrationError(2, n_bins=15, norm="l1"): it needs torch to run."""
    best = np.array([0.97, 0.6, 0.35, 0.5, 1, 0.2], np.float32)
    targets = np.array([0, 1, 1, 0, 0, 0])
    found = value(Classification(logits=False), "calibration_error", np.stack([best, 1 - best], axis=1), targets)
    assert found == pytest.approx(26.333333333333332, abs=1e-5)  # float32 cannot hold these probabilities


@UNHURRIED
@given(SEEDS)
def test_nan_never_helps_a_classifier(seed: int) -> None:
    outputs, targets = logits_and_targets(seed, samples=12)
    check_nan(Classification(logits=True), outputs, targets, seed)
    check_nan(Classification(logits=False), softmax(outputs, axis=1), targets, seed)
    check_nan(Classification(logits=True), outputs[:, :1], (targets > 2).astype(np.int64), seed)


@pytest.mark.parametrize("logits", [True, False])
def test_one_output_is_the_score_of_class_1(logits: bool) -> None:
    """The threshold of a logit is 0, that of a probability 0.5; on it the class is 0."""
    outputs = np.array([[-2.0], [0.0], [1e-3], [3.0]], np.float32)
    values = outputs if logits else expit(outputs)
    task = fitted(Classification(logits=logits), values, np.array([0, 0, 1, 1]))
    assert value(task, "macro_f1", values, np.array([0, 0, 1, 1])) == 100


def test_a_classifier_that_does_not_fit_is_refused() -> None:
    outputs, targets = logits_and_targets(0)
    with pytest.raises(SourceError, match="probability or a logit"):
        fitted(Classification(), outputs[:, :1], targets % 2)
    with pytest.raises(SourceError, match="the targets range from 0 to 9, the model's 6 classes from 0 to 5"):
        fitted(Classification(), outputs, np.append(targets[1:], 9))
    with pytest.raises(SourceError, match="float32"):
        fitted(Classification(), outputs, targets.astype(np.float32))
    with pytest.raises(SourceError, match="one score per class"):
        fitted(Classification(), np.zeros((40, 2, 3), np.float32), targets)
    with pytest.raises(SourceError, match="calibration error needs probabilities"):
        Classification().measure("calibration_error")
    with pytest.raises(SourceError, match="no probability: its values range from"):
        Classification(logits=False).decode({"": outputs})


def labels_and_targets(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and targets of five labels; one is nowhere."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((30, 5)) < 0.4).astype(np.int64)
    outputs = np.clip(0.6 * rng.random((30, 5)) + 0.4 * targets, 0, 1).astype(np.float32)
    targets[:, 4], outputs[:, 4] = 0, 0.1
    return outputs, targets


@UNHURRIED
@given(SEEDS, st.sampled_from(["macro", "micro"]))
def test_f1_of_labels_is_scikit_learns(seed: int, average: str) -> None:
    outputs, targets = labels_and_targets(seed)

    def f1(outputs: np.ndarray, targets: np.ndarray) -> float:
        return 100 * float(f1_score(targets, outputs > np.float32(0.6), average=average, zero_division=0))

    check_against(f1, MultiLabel(threshold=0.6), f"{average}_f1", outputs, targets, seed)
    check_against(
        lambda outputs, targets: 100 * accuracy_score(targets, outputs > 0.5),
        MultiLabel(), "exact_match", outputs, targets, seed,
    )  # fmt: skip
    check_nan(MultiLabel(), outputs, targets, seed)


def test_logits_of_labels_become_probabilities() -> None:
    outputs = np.array([[-1.0, 0.1], [2.0, -0.1]], np.float32)
    assert value(MultiLabel(logits=True), "exact_match", outputs, np.array([[0, 1], [1, 0]])) == 100
    assert value(MultiLabel(logits=True, threshold=0.6), "exact_match", outputs, np.array([[0, 0], [1, 0]])) == 100


def test_labels_that_do_not_fit_are_refused() -> None:
    outputs, targets = labels_and_targets(0)
    assert fitted(MultiLabel(), outputs, targets.astype(bool)) == MultiLabel()
    with pytest.raises(SourceError, match="the model gives 5 labels, the targets have 4"):
        fitted(MultiLabel(), outputs, targets[:, :4])
    with pytest.raises(SourceError, match="range from 0 to 2"):
        fitted(MultiLabel(), outputs, 2 * targets)
    with pytest.raises(SourceError, match="no probability"):
        MultiLabel().decode({"": 10 * outputs})
