"""When two models' images or sounds are the same."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: The power of the difference over that of the first one's variation, up to which they are: 30 dB.
ALIKE = 1e-3


def close(first: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether samples (samples, ...) differ by little, (samples,); never where one is NaN."""
    same = []
    for one, two in zip(first, other, strict=True):  # one by one: all of them in float64 would take twice the memory
        with np.errstate(invalid="ignore"):  # infinity minus infinity is NaN, which is not close
            difference = np.subtract(one, two, dtype=np.float64)
            same.append(bool(np.mean(difference**2) <= ALIKE * np.var(one, dtype=np.float64)))
    return np.array(same, bool)
