"""The samples on which two models differ: lost, gained, or only otherwise, whatever the task."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeworthy.measurements.tasks import judged
from edgeworthy.metrics import CLASSIFICATION, TOP_K
from edgeworthy.truth import Truth
from edgeworthy.verdicts import fidelity, scoring

Indices = NDArray[np.int64]
#: Of a metric over all samples at most so many samples are measured alone.
MEASURED = 256


@dataclass(frozen=True, eq=False)
class Predicted:
    """A model's ``values`` (samples, values) of a run, and what they are judged by."""

    values: NDArray[np.float32]
    truth: Truth

    @property
    def kind(self) -> str:
        """The kind of the task; "" where the outputs are numbers that are compared as they are."""
        if self.truth.task:
            return str(self.truth.task["kind"])
        return CLASSIFICATION if self.truth.metric in TOP_K else ""

    @functools.cached_property
    def predictions(self) -> Any:
        """One for each sample: what the task decodes, scores of classes, or the values as they are."""
        if self.truth.task:
            return judged(self.truth).decode(self.values)
        return self.truth.class_scores(self.values) if self.truth.metric in TOP_K else self.values

    @functools.cached_property
    def classes(self) -> Indices:
        """The predicted class of each sample, where the task predicts one."""
        return fidelity.top1(self.predictions)

    @functools.cached_property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each sample is right, of a top-1 or top-5 accuracy."""
        k = TOP_K[self.truth.metric]
        return (
            self.classes == self.truth.labels if k == 1 else fidelity.in_top_k(self.predictions, self.truth.labels, k)
        )

    @functools.cached_property
    def scores(self) -> NDArray[np.float64]:
        """The metric of each sample, of a metric that is a mean of samples; larger is better."""
        found = scoring.scores(self.values, self.truth)
        return found if self.truth.higher_is_better else -found

    def measured(self, chosen: Indices) -> NDArray[np.float64]:
        """The metric of each of these samples alone, of a metric over all samples; larger is better, NaN where undefined."""
        corpus = judged(self.truth).of(self.predictions)
        weights = np.zeros((len(chosen), corpus.samples), np.int64)
        weights[np.arange(len(chosen)), chosen] = 1
        with np.errstate(invalid="ignore", divide="ignore"):
            found = corpus.measure.value(corpus.evidence, weights)
        return found if self.truth.higher_is_better else -found


@dataclass(frozen=True)
class Differing:
    """Of ``samples`` samples those that ``after`` is worse in than ``before`` (the worst first), better, or just other."""

    samples: int
    lost: Indices
    gained: Indices
    changed: Indices


def differing(before: Predicted, after: Predicted) -> Differing:
    """Where two models' predictions of the same samples differ. Raises SourceError where a function of the user's fails."""
    truth = after.truth
    if truth.task and not truth.by_fidelity:
        return _by_task(before, after)
    if truth.metric in TOP_K:
        return _by_class(before, after)
    return _by_gain(len(after.values), np.arange(len(after.values)), after.scores - before.scores)


def _by_class(before: Predicted, after: Predicted) -> Differing:
    others = before.classes != after.classes
    if after.truth.random_weights:  # labels say nothing
        return Differing(len(others), _none(), _none(), np.flatnonzero(others))
    lost, gained = before.correct & ~after.correct, after.correct & ~before.correct
    return Differing(len(others), *map(np.flatnonzero, (lost, gained, others & ~lost & ~gained)))


def _by_task(before: Predicted, after: Predicted) -> Differing:
    same = judged(after.truth).same(before.predictions, after.predictions)
    others = np.flatnonzero(~same)
    chosen = others[:MEASURED]
    if not chosen.size:
        return Differing(len(same), _none(), _none(), others)
    found = _by_gain(len(same), chosen, after.measured(chosen) - before.measured(chosen))
    return Differing(len(same), found.lost, found.gained, np.concatenate([found.changed, others[MEASURED:]]))


def _by_gain(samples: int, chosen: Indices, gain: NDArray[np.float64]) -> Differing:
    order = np.argsort(gain, kind="stable")
    lost, gained = order[gain[order] < 0], order[::-1][gain[order][::-1] > 0]
    changed = chosen[np.isnan(gain)] if np.isnan(gain).any() else chosen[gain == 0]
    return Differing(samples, chosen[lost], chosen[gained], changed)


def _none() -> Indices:
    return np.zeros(0, np.int64)


class Mixed(NamedTuple):
    """So many ``samples`` of class ``label`` that were predicted as ``before`` and now are ``after``."""

    label: int
    before: int
    after: int
    samples: int


def confusion(before: Predicted, after: Predicted, most: int) -> list[Mixed]:
    """What is mixed up now and was not, or the other way round, the most frequent first; nothing but of classes."""
    if after.kind != CLASSIFICATION or after.truth.random_weights:
        return []
    others = np.flatnonzero(before.classes != after.classes)
    columns = (side[others].tolist() for side in (after.truth.labels, before.classes, after.classes))
    found = Counter(zip(*columns, strict=True))
    return [Mixed(label, old, new, count) for (label, old, new), count in found.most_common(most)]
