"""The canary: a variant built to be bad, which the gate must reject in every run.

It is the model's own static int8 quantization, calibrated on uniform noise in [0, 255] instead of real inputs: the
classic mistake of feeding unscaled images to the calibrator. The ranges come out far too wide, real inputs round to
almost nothing, and accuracy falls to chance.
"""

from __future__ import annotations

import numpy as np

from harness.config import Variant
from harness.sources.samples import Samples
from harness.storage import Store, digest

#: The statically quantizing recipe of each runtime.
RECIPES = {"litert": "int8", "onnxruntime": "ort_int8_minmax", "torch": "torch_int8"}
LOW, HIGH, COUNT, SEED = 0.0, 255.0, 100, 0


def canary_variant(runtime: str) -> Variant:
    """The canary for a model whose reference runs in ``runtime``."""
    return Variant(recipe=RECIPES[runtime], options={}, required=True)


def wrong_calibration(store: Store, input_shape: tuple[int, ...]) -> Samples:
    """Noise of the wrong range, (COUNT, H, W, C) float32, in the store."""
    shape = (COUNT, *input_shape)
    key = digest(["wrong calibration", shape, LOW, HIGH, SEED])
    folder = store.find("calibrations", key)
    if folder is None:
        with store.lock(key), store.create("calibrations", key) as made:
            noise = np.random.default_rng(SEED).uniform(LOW, HIGH, shape)
            np.save(made / "calibration.npy", noise.astype(np.float32))
        folder = store.root / "calibrations" / key
    return Samples(folder / "calibration.npy")
