"""Embeddings: faces, speakers, products, of which those of one identity should be near each other."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from edgeworthy.errors import SourceError
from edgeworthy.tasks.equal_error import equal_error_rate, sorted_pairs
from edgeworthy.tasks.one_output import OneOutput
from edgeworthy.tasks.task import Measure, Outputs, Predictions, Shapes, Targets, of_one_size, of_sums

#: The cosine of two models' embeddings of one sample from which they count as the same.
ALIKE = 0.99
#: Every pair is compared: 3,000 samples are 4.5 million pairs.
MOST_SAMPLES = 3000
#: Decimals of a cosine: those of the same vectors, multiplied in another order, must be equal.
DIGITS = 12
#: In place of a similarity that is NaN: worse than any cosine, which is from -1 to 1.
FAR, NEAR = -2.0, 2.0


class Embeddings(OneOutput):
    """A vector of each sample, and targets int (samples,), identities; vectors are compared by their cosine.

    Recall at k is the share of samples, of those that have another of their identity, which have one among the k nearest
    others; equally near ones of other identities are nearer. The gallery is all other samples, in a resampling too. The
    equal error rate is that of all pairs of different samples (:mod:`edgeworthy.tasks.equal_error`).
    """

    METRICS: ClassVar[tuple[str, ...]] = ("eer", "recall_at_1", "recall_at_5")

    kind: Literal["embeddings"] = "embeddings"

    def fitted(self, outputs: Shapes, targets: Targets, inputs: tuple[int, ...]) -> Embeddings:
        """The task as it is. Raises SourceError where identities make no pairs of both kinds, or there are too many."""
        if math.prod(self.judged(outputs)) < 2:
            raise SourceError(
                "the output is one number", hint="choose an output (values,) by the task's option 'output'"
            )
        if targets.ndim != 1 or not np.issubdtype(targets.dtype, np.integer):
            raise SourceError(f"the targets are {targets.dtype} of shape {targets.shape}", hint="give int64 (samples,)")
        if len(targets) > MOST_SAMPLES:
            raise SourceError(
                f"{len(targets)} samples have {math.comb(len(targets), 2):,} pairs, and every pair is compared",
                hint=f"judge at most {MOST_SAMPLES} samples",
            )
        counts = np.unique(targets, return_counts=True)[1]
        if len(counts) < 2 or counts.max() < 2:
            raise SourceError(
                f"the {len(targets)} samples are of {len(counts)} identities, at most {counts.max()} of one",
                hint="give samples of two identities or more, and two of one or more",
            )
        return self

    def decode(self, outputs: Outputs) -> NDArray[np.float64]:
        """Vectors of length 1 (samples, values); NaN where a value is NaN or infinite, or all are 0."""
        values = self.judged(outputs)
        vectors = values.reshape(len(values), -1).astype(np.float64)
        with np.errstate(invalid="ignore"):
            return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))

    def agree(self, first: Predictions, other: Predictions) -> NDArray[np.bool_]:
        """Whether the cosine of the two embeddings of a sample is at least ALIKE."""
        return np.asarray(np.einsum("ij,ij->i", first, other) >= ALIKE)

    def measure(self, metric: str) -> Measure:
        """As the table of metrics says.

        The evidence of recall raises SourceError where there are so few samples that every one is among the nearest.
        """
        if metric == "eer":
            return Measure(
                lambda vectors, targets: sorted_pairs(_similarities(of_one_size(metric, vectors), targets), targets),
                equal_error_rate,
            )
        k = {"recall_at_1": 1, "recall_at_5": 5}[metric]
        return of_sums(
            lambda vectors, targets: _found(of_one_size(metric, vectors), targets, k), _recall, together=True
        )


def _similarities(vectors: NDArray[np.float64], targets: Targets) -> NDArray[np.float64]:
    """Cosines of all samples with all, (samples, samples); in place of NaN what is worse for the pair."""
    cosines = np.round(vectors @ vectors.T, DIGITS)
    return np.where(np.isnan(cosines), np.where(targets[:, None] == targets, FAR, NEAR), cosines)


def _found(vectors: NDArray[np.float64], targets: Targets, k: int) -> NDArray[Any]:
    """Whether a sample of the same identity is among the k nearest, and whether there is one: (samples, 2)."""
    if len(vectors) <= k + 1:
        raise SourceError(
            f"of {len(vectors)} samples all others are among the {k} nearest", hint="give more samples, or judge by eer"
        )
    similarities = _similarities(vectors, targets)
    same = targets[:, None] == targets
    mates = same & ~np.eye(len(targets), dtype=bool)
    nearest = np.where(mates, similarities, -np.inf).max(axis=1, keepdims=True)
    nearer = (~same & (similarities >= nearest)).sum(axis=1)
    paired = mates.any(axis=1)
    return np.stack([paired & (nearer < k), paired], axis=1)


def _recall(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return np.asarray(100 * sums[:, 0] / sums[:, 1])
