"""The canary: a variant built to be bad, which the gate must reject in every run.

It is the model's own static int8 quantization, calibrated on uniform noise of the wrong range instead of real inputs:
the classic mistakes of feeding unscaled images to the calibrator (noise in [0, 255]: ranges far too wide, real inputs
round to almost nothing) or, where a model takes such images, noise in [0, 1] (ranges far too narrow, real inputs
saturate). Accuracy falls to chance.
"""

from __future__ import annotations

import functools

import numpy as np

from harness.config import Variant
from harness.sources.samples import Samples
from harness.sources.statistics import channel_statistics
from harness.storage import Store, digest

#: The statically quantizing recipe of each runtime.
RECIPES = {"litert": "int8", "onnxruntime": "ort_int8_minmax", "torch": "torch_int8"}
COUNT, SEED = 100, 0
#: Inputs that reach beyond this are images that were not scaled.
UNSCALED = 16.0


def canary_variant(runtime: str) -> Variant:
    """The canary for a model whose reference runs in ``runtime``."""
    return Variant(recipe=RECIPES[runtime], options={}, required=True)


@functools.cache
def wrong_range(inputs: Samples) -> tuple[float, float]:
    """The range of noise that real ``inputs`` do not have."""
    return (0.0, 1.0) if channel_statistics(inputs, COUNT).high.max() > UNSCALED else (0.0, 255.0)


def wrong_calibration(store: Store, inputs: Samples, input_shape: tuple[int, ...]) -> Samples:
    """Noise of another range than that of ``inputs``, (COUNT, H, W, C) float32, in the store."""
    shape, (low, high) = (COUNT, *input_shape), wrong_range(inputs)
    key = digest(["wrong calibration", shape, low, high, SEED])
    folder = store.find("calibrations", key)
    if folder is None:
        with store.lock(key), store.create("calibrations", key) as made:
            noise = np.random.default_rng(SEED).uniform(low, high, shape)
            np.save(made / "calibration.npy", noise.astype(np.float32))
        folder = store.root / "calibrations" / key
    return Samples(folder / "calibration.npy")
