"""Which samples belong to which split: deterministic, stratified, and no sample twice.

A split (evaluation, calibration, train, validation) takes samples from a pool of named ones; splits of one pool share none.
A sample's place in the order is the sha256 of seed and name, so that the choice is the same on every machine, and a
sample that joins the pool moves only its neighbours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.errors import SourceError

Indices = NDArray[np.int64]
#: Splits with a count choose first, in this order; then those that take all that remains.
ORDER = ("evaluation", "calibration", "train", "validation")


@dataclass(frozen=True)
class Pool:
    """Named samples; ``classes`` (samples,) stratify them, where they have classes."""

    names: Sequence[str]
    classes: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Request:
    """What a split takes of a pool: ``count`` samples, or (None) all that no other split takes."""

    pool: str
    count: int | None
    seed: int


def assign(pools: Mapping[str, Pool], requests: Mapping[str, Request]) -> dict[str, Indices]:
    """The samples of each split, ascending, as indices of its pool. Raises SourceError where a pool is too small."""
    left = {name: np.ones(len(pool.names), bool) for name, pool in pools.items()}
    assigned: dict[str, Indices] = {}
    for split in sorted(requests, key=lambda split: (requests[split].count is None, ORDER.index(split))):
        request = requests[split]
        free = np.flatnonzero(left[request.pool])
        wanted = len(free) if request.count is None else request.count
        if wanted > len(free) or wanted == 0:
            raise SourceError(
                f"{split} asks for {request.count or 'all'} samples of {request.pool}, of which {len(free)} are left",
                hint="lower the counts, or give the splits samples of their own",
            )
        assigned[split] = np.sort(_chosen(pools[request.pool], free, wanted, request.seed))
        left[request.pool][assigned[split]] = False
    return assigned


def _chosen(pool: Pool, free: Indices, count: int, seed: int) -> Indices:
    if count == len(free):
        return free
    ordered = np.array(sorted(free, key=lambda index: _rank(seed, pool.names[index])), np.int64)
    if pool.classes is None:
        return ordered[:count]
    classes = pool.classes[ordered]
    kept = [ordered[classes == label][:size] for label, size in shares(classes, count).items()]
    return np.concatenate(kept)


def _rank(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed} {name}".encode(errors="surrogatepass")).digest()


def shares(classes: NDArray[np.integer[Any]], count: int) -> dict[int, int]:
    """How many of ``count`` samples each class gets: in proportion, and the rest go to the largest remainders."""
    labels, sizes = np.unique(classes, return_counts=True)
    exact = sizes * count / sizes.sum()
    given = np.floor(exact).astype(int)
    largest = np.argsort(given - exact, kind="stable")[: count - given.sum()]
    given[largest] += 1
    return dict(zip(labels.tolist(), given.tolist(), strict=True))
