"""What a task is: how outputs become predictions, when two of them agree, and what is measured of them.

A metric over a whole dataset (mAP, mIoU, word error rate) is no mean of numbers of samples. What is kept of each sample is
its *evidence*, computed once; the metric of any resampling of the samples follows from it, which is what the paired bootstrap
needs (:mod:`edgeworthy.statistics.paired_corpus`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgeworthy.errors import SourceError
from edgeworthy.schema import Strict

#: Name of an output -> its values (samples, ...), dequantized. A single output without a name is called "".
Outputs = Mapping[str, NDArray[np.float32]]
#: The same of one sample.
Shapes = Mapping[str, tuple[int, ...]]
#: The dataset's targets (samples, ...), as it gives them; those of a task are described by it.
Targets = NDArray[Any]
#: Predictions, one for each sample, in whatever form a task has them.
Predictions = Any
#: Arrays that an .npz holds: no objects.
Evidence = Mapping[str, NDArray[Any]]
#: How often each sample counts in each resampling, whole numbers (resamplings, samples).
Weights = NDArray[np.int64]


@dataclass(frozen=True)
class Measure:
    """A metric of predictions: ``evidence`` of all samples, and its ``value`` of each resampling, (resamplings,).

    A value is in the metric's unit, so 52.1 of percent, and NaN where it is undefined: no sample that counts has an object.

    Where samples differ in size, evidence is asked for those of one size at a time if it is arrays (samples, ...) in which each
    sample's own follows from it alone. Otherwise, ``together``, it is asked for all samples at once: predictions and targets
    that differ in size are then lists of one for each sample.
    """

    evidence: Callable[[Predictions, Targets], Evidence]
    value: Callable[[Evidence, Weights], NDArray[np.float64]]
    together: bool = True


def mean_of(score: Callable[[Predictions, Targets], NDArray[Any]], together: bool = False) -> Measure:
    """The mean of a number for each sample, (samples,); ``together`` where that depends on the other samples."""

    def value(evidence: Evidence, weights: Weights) -> NDArray[np.float64]:
        return np.asarray(weights @ evidence["score"] / weights.sum(axis=1), np.float64)

    def evidence(predictions: Predictions, targets: Targets) -> Evidence:
        return {"score": _of_each(score(predictions, targets), targets, 1)}

    return Measure(evidence, value, together)


def of_sums(
    counts: Callable[[Predictions, Targets], NDArray[Any]],
    of: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    together: bool = False,
) -> Measure:
    """A metric ``of`` sums (resamplings, k) over samples of what is counted in each, ``counts`` (samples, k).

    Precision, recall, F1, word errors over words, intersections over unions; ``together`` where what is counted in a sample
    depends on the others.
    """

    def value(evidence: Evidence, weights: Weights) -> NDArray[np.float64]:
        return of(weights.astype(np.float64) @ evidence["counts"].astype(np.float64))

    def evidence(predictions: Predictions, targets: Targets) -> Evidence:
        return {"counts": _of_each(counts(predictions, targets), targets, 2)}

    return Measure(evidence, value, together)


def of_one_size(metric: str, predictions: Predictions) -> Predictions:
    """Predictions that are compared with one another. Raises SourceError where those of the samples differ in size."""
    if isinstance(predictions, list):
        raise SourceError(
            f"metric {metric} compares the samples with one another, and what is predicted for them has different sizes",
            hint="choose an output of one size, by the task's option 'output', or pad the samples, with 'ragged: pad' in the"
            " model's entry",
        )
    return predictions


def in_frame(targets: Targets, sizes: NDArray[np.int64], frame: tuple[int, ...], otherwise: int) -> NDArray[np.int64]:
    """Class numbers of different ``sizes`` (samples, axes) in arrays (samples, *frame), followed by ``otherwise``.

    Raises SourceError where one is larger than the frame.
    """
    if (sizes > frame).any():
        raise SourceError(
            f"the largest targets are {sizes.max(axis=0).tolist()}, and the outputs of padded samples are for {list(frame)}",
            hint="give targets of the size of the outputs before padding",
        )
    whole = np.full((len(targets), *frame), otherwise, np.int64)
    for place, target, size in zip(whole, targets, sizes, strict=True):
        own = tuple(map(slice, size))
        place[own] = target[own]
    return whole


def _of_each(given: Any, targets: Targets, rank: int) -> NDArray[np.float64]:
    """Numbers of each sample. Raises SourceError for another shape."""
    found = np.asarray(given, np.float64)
    if found.ndim != rank or len(found) != len(targets):
        raise SourceError(
            f"what a task measures has shape {found.shape} for {len(targets)} samples",
            hint="give a number for each sample, or of sums a row for each",
        )
    return found


class NothingToFind(SourceError):
    """No target has anything that a prediction could be right about."""


class Task(Strict, ABC):
    """The options of one kind of task, and what it makes of a model's outputs.

    ``METRICS`` names the rows of :data:`edgeworthy.metrics.QUALITIES` that its predictions can be judged by. Those that are
    ``DIRECT`` are numbers of single samples, from the outputs as they are: nothing is decoded for them.
    """

    METRICS: ClassVar[tuple[str, ...]]
    DIRECT: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def judged_by(cls) -> tuple[str, ...]:
        """Everything that it can be judged by; the first is the default."""
        return (*cls.DIRECT, *cls.METRICS)

    def fitted(self, outputs: Shapes, targets: Targets, inputs: tuple[int, ...]) -> Task:
        """The task with the options that follow from the shapes of a sample's outputs and of its ``inputs``.

        Raises SourceError where outputs or targets do not fit it. Called once, with the reference's outputs; ``targets``
        are all of the evaluation samples'. A task with an option ``image_size`` that is not given is asked for the images of
        each size where they differ, and raises NothingToFind where only the targets of these have no object.
        """
        return self

    def padded(self, targets: Targets, sizes: NDArray[np.int64], outputs: Shapes) -> Targets:
        """Targets of different ``sizes`` (samples, axes), as large as the ``outputs`` of padded samples.

        What is padding does not count. Raises SourceError: most tasks have no value for what does not.
        """
        raise SourceError(
            "the targets have different sizes, and the outputs of padded samples have one",
            hint="run the samples one by one, each in its own size: 'ragged: one_by_one' in the model's entry",
        )

    def with_files(self, base: Path) -> Task:
        """The task with the content of the files that its options name, relative to ``base``, the folder of models.yaml.

        A run keeps it, and is judged from it elsewhere. Raises SourceError for a file that is none.
        """
        return self

    @abstractmethod
    def decode(self, outputs: Outputs) -> Predictions:
        """The predictions of all samples."""

    @abstractmethod
    def agree(self, first: Predictions, other: Predictions) -> NDArray[np.bool_]:
        """Whether two models' predictions are the same, sample by sample, (samples,)."""

    @abstractmethod
    def measure(self, metric: str) -> Measure:
        """How one of METRICS is measured."""
