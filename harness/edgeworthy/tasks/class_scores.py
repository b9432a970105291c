"""Scores of classes: which class is the best, and what is a probability."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.errors import SourceError

#: How far a probability may leave [0, 1]: two steps of int8 over that range, rounded up.
ROUNDING = 0.01


def best_class(scores: NDArray[np.floating[Any]]) -> NDArray[np.int32]:
    """The class of the highest score along the last axis: the lowest number on ties, -1 where a score is NaN."""
    best = scores.argmax(axis=-1)  # a NaN's, where there is one
    found = np.take_along_axis(scores, best[..., None], axis=-1)[..., 0]
    return np.where(np.isnan(found), -1, best).astype(np.int32)


def check_probabilities(values: NDArray[np.floating[Any]]) -> None:
    """Raise SourceError where values lie outside [0, 1] by more than ROUNDING; NaN are let through."""
    low, high = (float(extreme(values, axis=None, initial=0.5)) for extreme in (np.fmin.reduce, np.fmax.reduce))
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise SourceError(
            f"the output is no probability: its values range from {low:.4g} to {high:.4g}",
            hint="set the task's option 'logits: true' if they are logits",
        )
