"""Multi-label classification: any number of labels for each sample."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgeworthy.errors import SourceError
from edgeworthy.tasks.class_scores import check_probabilities
from edgeworthy.tasks.one_output import OneOutput
from edgeworthy.tasks.target_checks import check_class_numbers
from edgeworthy.tasks.task import Measure, Outputs, Predictions, Shapes, Targets, mean_of, of_sums


class MultiLabel(OneOutput):
    """A probability or a logit (labels,) of each label, and targets (samples, labels) of 0 and 1.

    F1 is scikit-learn's with ``zero_division=0``: macro F1 is the mean over all labels, 0 of one that is nowhere.
    """

    METRICS: ClassVar[tuple[str, ...]] = ("macro_f1", "micro_f1", "exact_match")

    kind: Literal["multi_label"] = "multi_label"
    threshold: float = Field(0.5, gt=0, lt=1, description="a label is predicted where its probability is above this")
    logits: bool = Field(False, description="whether the output holds logits; a sigmoid makes them probabilities")

    def fitted(self, outputs: Shapes, targets: Targets, inputs: tuple[int, ...]) -> MultiLabel:
        """The task as it is. Raises SourceError where targets are no 0 and 1 of each of the output's labels."""
        labels = math.prod(self.judged(outputs))
        check_class_numbers(targets.astype(np.int64) if targets.dtype == bool else targets, "samples, labels", 2)
        if targets.shape[1] != labels:
            raise SourceError(
                f"the model gives {labels} labels, the targets have {targets.shape[1]}",
                hint="give a 0 or 1 for each of the model's labels, in its order",
            )
        return self

    def decode(self, outputs: Outputs) -> NDArray[np.int8]:
        """Labels (samples, labels): 1 or 0, -1 of a NaN. Raises SourceError for probabilities outside [0, 1]."""
        values = self.judged(outputs)
        values = values.reshape(len(values), -1)
        if not self.logits:
            check_probabilities(values)
        return np.where(np.isnan(values), -1, self._probabilities(values) > self.threshold).astype(np.int8)

    def _probabilities(self, values: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        if not self.logits:
            return values
        from scipy.special import expit  # here: slow to import

        return np.asarray(expit(values.astype(np.float64)))

    def agree(self, first: Predictions, other: Predictions) -> NDArray[np.bool_]:
        """Whether all labels are the same; no sample with a NaN agrees."""
        same: NDArray[np.bool_] = ((first == other) & (first >= 0)).all(axis=1)
        return same

    def measure(self, metric: str) -> Measure:
        """As the table of metrics says."""
        return {
            "macro_f1": of_sums(_counts, lambda sums: _f1(_by_label(sums)).mean(axis=1)),
            "micro_f1": of_sums(_counts, lambda sums: _f1(_by_label(sums).sum(axis=2, keepdims=True))[:, 0]),
            "exact_match": mean_of(lambda predicted, targets: 100 * (predicted == targets).all(axis=1)),
        }[metric]


def _counts(predicted: NDArray[np.int8], targets: Targets) -> NDArray[np.bool_]:
    """Whether each label is right, predicted and there: (samples, 3 labels). A NaN is predicted wrongly."""
    there = targets.astype(bool)
    guessed = np.where(predicted < 0, ~there, predicted > 0)
    return np.concatenate([guessed & there, guessed, there], axis=1)


def _by_label(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return sums.reshape(len(sums), 3, -1)


def _f1(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """F1 in percent of counts (resamplings, 3, labels), 2 right / (predicted + actual); 0 of a label that is nowhere."""
    right, guessed, actual = np.moveaxis(counts, 1, 0)
    whole = guessed + actual
    return np.asarray(np.divide(200 * right, whole, out=np.zeros_like(whole), where=whole > 0))
