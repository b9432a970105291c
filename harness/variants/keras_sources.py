"""Keras models as the user gives them: a .keras or .h5 file, or a model of keras.applications by name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.config import RANDOM
from harness.errors import SourceError
from harness.suggestions import did_you_mean
from harness.variants.converter_errors import refusing, telling_line
from harness.variants.same_model import Images
from harness.variants.source_files import Shape, check_shape, checked_file, reading

SEED = 0
#: How Keras says that it does not run the code of a part, or has not got it.
OWN_CODE = re.compile(
    r"deserialization of an? (?P<unsafe>`[^`]+`( layer)?|[\w ]+)"
    r"|(Could not locate|Unknown) (class|function|layer|object):? '(?P<unknown>[^']+)'"
)


def load_keras(path: Path, sample: Shape) -> Any:
    """The keras.Model in a .keras or .h5 file, loaded in safe mode, its input checked against (H, W, C)."""
    with refusing("Keras"):
        import keras
    with reading(path, "a Keras model"), _naming_own_code(path):
        model = keras.models.load_model(path, compile=False)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise SourceError(f"{path}: {len(model.inputs)} inputs and {len(model.outputs)} outputs; one of each is read")
    check_shape(path, tuple(model.inputs[0].shape[1:]), sample)
    return model


@contextmanager
def _naming_own_code(path: Path) -> Iterator[None]:
    """Raise SourceError for what Keras could only rebuild with Python code, of the file's or of the user's."""
    try:
        yield
    except Exception as error:
        told = OWN_CODE.search(str(error))
        if told is None:
            raise
        part = (
            f"a {told['unsafe'].replace('`', '')}" if told["unsafe"] else f"the class or function {told['unknown']!r}"
        )
        raise SourceError(
            f"{path}: it has {part}, whose Python code is not Keras' own; a Keras file is read in safe mode, without it",
            next_step="export the model as a SavedModel, with model.export(folder), and give the folder as its path",
        ) from error


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
            f"keras.applications.{name} with input {images.shape[1:]} and {classes} classes: {telling_line(error)}",
            next_step="choose a dataset whose samples the architecture takes",
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
        raise SourceError(f"keras.applications has no model {name!r}; {did_you_mean(name, known)}")
    return getattr(keras.applications, name)


def _load_weights(model: Any, weights: Path, name: str) -> None:
    import h5py

    if not h5py.is_hdf5(weights):
        raise SourceError(
            f"{weights}: cannot be read as Keras weights: it is no HDF5 file",
            next_step="save them with model.save_weights('name.weights.h5')",
        )
    try:
        model.load_weights(weights)
    except Exception as error:
        raise SourceError(
            f"{weights}: the weights do not fit keras.applications.{name}: {telling_line(error)}",
            next_step="check the dataset's number of classes, the input size and the architecture",
        ) from error


def _settle_batch_norm(keras: Any, model: Any, images: Images) -> None:
    """Take the statistics of batch normalization from ``images``.

    With the initial ones the signal dies on its way through a deep network of random weights, and all answers are equal.
    """
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    before = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    model(images, training=True)
    for layer, momentum in zip(layers, before, strict=True):
        layer.momentum = momentum
