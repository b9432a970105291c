"""The Keras model of a spec: ``python -m tests.random_models.in_keras FOLDER`` writes .keras files and datasets."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from tests.random_models import specs


def build(spec: dict[str, Any]) -> tuple[Any, Any]:
    """The keras.Model with weights by the spec's seed, and the model of its scores before the head."""
    keras.utils.set_random_seed(spec["seed"] % 2**31)
    image = keras.Input(tuple(spec["shape"]))
    x = image
    for layer in spec["layers"]:
        x = _layer(layer, x)
    x = layers.Flatten()(x) if spec["flatten"] else layers.GlobalAveragePooling2D()(x)
    if spec["hidden"]:
        x = layers.Dense(spec["hidden"], activation="relu")(x)
    scores = layers.Dense(spec["columns"], name="scores")(x)
    heads = {"probabilities": "softmax", "binary": "sigmoid"}
    out = layers.Activation(heads[spec["head"]])(scores) if spec["head"] in heads else scores
    model = keras.Model(image, out)
    random = np.random.default_rng(spec["seed"])
    for each in model.layers:
        if isinstance(each, layers.BatchNormalization):
            size = each.gamma.shape
            scale, offset = random.uniform(0.5, 1.5, size), random.normal(0, 0.3, size)
            each.set_weights([scale, offset, random.normal(0, 0.5, size), random.uniform(0.5, 2, size)])
    return model, keras.Model(image, scores)


def _layer(layer: dict[str, Any], entry: Any) -> Any:
    out, kernel, stride = layer["channels"], layer["kernel"], layer["stride"]
    if layer["kind"] == "residual":
        out, stride = entry.shape[-1], 1
    if layer["kind"] == "separable":
        x = layers.DepthwiseConv2D(kernel, strides=(stride, stride), padding="same")(entry)
        x = layers.Conv2D(out, 1)(x)
    else:
        x = layers.Conv2D(out, kernel, strides=stride, padding="same")(entry)
    if layer["norm"]:
        x = layers.BatchNormalization()(x)
    x = layers.LeakyReLU(0.1)(x) if layer["activation"] == "leaky" else layers.Activation(layer["activation"])(x)
    if layer["kind"] == "residual":
        x = layers.Add()([entry, x])
    pools = {"max": layers.MaxPooling2D, "average": layers.AveragePooling2D}
    return pools[layer["pool"]](2)(x) if layer["pool"] else x


def main(folder: Path) -> None:
    """Write what the specs of Keras models need."""
    for name, spec in json.loads((folder / "specs.json").read_text()).items():
        if spec["framework"] != "keras":
            continue
        model, scoring = build(spec)
        images = specs.samples(spec, specs.CANDIDATES)
        offset, factor = specs.centred(spec, scoring.predict(images, verbose=0))
        last = model.get_layer("scores")
        kernel, bias = last.get_weights()
        last.set_weights([kernel * factor, (bias + offset) * factor])
        outputs = model.predict(images, verbose=0)
        model.save(folder / f"{name}.keras")
        np.savez(folder / f"{name}.npz", **specs.dataset(spec, outputs))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
