"""COCO's object keypoint similarity: how near the keypoints of a person are to the labelled ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: How much people differ who label COCO's 17 keypoints of a person, nose to ankles (pycocotools, cocoeval.py, kpt_oks_sigmas).
COCO_SIGMAS = (
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089,
)  # fmt: skip


def similarity(
    found: NDArray[np.floating],
    truth: NDArray[np.floating],
    labelled: NDArray[np.bool_],
    area: NDArray[np.float64],
    sigmas: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Mean over the labelled keypoints of exp(-d^2 / (2 area (2 sigma)^2)), sample by sample, (samples,).

    Keypoints are (samples, K, 2) in pixels, ``labelled`` (samples, K), areas (samples,) in square pixels. A keypoint with NaN is
    as far away as can be. 1 where nothing is labelled. COCOeval.computeOks (pycocotools/cocoeval.py).
    """
    squares = ((found.astype(np.float64) - truth.astype(np.float64)) ** 2).sum(axis=2)
    near = np.exp(-squares / (2 * sigmas) ** 2 / (area[:, None] + np.spacing(1)) / 2)
    total = np.where(labelled, np.nan_to_num(near), 0.0).sum(axis=1)
    count = labelled.sum(axis=1)
    return np.asarray(np.divide(total, count, out=np.ones(len(total)), where=count > 0))


def enclosing_areas(keypoints: NDArray[np.floating], labelled: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Areas of the boxes around the labelled keypoints, (samples,), square pixels; 0 where fewer than two are labelled."""
    inside = labelled[..., None]
    low = np.where(inside, keypoints, np.inf).min(axis=1)
    high = np.where(inside, keypoints, -np.inf).max(axis=1)
    return np.asarray(np.maximum(high - low, 0).prod(axis=1), np.float64)
