"""How close a variant's outputs are to its reference's, and whether they are outputs at all.

``values`` are an artifact's dequantized outputs of shape (samples, classes). NaN never counts in a candidate's favour.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.records import Estimate
from edgeworthy.statistics.paired import share
from edgeworthy.tasks.class_scores import best_class

Values = NDArray[np.floating[Any]]

#: With fewer samples one class for all of them may be the truth.
ENOUGH_TO_SUSPECT = 20
#: Samples that are looked at together.
BLOCK = 4096
#: Numbers that differ by at most this share of their range count as the same; one int8 step is 1/255.
ALIKE = 0.01
#: What float16 arithmetic may change of a number: two units in its last place.
FLOAT16 = 2.0**-10
#: A column with fewer quantization steps than this is not excused for differing by one.
FEWEST_STEPS = 4


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
    """Each sample's prediction, shape (samples,): the best class, lowest index on ties, -1 where a score is NaN."""
    return best_class(values).astype(np.int64)


def in_top_k(values: Values, labels: NDArray[np.integer[Any]], k: int) -> NDArray[np.bool_]:
    """Whether each label, shape (samples,), is among its sample's k best classes; shape (samples,).

    Ties are broken by the lowest class index, as argmax does on a device (coarsely quantized scores are often equal);
    NaN rank before everything. Constant outputs are found by ``defects.defect``. With k >= classes every sample counts
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
    """Percent of samples with the reference's top-1 prediction, with Wilson's interval.

    Raises ValueError if the arrays are empty or unlike in shape.
    """
    _same_shape(reference, candidate)
    predictions = top1(candidate)
    return share(int(((predictions == top1(reference)) & (predictions >= 0)).sum()), predictions.size)


def alike(first: Values, other: Values, channels: int = 0, own: NDArray[np.bool_] | None = None) -> Estimate:
    """Percent of samples whose outputs are all close, with Wilson's interval: agreement for outputs that are numbers.

    Close is within ALIKE of the column's own range; ``channels`` says how many columns an image has, as in Truth. One
    quantization step is always allowed where a column has several of them, as is what float16 arithmetic rounds. Of samples of
    different sizes the range is that of the values that are a sample's ``own``.
    """
    rows = first.reshape(-1, channels) if channels else first
    ranges, step = _ranges(rows, own if own is None else own.reshape(rows.shape)), _step(rows)
    stepped = np.where((ranges == 0) | (ranges >= FEWEST_STEPS * step), 1.01 * step, 0.0)
    rounding = np.maximum(FLOAT16 * np.abs(rows).max(axis=0), 1e-3 * ALIKE * float(np.ptp(rows)))
    allowed = np.maximum(np.maximum(ALIKE * ranges, stepped), rounding)
    allowed = np.tile(allowed, first.shape[1] // len(allowed))
    same = sum(int((np.abs(block) <= allowed).all(axis=1).sum()) for block in _differences(first, other))
    return share(same, len(first))


def _ranges(rows: Values, own: NDArray[np.bool_] | None) -> NDArray[np.floating[Any]]:
    """The range of each column, over the values that are a sample's own."""
    if own is None:
        ranges: NDArray[np.floating[Any]] = np.ptp(rows, axis=0)
        return ranges
    low, high = rows.min(axis=0, where=own, initial=np.inf), rows.max(axis=0, where=own, initial=-np.inf)
    return np.asarray(np.maximum(high - low, 0))  # a column that no sample has would have a negative one


def _step(values: Values) -> float:
    """The quantization step of outputs that take no more values than int8 has, else 0."""
    few = np.unique(values[:: len(values) // 1000 + 1])  # most outputs are no int8 ones, and sorting them all is slow
    seen = np.unique(values) if few.size <= 256 else few
    if not 2 <= seen.size <= 256 or values.size < 4 * seen.size:
        return 0.0
    return float(np.diff(seen).min())


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
