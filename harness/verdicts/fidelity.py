"""How close a variant's outputs are to its reference's, and whether they are outputs at all.

``values`` are an artifact's dequantized outputs of shape (samples, classes). NaN never counts in a candidate's favour.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.records import Estimate
from harness.verdicts.paired import share

Values = NDArray[np.floating[Any]]

#: With fewer samples one class for all of them may be the truth.
ENOUGH_TO_SUSPECT = 20
#: Samples that are looked at together.
BLOCK = 4096
#: Numbers that differ by this share of their range are the same answer; a step of int8 is 1/255.
ALIKE = 0.01


def sqnr_db(reference: Values, candidate: Values) -> float:
    """Signal to quantization noise in dB: 10 log10(sum ref^2 / sum (ref - cand)^2); infinite where equal.

    Two arrays of one shape; raises ValueError if they differ. NaN if an output is NaN.
    """
    noise = sum(float(np.square(difference).sum()) for difference in _differences(reference, candidate))
    signal = float(np.einsum("ij,ij->", reference, reference, dtype=np.float64))
    if noise == 0:
        return math.inf
    return 10 * (math.log10(signal) - math.log10(noise)) if signal else -math.inf


def max_difference(reference: Values, candidate: Values) -> float:
    """The largest absolute difference of one output; NaN if one is NaN.

    Raises ValueError if the arrays are empty or unlike in shape.
    """
    return float(np.max([np.abs(difference).max() for difference in _differences(reference, candidate)]))


def top1(values: Values) -> NDArray[np.int64]:
    """Each sample's answer, shape (samples,): the best class, the first of equals, -1 where a score is NaN."""
    return np.where(np.isnan(values).any(axis=1), -1, values.argmax(axis=1)).astype(np.int64)


def in_top_k(values: Values, labels: NDArray[np.integer[Any]], k: int) -> NDArray[np.bool_]:
    """Whether each label, shape (samples,), is among its sample's k best classes; shape (samples,).

    Of equal scores the first class ranks before, as argmax answers on a device (coarsely quantized scores are often
    equal); NaN rank before everything. Constant outputs are told by ``defect``. With k >= classes every sample counts
    whose label has a score. Raises ValueError for k < 1 and labels beyond the classes.
    """
    samples, classes = values.shape
    if k < 1 or labels.shape != (samples,) or (samples and not 0 <= labels.min() <= labels.max() < classes):
        raise ValueError(f"top-{k} of {classes} classes needs k >= 1 and {samples} labels from 0 to {classes - 1}")
    own = np.take_along_axis(values, labels[:, None], axis=1)
    first = np.arange(classes) < labels[:, None]
    before = ~(values <= own) | ((values == own) & first)  # not `>`, which is False of NaN
    rank: NDArray[np.int64] = before.sum(axis=1)
    return (rank < k) & ~np.isnan(own[:, 0])


def agreement(reference: Values, candidate: Values) -> Estimate:
    """Percent of samples with the reference's top-1 answer, with Wilson's interval.

    Raises ValueError if the arrays are empty or unlike in shape.
    """
    _same_shape(reference, candidate)
    answers = top1(candidate)
    return share(int(((answers == top1(reference)) & (answers >= 0)).sum()), answers.size)


def alike(first: Values, other: Values) -> Estimate:
    """Percent of samples whose outputs all differ by at most ALIKE of the first's range, with Wilson's interval.

    What agreement is to classes, for outputs that are numbers to be predicted.
    """
    allowed = ALIKE * float(first.max() - first.min())
    same = sum(int((np.abs(block).max(axis=1) <= allowed).sum()) for block in _differences(first, other))
    return share(same, len(first))


def defect(values: Values, classifies: bool = True) -> str | None:
    """Why these outputs are not to be judged at all, in one sentence, or None if nothing speaks against them.

    Outputs that do not classify have no best class that could be suspicious.
    """
    samples, classes = values.shape
    broken = int((~np.isfinite(values)).any(axis=1).sum())
    if broken:
        return f"the outputs hold NaN or infinity for {broken} of {samples} samples"
    if samples > 1 and (values == values[0]).all():
        return f"the outputs are the same for all {samples} samples"
    answers = top1(values)
    if classifies and samples >= ENOUGH_TO_SUSPECT and classes > 1 and (answers == answers[0]).all():
        return f"class {answers[0]} is the answer to all {samples} samples"
    return None


def _differences(reference: Values, candidate: Values) -> Iterator[NDArray[np.float64]]:
    """The difference a block of samples at a time: in float64 all of it would take twice the memory of both."""
    _same_shape(reference, candidate)
    for start in range(0, max(len(reference), 1), BLOCK):
        yield _difference(reference[start : start + BLOCK], candidate[start : start + BLOCK])


def _difference(reference: Values, candidate: Values) -> NDArray[np.float64]:
    _same_shape(reference, candidate)
    with np.errstate(invalid="ignore"):  # infinity minus infinity is NaN, which no limit passes
        return np.subtract(reference, candidate, dtype=np.float64)


def _same_shape(reference: Values, candidate: Values) -> None:
    if reference.shape != candidate.shape:
        raise ValueError(f"outputs differ in shape: reference {reference.shape}, candidate {candidate.shape}")
