"""Classification: one class for each sample, judged class by class and by how far its confidence can be trusted."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgeworthy.errors import SourceError
from edgeworthy.tasks.class_counts import class_counts, macro_f1, mean_recall
from edgeworthy.tasks.class_scores import best_class, check_probabilities
from edgeworthy.tasks.one_output import OneOutput
from edgeworthy.tasks.target_checks import check_class_numbers
from edgeworthy.tasks.task import Evidence, Measure, Outputs, Predictions, Shapes, Targets, Weights, of_sums

#: Bins of confidence, of equal width (Guo et al., On Calibration of Modern Neural Networks, ICML 2017).
BINS = 15


class Classification(OneOutput):
    """Scores (classes,) of each sample, and targets int64 (samples,), class numbers; top-1 and top-5 are judged without it.

    One output alone is the score of class 1 of two. Macro F1 and balanced accuracy are scikit-learn's, the calibration error
    is torchmetrics' MulticlassCalibrationError with the norm l1.
    """

    DIRECT: ClassVar[tuple[str, ...]] = ("top1", "top5")
    METRICS: ClassVar[tuple[str, ...]] = ("macro_f1", "balanced_accuracy", "calibration_error")

    kind: Literal["classification"] = "classification"
    logits: bool | None = Field(
        None,
        description="whether the output holds logits (true) or probabilities (false); needed for the calibration error and"
        " for a single output",
    )

    def fitted(self, outputs: Shapes, targets: Targets, inputs: tuple[int, ...]) -> Classification:
        """The task as it is. Raises SourceError where output or targets are no classes, or ``logits`` is missing."""
        shape = self.judged(outputs)
        classes = math.prod(shape)
        if classes != max(shape, default=1):
            raise SourceError(
                f"the output has shape {shape}, not one score per class", hint="choose an output (classes,)"
            )
        if classes == 1 and self.logits is None:
            raise SourceError(
                "the model has one output, and whether it is a probability or a logit of class 1 is not said",
                hint="set the task's option 'logits' to true or false",
            )
        check_class_numbers(targets, "samples", max(classes, 2))
        return self

    def decode(self, outputs: Outputs) -> NDArray[np.floating[Any]]:
        """Scores (samples, classes). Raises SourceError for probabilities outside [0, 1]."""
        values = self.judged(outputs)
        values = values.reshape(len(values), -1)
        if self.logits is False:
            check_probabilities(values)
        if values.shape[1] > 1:
            return values
        other = np.where(np.isnan(values), values, 0) if self.logits else 1 - values
        return np.concatenate([other, values], axis=1)

    def agree(self, first: Predictions, other: Predictions) -> NDArray[np.bool_]:
        """Whether the best class is the same; no sample with a NaN agrees."""
        predicted = best_class(first)
        same: NDArray[np.bool_] = (predicted == best_class(other)) & (predicted >= 0)
        return same

    def measure(self, metric: str) -> Measure:
        """As the table of metrics says. Raises SourceError for the calibration error where ``logits`` is not given."""
        if metric == "calibration_error":
            return self._calibration_error()
        of = {"macro_f1": macro_f1, "balanced_accuracy": mean_recall}[metric]
        return Measure(_pairs, lambda evidence, weights: of(_counts(evidence, weights)))

    def _calibration_error(self) -> Measure:
        logits = self.logits
        if logits is None:
            raise SourceError(
                "the calibration error needs probabilities, and whether the output holds them is not said",
                hint="set the task's option 'logits' to true or false",
            )
        return of_sums(lambda scores, targets: _gaps(scores, targets, logits), _error_of_gaps)


def _pairs(scores: NDArray[np.floating[Any]], targets: Targets) -> Evidence:
    return {"targets": targets, "predicted": best_class(scores), "classes": np.asarray(scores.shape[1])}


def _counts(evidence: Evidence, weights: Weights) -> NDArray[np.float64]:
    """Counts of each resampling, (resamplings, 3, classes); those of each sample would be too many of 1,000 classes."""
    targets, predicted, classes = evidence["targets"], evidence["predicted"], int(evidence["classes"])
    return np.stack([class_counts(targets, predicted, classes, row) for row in weights])


def _gaps(scores: NDArray[np.floating[Any]], targets: Targets, logits: bool) -> NDArray[np.float64]:
    """Right (1 or 0) minus confidence, in the column of the confidence's bin; 1 in the last column: (samples, BINS + 3).

    As torchmetrics has it, a bin begins with its lower edge, and a confidence of exactly 1 is in a bin of its own. So is a
    sample without a confidence (NaN), which is wrong and counts as wholly sure.
    """
    confidence = _confidence(scores, logits)
    valid = np.isfinite(confidence)
    right = valid & (best_class(scores) == targets)
    bins = np.where(valid, np.searchsorted(np.linspace(0, 1, BINS + 1), confidence, side="right") - 1, BINS + 1)
    gaps = np.zeros((len(scores), BINS + 3))
    gaps[np.arange(len(scores)), bins] = right - np.where(valid, confidence, 1)
    gaps[:, -1] = 1
    return gaps


def _confidence(scores: NDArray[np.floating[Any]], logits: bool) -> NDArray[np.float64]:
    """The probability of the best class, (samples,), within [0, 1]; NaN where one is NaN."""
    from scipy.special import softmax  # here: slow to import

    with np.errstate(invalid="ignore"):  # infinite logits have no probabilities: NaN
        probabilities = softmax(scores.astype(np.float64), axis=1) if logits else scores.astype(np.float64)
    best: NDArray[np.float64] = np.clip(probabilities.max(axis=1), 0, 1)
    return best


def _error_of_gaps(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Percent: the absolute sum of each bin's gaps, over the number of samples."""
    error: NDArray[np.float64] = 100 * np.abs(sums[:, :-1]).sum(axis=1) / sums[:, -1]
    return error
