"""Inputs for benchmarks/reference_models.yaml: crops of scikit-learn's two photographs, at the sizes of ImageNet models.

They are real images, so that ranges are calibrated on what models meet; their labels mean nothing, as the weights of
the reference models are random. With weights of your own, use your own images: docs/adding-a-dataset.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: How many crops each split has; a recipe that fine-tunes gets hardly any, as random weights have nothing to lose.
COUNTS = {"calibration": 16, "evaluation": 32, "train": 8, "validation": 4}
SEED = 0
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Images = NDArray[np.float32]


def bytes_224() -> dict[str, NDArray[Any]]:
    """In [0, 255], as MobileNetV3 of keras.applications takes them: it scales them itself."""
    return _splits(224, lambda images: images)


def keras_tf_224() -> dict[str, NDArray[Any]]:
    """In [-1, 1]: the preprocessing "tf" of keras.applications."""
    return _splits(224, lambda images: images / 127.5 - 1)


def keras_tf_299() -> dict[str, NDArray[Any]]:
    """In [-1, 1], at the size of Xception."""
    return _splits(299, lambda images: images / 127.5 - 1)


def torchvision_224() -> dict[str, NDArray[Any]]:
    """Mean and standard deviation of ImageNet taken out, as torchvision's models take them."""
    return _splits(224, lambda images: (images / 255 - IMAGENET_MEAN) / IMAGENET_STD)


def _splits(side: int, preprocess: Callable[[Images], NDArray[Any]]) -> dict[str, NDArray[Any]]:
    from sklearn.datasets import load_sample_images

    photographs = load_sample_images().images
    rng = np.random.default_rng(SEED)
    splits: dict[str, NDArray[Any]] = {}
    for split, count in COUNTS.items():
        crops = [_crop(photographs[number % len(photographs)], side, rng) for number in range(count)]
        splits[f"{split}_x"] = preprocess(np.stack(crops).astype(np.float32)).astype(np.float32)
        if split != "calibration":
            splits[f"{split}_y"] = np.arange(count) % len(photographs)
    return splits


def _crop(photograph: NDArray[np.uint8], side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    top, left = (int(rng.integers(size - side + 1)) for size in photograph.shape[:2])
    crop = photograph[top : top + side, left : left + side]
    return crop[:, ::-1] if rng.random() < 0.5 else crop
