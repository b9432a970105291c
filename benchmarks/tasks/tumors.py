"""scikit-learn's breast cancer data, in splits that share no tumor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Where each split lies in the shuffled tumors, of which there are 569.
_SPLITS = {"train": slice(0, 199), "calibration": slice(199, 249), "evaluation": slice(249, None)}


def tumors(split: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """30 measurements of each, float32 (samples, 30), from 0.0009 to 4254 as they were made; 1 where it is benign, else 0."""
    from sklearn.datasets import load_breast_cancer

    found: Any = load_breast_cancer()
    chosen = np.random.default_rng(0).permutation(len(found.target))[_SPLITS[split]]
    return found.data[chosen].astype(np.float32), found.target[chosen].astype(np.int64)
