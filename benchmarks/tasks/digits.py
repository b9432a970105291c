"""scikit-learn's digits, 8x8 and written by hand, in splits that share none."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Where each split lies in the shuffled digits, of which there are 1,797.
_SPLITS = {"train": slice(0, 1000), "calibration": slice(1000, 1097), "evaluation": slice(1097, None)}


def digits(split: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Images float32 (samples, 8, 8) from 0 to 1, and the digits that they show."""
    from sklearn.datasets import load_digits

    found: Any = load_digits()
    chosen = np.random.default_rng(0).permutation(len(found.target))[_SPLITS[split]]
    return (found.images[chosen] / 16).astype(np.float32), found.target[chosen].astype(np.int64)
