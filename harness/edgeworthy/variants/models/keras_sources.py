"""Keras models as the user gives them: a .keras or .h5 file, or a model of keras.applications by name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from edgeworthy.errors import SourceError
from edgeworthy.source_schema import RANDOM
from edgeworthy.suggestions import did_you_mean
from edgeworthy.tensors import NamedInput
from edgeworthy.variants.conversion.converter_errors import reason_line, refusing
from edgeworthy.variants.models import keras_2
from edgeworthy.variants.models.model_ends import keras_inputs, keras_with_output
from edgeworthy.variants.models.model_inputs import ModelInput
from edgeworthy.variants.models.same_model import Images
from edgeworthy.variants.models.source_files import Shape, check_shapes, checked_file, reading

SEED = 0
#: How Keras says that it does not run the code of a part, or lacks it.
OWN_CODE = re.compile(
    r"deserialization of an? (?P<unsafe>`[^`]+`( layer)?|[\w ]+)"
    r"|(Could not locate|Unknown) (class|function|layer|object):? '(?P<unknown>[^']+)'"
)


def load_keras(path: Path, output: str | None, sample: Shape, inputs: Sequence[NamedInput] = ()) -> Any:
    """The keras.Model in a .keras or .h5 file with the chosen output, loaded in safe mode, its inputs checked.

    A file of Keras 2 that Keras 3 does not read as the same model gives a tf_keras.Model.
    """
    with refusing("Keras"):
        import keras

    def load() -> Any:
        return keras.models.load_model(path, compile=False)

    with reading(path, "a Keras model"), _naming_own_code(path):
        if not keras_2.wrote(path):
            model = load()
        elif keras_2.has_code(path):
            raise _own_code(path, f"a {keras_2.CODE} layer")
        else:
            model = keras_2.load(path, load)
    model = keras_with_output(model, path, output, inputs)
    check_shapes(path, inputs_of(model), inputs, sample)
    return model


def inputs_of(model: Any) -> list[ModelInput]:
    """The inputs of a keras.Model, in its order."""
    types = (getattr(tensor.dtype, "name", tensor.dtype) for tensor in model.inputs)  # a name, of tf_keras a tf.DType
    return [
        ModelInput(name, tuple(tensor.shape), np.dtype(kind))
        for name, tensor, kind in zip(keras_inputs(model), model.inputs, types, strict=True)
    ]


def called(model: Any) -> Callable[..., Any]:
    """The keras.Model as a function of a tensor for each of its inputs, which it may take in a list or by name."""
    import tensorflow as tf

    # A Sequential that was never called has no "input"; it takes one tensor.
    taken = getattr(model, "input", model.inputs[0])
    return lambda *given: model(tf.nest.pack_sequence_as(taken, list(given)), training=False)


@contextmanager
def _naming_own_code(path: Path) -> Iterator[None]:
    """Raise SourceError for what Keras could only rebuild with Python code, of the file's or of the user's."""
    try:
        yield
    except Exception as error:
        found = OWN_CODE.search(str(error))
        if found is None:
            raise
        part = (
            f"a {found['unsafe'].replace('`', '')}"
            if found["unsafe"]
            else f"the class or function {found['unknown']!r}"
        )
        raise _own_code(path, part) from error


def _own_code(path: Path, part: str) -> SourceError:
    return SourceError(
        f"{path}: it has {part}, whose Python code is not Keras' own; a Keras file is read in safe mode, without it",
        hint="export the model as a SavedModel, with model.export(folder), and give the folder as its path",
    )


def load_application(name: str, classes: int, base_dir: Path, weights: str, images: Images) -> Any:
    """The keras.applications model of that name for ``classes`` and the shape of ``images`` (N, H, W, C), with logits.

    The softmax is left out: accuracy is the same without it, and an int8 softmax rounds small probabilities to 0.
    """
    with refusing("Keras"):
        import keras
    build = _application(keras, name)
    keras.utils.set_random_seed(SEED)
    try:
        model = build(weights=None, classes=classes, input_shape=images.shape[1:], classifier_activation=None)
    except Exception as error:
        raise SourceError(
            f"keras.applications.{name} with input {images.shape[1:]} and {classes} classes: {reason_line(error)}",
            hint="choose a dataset whose samples the architecture takes",
        ) from error
    if weights == RANDOM:
        _settle_batch_norm(keras, model, images)
    else:
        _load_weights(model, checked_file(base_dir / weights), name)
    return model


def _application(keras: Any, name: str) -> Any:
    known = [
        found
        for found, build in inspect.getmembers(keras.applications, inspect.isfunction)
        if "classifier_activation" in inspect.signature(build).parameters
    ]
    if name not in known:
        raise SourceError(
            f"keras.applications has no model {name!r}; {did_you_mean(name, known)}",
            hint="correct the name of the model",
        )
    return getattr(keras.applications, name)


def _load_weights(model: Any, weights: Path, name: str) -> None:
    import h5py

    if not h5py.is_hdf5(weights):
        raise SourceError(
            f"{weights}: cannot be read as Keras weights: it is no HDF5 file",
            hint="save them with model.save_weights('name.weights.h5')",
        )
    try:
        model.load_weights(weights)
    except Exception as error:
        raise SourceError(
            f"{weights}: the weights do not fit keras.applications.{name}: {reason_line(error)}",
            hint="check the dataset's number of classes, the input size and the architecture",
        ) from error


def _settle_batch_norm(keras: Any, model: Any, images: Images) -> None:
    """Take the statistics of batch normalization from ``images``.

    With the initial ones the signal dies on its way through a deep network of random weights, and all outputs are equal.
    """
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    before = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    model(images, training=True)
    for layer, momentum in zip(layers, before, strict=True):
        layer.momentum = momentum
