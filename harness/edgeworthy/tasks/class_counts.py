"""How often each class is right, predicted and there: what F1, recall and IoU are ratios of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.integer[Any]]
Counts = NDArray[np.float64]


def class_counts(targets: Numbers, predicted: Numbers, classes: int, weights: NDArray[Any] | None = None) -> Counts:
    """How often each class is predicted rightly, is predicted, and is the target: float64 (3, classes).

    ``targets`` and ``predicted`` are class numbers (n,), and ``weights`` (n,) say how often each pair counts. Where nothing
    is predicted (-1: a NaN), that counts as a prediction of every other class, so that no NaN is better than an error.
    """
    weights = np.ones(targets.shape) if weights is None else weights
    nothing = predicted < 0
    right, missing, actual = (
        np.bincount(targets, weights * counting, classes) for counting in (predicted == targets, nothing, True)
    )
    guessed = np.bincount(np.maximum(predicted, 0), weights * ~nothing, classes) + missing.sum() - missing
    return np.stack([right, guessed, actual])


def macro_f1(counts: Counts) -> NDArray[np.float64]:
    """F1 in percent, 2 right / (predicted + actual), the mean over classes that occur in targets or predictions.

    ``counts`` is float64 (resamplings, 3, classes); returns (resamplings,), NaN where no class occurs.
    """
    right, guessed, actual = np.moveaxis(counts, 1, 0)
    return _mean_ratio(2 * right, guessed + actual)


def mean_iou(counts: Counts) -> NDArray[np.float64]:
    """Intersection over union in percent, the mean over classes that occur in targets or predictions; as ``macro_f1``."""
    right, guessed, actual = np.moveaxis(counts, 1, 0)
    return _mean_ratio(right, guessed + actual - right)


def mean_recall(counts: Counts) -> NDArray[np.float64]:
    """Recall in percent, the mean over classes that occur in targets; as ``macro_f1``."""
    right, _, actual = np.moveaxis(counts, 1, 0)
    return _mean_ratio(right, actual)


def _mean_ratio(part: Counts, whole: Counts) -> NDArray[np.float64]:
    occurs = whole > 0
    ratios = np.divide(part, whole, out=np.zeros_like(whole), where=occurs)
    with np.errstate(invalid="ignore"):
        means: NDArray[np.float64] = 100 * ratios.sum(axis=1) / occurs.sum(axis=1)
    return means
