"""The source's own outputs for the evaluation samples: what every conversion is compared with.

They are computed once, for all samples, or, where the source is slow or its outputs are large, for a stratified
selection: one sample at random from each of as many equal blocks of the dataset, so that data that is sorted by class
is covered evenly. n samples without a difference show, at 95 %, that at most 3/n of all samples differ (the rule of
three: Hanley and Lippman-Hand 1983, https://doi.org/10.1001/jama.1983.03330370053031).
"""

from __future__ import annotations

import functools
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.datasets.samples import Samples
from edgeworthy.errors import SourceError
from edgeworthy.variants.models.same_model import (
    MOST_ROUNDING,
    ROUNDINGS,
    Images,
    Infer,
    Values,
    agrees,
    singly,
    tolerance,
)

Rows = NDArray[np.intp]

#: Samples that are run twice, and those of them that are run alone too.
PROBE, ALONE = 32, 8
#: Of what a conversion may differ by: so much may a sample's outputs change by the batch in which it is run.
MOST_BY_BATCH = 0.1
#: How many samples are run together: what fits into BATCH_BYTES, within these bounds.
LEAST_BATCH, MOST_BATCH, BATCH_BYTES = 32, 256, 2**20
#: A source gets this long for its outputs, and as much of the disk; with less, a selection of at least LEAST samples.
SECONDS, MAX_BYTES, LEAST = 60.0, 2**30, 300


@dataclass(frozen=True)
class SourceOutputs:
    """Outputs of ``rows`` of ``samples``: ``values`` (rows, ..., columns) float32, images as (height, width, channels).

    Several outputs stand one after the other, (rows, values). ``allowed`` is how far a conversion may lie from them, per column.
    """

    samples: Samples
    rows: Rows
    values: Values
    allowed: Values

    def __len__(self) -> int:
        return len(self.rows)

    def batches(self) -> Iterator[tuple[Rows, Images, Values]]:
        """The numbers of some samples, these samples, and the source's outputs for them; one batch in memory."""
        for start in range(0, len(self), LEAST_BATCH):
            rows = self.rows[start : start + LEAST_BATCH]
            yield rows, self.samples.take(rows), np.asarray(self.values[start : start + LEAST_BATCH])

    def probe(self, count: int) -> tuple[Images, Values]:
        """A few samples from everywhere in the dataset, and the source's outputs for them."""
        places = stratified(len(self), min(count, len(self)))
        return self.samples.take(self.rows[places]), np.asarray(self.values[places])

    @property
    def extent(self) -> str:
        """How many samples, and where they are not all of them, what a comparison on them shows."""
        total = len(self.samples)
        if len(self) == total:
            return f"all {total:,} evaluation samples"
        return (
            f"a stratified selection of {len(self):,} of {total:,} evaluation samples"
            f" (at 95 %, at most {300 / len(self):.2g} % of all differ)"
        )


def compute(
    infer: Infer, samples: Samples, path: Path, otherwise: Infer | None = None, shapes: Sequence[tuple[int, ...]] = ()
) -> SourceOutputs:
    """Run the source, write its outputs to ``path``, a .npy file; ``shapes`` are those of its several outputs.

    ``otherwise`` is the same model by other kernels of its own framework: what the two differ by is the rounding of float32
    in this model, of which a conversion may have several times as much.

    Raises SourceError where the source gives other outputs when it is run again, or NaN or infinity.
    """
    probe = samples.take(stratified(len(samples), min(PROBE, len(samples))))
    if len(infer(probe)) != len(probe):  # a reshape puts all samples of a batch into one row
        infer = functools.partial(singly, infer)
        otherwise = otherwise and functools.partial(singly, otherwise)
    expected = _repeatable(infer, probe)
    size = _batch_of(probe) if _ignores_its_batch(infer, probe, expected) else 1
    rows = _affordable(infer, probe, size, len(samples), expected[0].nbytes)
    values = np.lib.format.open_memmap(path, "w+", np.float32, (len(rows), *expected.shape[1:]))
    for start in range(0, len(rows), size):
        values[start : start + size] = infer(samples.take(rows[start : start + size]))
    values.flush()
    shapes = shapes if len(shapes) > 1 else ()
    allowed = _allowed(rows, values, shapes)
    if otherwise is not None:
        rounding = _by_column(_rounding(otherwise, probe, expected), shapes, np.max)
        allowed = np.clip(ROUNDINGS * rounding, allowed, MOST_ROUNDING * allowed)
    return SourceOutputs(samples, rows, values, allowed)


