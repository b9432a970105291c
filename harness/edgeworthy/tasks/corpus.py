"""A metric of all samples, and of samples that are drawn from them."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeworthy.tasks.task import Evidence, Measure, Weights

#: Draws of the samples: a standard error is then within 3 % of that of infinitely many.
DRAWS = 500
#: Weights that are held at once.
BLOCK = 2**21
SEED = 0


@dataclass(frozen=True, eq=False)
class Corpus:
    """The evidence of ``samples`` samples, and how it is measured."""

    measure: Measure
    evidence: Evidence
    samples: int

    @functools.cached_property
    def value(self) -> float:
        """The metric of all samples."""
        return float(self.measure.value(self.evidence, np.ones((1, self.samples), np.int64))[0])

    @functools.cached_property
    def drawn(self) -> NDArray[np.float64]:
        """The metric of every draw, (DRAWS,); the draws of as many samples are the same for everything that is compared."""
        return np.concatenate([self.measure.value(self.evidence, weights) for weights in _draws(self.samples)])


def _draws(samples: int) -> Iterator[Weights]:
    """How often each sample is drawn, (draws, samples), a block at a time; with replacement, the same every time."""
    random = np.random.default_rng(SEED)
    at_once = max(1, min(DRAWS, BLOCK // samples))
    for start in range(0, DRAWS, at_once):
        drawn = random.integers(samples, size=(min(at_once, DRAWS - start), samples))
        yield np.stack([np.bincount(row, minlength=samples) for row in drawn])
