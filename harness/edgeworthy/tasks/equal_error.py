"""The equal error rate of pairs: where as large a share is wrongly accepted as is wrongly rejected.

Pairs are accepted from a similarity on. As this threshold falls, the share of pairs of different identities that are
accepted (false positive rate) and that of pairs of one identity (true positive rate) rise from 0 to 1. The rate is where
the ROC curve, straight between one threshold and the one below, crosses 1 - false = true. The curve is scikit-learn's
``roc_curve``, so equal similarities are accepted together; ISO/IEC 19795-1 defines both rates of a biometric system.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.tasks.task import Evidence, Weights

#: The share of all pairs before and behind the crossing that are gone through first. A resampling's crossing is seldom
#: further off: the rate would have to differ by some 2 pp.
NEAR = 1 / 50


def sorted_pairs(similarities: NDArray[np.float64], identities: NDArray[Any]) -> Evidence:
    """All pairs of different samples from the most similar to the least, of similarities (samples, samples).

    ``first`` and ``second`` are their samples, ``same`` says that they are of one identity, ``last`` that the next pair is
    less similar; all (pairs,).
    """
    first, second = np.triu_indices(len(similarities), 1)
    values = similarities[first, second]
    order = np.argsort(-values, kind="stable")
    first, second = first[order].astype(np.int16), second[order].astype(np.int16)
    last = np.append(np.diff(values[order]) < 0, True)
    return {"first": first, "second": second, "same": identities[first] == identities[second], "last": last}


def equal_error_rate(evidence: Evidence, weights: Weights) -> NDArray[np.float64]:
    """Percent of each resampling, (resamplings,); NaN where it has no pairs of one identity, or none of two.

    A pair counts as often as the product of how often its samples do: no sample is paired with itself. Resamplings cross
    near each other, so that most pairs need only be counted, which a product of matrices does, and few be gone through.
    """
    near = _near_crossing(evidence)
    before, totals = (_accepted(evidence, end, weights) for end in (near.start, len(evidence["same"])))
    return np.array([_rate(evidence, near, *each) for each in zip(weights, before, totals, strict=True)])


def _near_crossing(evidence: Evidence) -> slice:
    """The pairs within NEAR of the crossing of the samples as they are; equal similarities are not torn apart."""
    same, ends = evidence["same"], np.flatnonzero(evidence["last"]) + 1
    true = np.cumsum(same)
    false = np.arange(1, same.size + 1) - true
    crossing = int(np.searchsorted(false / max(false[-1], 1) + true / max(true[-1], 1), 1.0))
    low, high = (int(np.searchsorted(ends, crossing + side * NEAR * same.size)) for side in (-1, 1))
    return slice(int(ends[low - 1]) if low else 0, int(ends[min(high, ends.size - 1)]))


def _accepted(evidence: Evidence, end: int, weights: Weights) -> NDArray[np.int64]:
    """How many of the first ``end`` pairs are of two identities, and how many of one: (resamplings, 2)."""
    counts, samples = weights.astype(np.float64), weights.shape[1]
    found = []
    for kind in (False, True):
        pairs = np.flatnonzero(evidence["same"][:end] == kind)
        matrix = np.zeros((samples, samples))
        matrix[evidence["first"][pairs], evidence["second"][pairs]] = 1
        found.append(np.einsum("ij,ij->i", counts @ matrix, counts))
    return np.asarray(np.rint(np.stack(found, axis=1)), np.int64)


def _rate(
    evidence: Evidence, pairs: slice, weights: NDArray[np.int64], before: NDArray[np.int64], totals: NDArray[np.int64]
) -> float:
    """Percent of one resampling, whose curve is followed along ``pairs``; along all of them if it does not cross there.

    ``before`` are accepted ahead of them, of two identities and of one, of ``totals``. The curve crosses where
    false / totals[0] + true / totals[1] = 1, which is computed in whole numbers.
    """
    if not totals.all():
        return np.nan
    same, ends = evidence["same"][pairs], np.flatnonzero(evidence["last"][pairs]) + 1
    counts = weights[evidence["first"][pairs]] * weights[evidence["second"][pairs]]
    start, wanted = int(before @ totals[::-1]), int(totals.prod())
    sums = start + np.append(0, np.cumsum(counts * np.where(same, totals[0], totals[1])))
    if start >= wanted or sums[-1] < wanted:
        return _rate(evidence, slice(0, None), weights, np.zeros_like(before), totals)
    after = int(np.searchsorted(sums[ends], wanted))
    low, high = int(ends[after - 1]) if after else 0, int(ends[after])
    share = (wanted - sums[low]) / (sums[high] - sums[low])
    ahead, within = counts[:low] @ ~same[:low], counts[low:high] @ ~same[low:high]
    return float(100 * (before[0] + ahead + share * within) / totals[0])
