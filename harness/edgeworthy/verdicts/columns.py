"""Outputs column by column, each against its own spread in the reference.

One output may hold numbers of different kinds: boxes in pixels beside a score below 1. Over all of them together a lost
score is invisible. A column is one value of a flat output, or one channel of an image (``Truth.channels``). Of a map, of
steps or of anchors, which say the same of many places, it is one of the last axis: a single place may well be constant.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.records import Estimate
from edgeworthy.truth import Truth
from edgeworthy.verdicts import fidelity

Values = NDArray[np.floating[Any]]
#: A column whose spread is below this share of the whole output's range may be rounded away: an int8 step is 1/255.
SMALL = 0.05
#: So many samples must be off a column's median before its variation counts; of many places, this share of them.
FEWEST, FEWEST_PLACES = 2, 0.01
#: A column counts as predicted where the reference explains at least this share of its targets' variance.
EXPLAINED = 0.1


def columns(values: Values, truth: Truth) -> Values:
    """Values of shape (samples, values) as (rows, columns): an image's pixels are rows, its channels columns."""
    channels = truth.channels or _last_axis(truth)
    return values.reshape(-1, channels) if channels else values


def _last_axis(truth: Truth) -> int:
    """Of an output of several axes that is decoded, or compared as it is; 0 of any other."""
    [shape, *more] = truth.outputs.values() or [()]
    places = len(shape) > 1 and not more and not truth.classifies and (truth.task or truth.by_fidelity)
    return shape[-1] if places else 0


def has_targets(truth: Truth) -> bool:
    """Whether every output has a target of its own."""
    return truth.labels.shape == truth.reference.shape and np.issubdtype(truth.labels.dtype, np.floating)


def explained(values: Values, truth: Truth) -> NDArray[np.float64]:
    """The share of each column's variance over the targets that the values explain, at least 0; 0 where none varies."""
    targets, given = columns(truth.labels, truth), columns(values, truth)
    error, spread = np.zeros(targets.shape[1]), np.zeros(targets.shape[1])
    mean = targets.mean(axis=0, dtype=np.float64)
    for start in range(0, len(targets), fidelity.BLOCK):
        block = targets[start : start + fidelity.BLOCK].astype(np.float64)
        error += np.square(given[start : start + fidelity.BLOCK] - block).sum(axis=0)
        spread += np.square(block - mean).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = 1 - error / spread
    return np.where(spread > 0, np.maximum(np.nan_to_num(share, nan=0.0, neginf=0.0), 0.0), 0.0)


def drop_points(values: Values, truth: Truth) -> tuple[Estimate, int]:
    """The largest loss of explained variance of one column in percentage points, and that column's number."""
    lost = 100 * (explained(truth.reference, truth) - explained(values, truth))
    worst = int(lost.argmax())
    return Estimate(float(lost[worst])), worst


def lost(values: Values, truth: Truth) -> list[int]:
    """Columns that vary in the reference and are constant in the values.

    A variation that rounding may remove does not count, unless the reference predicts the column's targets with it.
    """
    given, reference = columns(values, truth), columns(truth.reference, truth)
    if len(given) < 2:
        return []
    constant = np.flatnonzero((given == given[0]).all(axis=0))
    if not constant.size:
        return []
    predicted = explained(truth.reference, truth) >= EXPLAINED if has_targets(truth) else None
    small = SMALL * float(np.ptp(reference))
    fewest = max(FEWEST, FEWEST_PLACES * len(reference) if _last_axis(truth) else 0)
    return [
        int(column)
        for column in constant
        if (predicted is not None and predicted[column] and len(given) >= fidelity.ENOUGH_TO_SUSPECT)
        or (np.abs(reference[:, column] - np.median(reference[:, column])) > small).sum() >= fewest
    ]


def sqnr_db(values: Values, truth: Truth) -> float:
    """Signal to quantization noise in dB: of class scores as a whole, of other outputs that of the worst column.

    Columns count that the reference predicts, or whose spread is not small.
    """
    whole = fidelity.sqnr_db(truth.reference, values)
    if truth.classifies:
        return whole
    given, reference = columns(values, truth), columns(truth.reference, truth)
    counting = np.ptp(reference, axis=0) > SMALL * float(np.ptp(reference))
    if has_targets(truth):
        counting |= explained(truth.reference, truth) >= EXPLAINED
    signal, noise = np.zeros(given.shape[1]), np.zeros(given.shape[1])
    for start in range(0, len(given), fidelity.BLOCK):
        block = reference[start : start + fidelity.BLOCK].astype(np.float64)
        signal += np.square(block).sum(axis=0)
        noise += np.square(block - given[start : start + fidelity.BLOCK]).sum(axis=0)
    counting &= (noise > 0) | np.isnan(noise)
    if not counting.any():
        return whole
    with np.errstate(divide="ignore"):
        return float(min(whole, (10 * np.log10(signal[counting] / noise[counting])).min()))


def named(numbers: Iterable[int]) -> str:
    """``column 4``, ``columns 0, 1, 2, 3, 4 and 7 more``."""
    found = list(numbers)
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return f"column{'s' if len(found) > 1 else ''} {', '.join(map(str, found[:5]))}{more}"
