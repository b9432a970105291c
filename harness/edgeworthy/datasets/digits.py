"""The embedded dataset: scikit-learn's 1,797 real handwritten digits, upscaled to 32x32.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository (1998);
the copy that ships inside scikit-learn, so that nothing is downloaded.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIDE = 32
#: Sizes of the splits, taken from the shuffled digits in this order; the rest is for evaluation.
SIZES = {"train": 800, "validation": 100, "calibration": 100}
SEED = 0


def load_digits() -> dict[str, NDArray[np.generic]]:
    """``<split>_x`` float32 (N, 32, 32, 1) in [0, 1] and ``<split>_y`` int64 for train, validation, calibration, evaluation.

    The splits are fixed by a seed and share no sample. Raises ImportError without scikit-learn and Pillow.
    """
    from PIL import Image
    from sklearn.datasets import load_digits as load

    digits = load()
    images = np.stack(
        [
            np.asarray(Image.fromarray(image.astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
            for image in digits.images / 16.0
        ]
    )
    order = np.random.default_rng(SEED).permutation(len(images))
    splits: dict[str, NDArray[np.generic]] = {}
    start = 0
    for name, size in {**SIZES, "evaluation": len(images) - sum(SIZES.values())}.items():
        chosen = order[start : start + size]
        splits[f"{name}_x"] = images[chosen, :, :, None].astype(np.float32)
        splits[f"{name}_y"] = digits.target[chosen].astype(np.int64)
        start += size
    return splits
