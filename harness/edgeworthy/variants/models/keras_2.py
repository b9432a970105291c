"""HDF5 files of Keras 2: some of their layers Keras 3 does not read, or reads as others; tf_keras is Keras 2 to this day."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgeworthy.errors import RecipeRefused
from edgeworthy.variants.conversion.converter_errors import refusing
from edgeworthy.variants.models.same_model import agrees

#: Layers whose code lies in the file itself, as Python's byte code.
CODE = "Lambda"


def wrote(path: Path) -> bool:
    """Whether Keras 2 saved the file."""
    import h5py

    if not h5py.is_hdf5(path):
        return False
    with h5py.File(path, "r") as file:
        return str(file.attrs.get("keras_version", "")).startswith("2.")


def has_code(path: Path) -> bool:
    """Whether the file brings code of its own, which Keras 2 would run."""
    import h5py

    with h5py.File(path, "r") as file:
        config = json.loads(file.attrs["model_config"])
    return CODE in _classes(config)


def load(path: Path, newer: Any) -> Any:
    """The model as Keras 3 reads it where that is the same one, and otherwise tf_keras' own.

    ``newer`` reads it with Keras 3. The two are compared on random inputs. Raises whatever tf_keras does.
    """
    with refusing("tf_keras"):
        import tf_keras
    older = tf_keras.models.load_model(path, compile=False)
    try:
        model = newer()
        inputs = [_noise(tensor.shape) for tensor in older.inputs]
        same = agrees(_outputs(model, inputs), _outputs(older, inputs))
    except Exception:  # the reason does not matter: Keras 2 has read it
        return older
    return model if same else older


def check_trainable(model: Any) -> None:
    """Raise RecipeRefused for a model of tf_keras, which Keras 3 cannot train."""
    import keras

    if not isinstance(model, keras.Model):
        raise RecipeRefused(
            "the file was saved by Keras 2, and Keras 3, which fine-tunes, does not read it as the same model",
            hint="build the model with Keras 3, load the weights, and save it as .keras",
        )


def _classes(config: Any) -> Iterator[str]:
    """The names of all layers' classes in a model's configuration, those of models inside it too."""
    if isinstance(config, dict):
        if isinstance(name := config.get("class_name"), str):
            yield name
        config = list(config.values())
    if isinstance(config, list):
        for each in config:
            yield from _classes(each)


def _noise(shape: tuple[int | None, ...]) -> Any:
    random = np.random.default_rng(0)
    return random.random((shape[0] or 2, *(size or 32 for size in shape[1:])), dtype=np.float32)


def _outputs(model: Any, inputs: list[Any]) -> Any:
    given = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    parts = given if isinstance(given, list | tuple) else [given]
    return np.concatenate([np.asarray(part).reshape(len(inputs[0]), -1) for part in parts], axis=1)