def stratified(total: int, wanted: int) -> Rows:
    """``wanted`` of ``total`` samples, in order: a random one of each of so many equal blocks; all where all are wanted."""
    edges = np.linspace(0, total, wanted + 1).astype(np.intp)
    return np.random.default_rng(0).integers(edges[:-1], edges[1:]).astype(np.intp)


def _rounding(otherwise: Infer, probe: Images, expected: Values) -> Values:
    """By how much other kernels differ, per column; nothing where they are another model, which no rounding is."""
    given = np.asarray(otherwise(probe))
    if given.shape != expected.shape or not np.isfinite(given).all():
        return np.zeros(expected.shape[-1])
    largest: Values = np.abs(given - expected).reshape(-1, expected.shape[-1]).max(axis=0)
    return largest


def _repeatable(infer: Infer, probe: Images) -> Values:
    first, second = (_seeded(infer, probe, seed) for seed in (1, 2))
    if first.shape != second.shape or not agrees(second, first, equal_nan=True):
        raise SourceError(
            "the source differs from itself: the same samples have other outputs when it is run again"
            f" (by up to {np.nanmax(np.abs(first - second)):.2g}), so that nothing can be compared with it",
            hint="switch off what is random at inference, such as dropout (PyTorch: F.dropout(x, p, training=self.training)),"
            " and what keeps state from one inference to the next",
        )
    return first


def _seeded(infer: Infer, images: Images, seed: int) -> Values:
    if torch := sys.modules.get("torch"):
        torch.manual_seed(seed)
    if tensorflow := sys.modules.get("tensorflow"):
        tensorflow.random.set_seed(seed)
    return np.asarray(infer(images))


def _ignores_its_batch(infer: Infer, probe: Images, expected: Values) -> bool:
    """Whether samples have the same outputs in a batch of unlike ones and alone, as a device runs them.

    A few are looked at: where kernels for a batch differ by much of what a conversion may, they will by more elsewhere.
    """
    return all(
        agrees(np.asarray(infer(image[None])), expected[[index]], MOST_BY_BATCH * tolerance(expected))
        for index, image in list(enumerate(probe))[:: max(len(probe) // ALONE, 1)]
    )


def _batch_of(images: Images) -> int:
    return int(np.clip(BATCH_BYTES // images[0].nbytes, LEAST_BATCH, MOST_BATCH))


def _affordable(infer: Infer, probe: Images, size: int, total: int, bytes_each: int) -> Rows:
    begun = time.perf_counter()
    infer(probe[:size])
    seconds_each = (time.perf_counter() - begun) / len(probe[:size])
    wanted = min(SECONDS / seconds_each, MAX_BYTES / bytes_each)
    return stratified(total, min(total, max(LEAST, int(wanted))))


def _by_column(each: Values, shapes: Sequence[tuple[int, ...]], over: Callable[..., Values]) -> Values:
    """A number for each value of several outputs of these ``shapes``, taken ``over`` all places of its column, the last axis."""
    found, start = [], 0
    for shape in shapes:
        size = math.prod(shape)
        places = each[start : start + size].reshape(-1, shape[-1] if shape else 1)
        found.append(np.broadcast_to(over(places, axis=0), places.shape).reshape(-1))
        start += size
    return np.concatenate(found) if shapes else each


def _allowed(rows: Rows, values: NDArray[Any], shapes: Sequence[tuple[int, ...]]) -> Values:
    """The tolerance of each column. Raises SourceError where any sample has NaN or infinity."""
    low, high = np.full(values.shape[-1], np.inf), np.full(values.shape[-1], -np.inf)
    first, count = -1, 0
    for start in range(0, len(values), LEAST_BATCH):
        batch = values[start : start + LEAST_BATCH]
        strange = ~np.isfinite(batch).all(axis=tuple(range(1, batch.ndim)))
        if strange.any():
            first = rows[start + int(strange.argmax())] if first < 0 else first
            count += int(strange.sum())
        columns = batch.reshape(-1, batch.shape[-1])
        low, high = np.minimum(low, columns.min(axis=0)), np.maximum(high, columns.max(axis=0))
    if count:
        raise SourceError(
            f"the source outputs NaN or infinity for evaluation sample {first}"
            + (f" and {count - 1} more of {len(values)}" if count > 1 else "")
            + ", so that nothing can be compared with it",
            hint="check the model's weights and the scale of the dataset's inputs; leave out samples for which"
            " the model has no outputs",
        )
    return tolerance(np.stack([_by_column(low, shapes, np.min), _by_column(high, shapes, np.max)]))
