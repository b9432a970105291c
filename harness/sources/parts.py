"""Which samples are for what: deterministic, stratified, and no sample twice.

A part (evaluation, calibration, train, validation) is dealt from a pool of named samples; parts of one pool share none.
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

from harness.errors import SourceError

Indices = NDArray[np.int64]
#: Parts that take a count are served in this order, and then those that take all that is left.
ORDER = ("evaluation", "calibration", "train", "validation")


@dataclass(frozen=True)
class Pool:
    """Named samples; ``classes`` (samples,) stratify them, where they have classes."""

    names: Sequence[str]
    classes: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Request:
    """What a part takes of a pool: ``count`` samples, or (None) all that no other part takes."""

    pool: str
    count: int | None
    seed: int


def deal(pools: Mapping[str, Pool], requests: Mapping[str, Request]) -> dict[str, Indices]:
    """The samples of each part, ascending, as indices of its pool. Raises SourceError where a pool is too small."""
    left = {name: np.ones(len(pool.names), bool) for name, pool in pools.items()}
    dealt: dict[str, Indices] = {}
    for part in sorted(requests, key=lambda part: (requests[part].count is None, ORDER.index(part))):
        request = requests[part]
        free = np.flatnonzero(left[request.pool])
        wanted = len(free) if request.count is None else request.count
        if wanted > len(free) or wanted == 0:
            raise SourceError(
                f"{part} asks for {request.count or 'all'} samples of {request.pool}, where {len(free)} are left",
                next_step="lower the counts, or give the parts samples of their own",
            )
        dealt[part] = np.sort(_chosen(pools[request.pool], free, wanted, request.seed))
        left[request.pool][dealt[part]] = False
    return dealt


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
    return hashlib.sha256(f"{seed} {name}".encode()).digest()


def shares(classes: NDArray[np.integer[Any]], count: int) -> dict[int, int]:
    """How many of ``count`` samples each class gets: in proportion, what is left over to the largest remainders."""
    labels, sizes = np.unique(classes, return_counts=True)
    exact = sizes * count / sizes.sum()
    given = np.floor(exact).astype(int)
    largest = np.argsort(given - exact, kind="stable")[: count - given.sum()]
    given[largest] += 1
    return dict(zip(labels.tolist(), given.tolist(), strict=True))
