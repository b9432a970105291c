"""A MobileNetV3-like Keras classifier of 32x32x1 images: 121k weights, squeeze-and-excite, hard-swish later on.

A student of it has half of the channels, and a quarter of the weights.

Hard-swish is what makes it interesting to a gate: int8 kernels are slow on it and 16-bit ones do not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray

EPOCHS = 24
BATCH = 32
SHIFT_PIXELS = 2
#: Of the student's layers, as a share of the channels.
STUDENT_WIDTH = 0.46
STUDENT_EPOCHS = 60
TEMPERATURE = 4.0
WEIGHTS = Path(__file__).parents[2] / "weights"


def train(splits: Mapping[str, NDArray[Any]], out: Path, progress: Callable[[str], None]) -> None:
    """Train on ``train_*`` of ``splits``, keep the epoch with the least loss on ``validation_*``, write ``out``.

    Images are float32 (N, 32, 32, 1) in [0, 1]; labels are integers 0 to 9; the model returns logits (N, 10).
    """
    _train(build, splits, out, progress, EPOCHS, _loss(), lambda images, labels: (images, labels))


def train_student(splits: Mapping[str, NDArray[Any]], out: Path, progress: Callable[[str], None]) -> None:
    """As ``train``, a model of STUDENT_WIDTH that learns what the trained one says of shifted images."""
    teacher = keras.models.load_model(WEIGHTS / "mobilenet.keras")
    labelled = keras.losses.CategoricalCrossentropy(from_logits=True)

    def taught(images: Any, _: Any) -> tuple[Any, Any]:
        return images, tf.nn.softmax(teacher(images, training=False) / TEMPERATURE)

    def loss(soft: Any, logits: Any) -> Any:
        return TEMPERATURE**2 * labelled(soft, logits / TEMPERATURE)

    _train(lambda: build(STUDENT_WIDTH), splits, out, progress, STUDENT_EPOCHS, loss, taught)


def _train(
    make: Callable[[], Any],
    splits: Mapping[str, NDArray[Any]],
    out: Path,
    progress: Callable[[str], None],
    epochs: int,
    loss: Any,
    taught: Callable[[Any, Any], tuple[Any, Any]],
) -> None:
    keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    model = make()
    batches = _batches(splits["train_x"], splits["train_y"]).map(taught).prefetch(2)
    validation = taught(splits["validation_x"], splits["validation_y"])
    best = _KeepBest(progress, epochs)
    model.compile(_optimizer(steps=epochs * len(batches)), loss, metrics=["accuracy"])
    model.fit(batches, epochs=epochs, validation_data=validation, verbose=0, callbacks=[best])
    trained = make()  # without the optimizer's state, twice the size of the weights
    trained.set_weights(model.get_weights())
    trained.save(out)


def build(width: float = 1.0) -> Any:
    """The untrained keras.Model: input (batch, 32, 32, 1) float32, output (batch, 10) logits; ``width`` scales its channels."""

    def wide(channels: int) -> int:
        return round(channels * width)

    def block(x: Any, expand: int, out: int, stride: int, squeeze: bool, activate: Callable[[Any], Any]) -> Any:
        return _block(x, expand=wide(expand), out=wide(out), stride=stride, squeeze=squeeze, activate=activate)

    image = keras.Input((32, 32, 1))
    x = _hard_swish(_normalized(layers.Conv2D(wide(16), 3, strides=2, padding="same", use_bias=False)(image)))
    x = block(x, 32, 16, 1, True, _relu)
    x = block(x, 64, 24, 2, False, _relu)
    x = block(x, 88, 24, 1, False, _relu)
    x = block(x, 96, 40, 2, True, _hard_swish)
    x = block(x, 160, 40, 1, True, _hard_swish)
    x = _hard_swish(_normalized(layers.Conv2D(wide(240), 1, use_bias=False)(x)))
    x = _hard_swish(layers.Dense(wide(216))(layers.GlobalAveragePooling2D()(x)))
    return keras.Model(image, layers.Dense(10)(x), name="mobilenet")


def _block(x: Any, *, expand: int, out: int, stride: int, squeeze: bool, activate: Callable[[Any], Any]) -> Any:
    """An inverted residual of MobileNetV3 (Howard et al. 2019, figure 4)."""
    entry = x
    x = activate(_normalized(layers.Conv2D(expand, 1, use_bias=False)(x)))
    x = activate(_normalized(layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(x)))
    x = _squeeze_excite(x, expand) if squeeze else x
    x = _normalized(layers.Conv2D(out, 1, use_bias=False)(x))
    return layers.Add()([entry, x]) if stride == 1 and entry.shape[-1] == out else x


def _squeeze_excite(x: Any, channels: int) -> Any:
    scale = layers.GlobalAveragePooling2D(keepdims=True)(x)
    # The units begin alive: where all die, their quantization scale becomes 1e-8 and XNNPACK refuses the int8 graph.
    alive = keras.initializers.Constant(0.5)
    scale = layers.Conv2D(max(8, channels // 4), 1, activation="relu", bias_initializer=alive)(scale)
    scale = layers.Conv2D(channels, 1, activation="hard_sigmoid")(scale)
    return layers.Multiply()([x, scale])


def _normalized(x: Any) -> Any:
    # Few, small batches: the default momentum of 0.99 would still remember the first epoch at the last.
    return layers.BatchNormalization(momentum=0.9)(x)


def _relu(x: Any) -> Any:
    return layers.ReLU()(x)


def _hard_swish(x: Any) -> Any:
    return layers.Activation("hard_swish")(x)


def _batches(images: NDArray[Any], labels: NDArray[Any]) -> Any:
    """Shuffled batches whose images are shifted by up to SHIFT_PIXELS each way, anew every epoch."""
    data = tf.data.Dataset.from_tensor_slices((images, labels)).cache().shuffle(len(images), seed=0)
    return data.map(_shifted).batch(BATCH, drop_remainder=True)


def _shifted(image: Any, label: Any) -> tuple[Any, Any]:
    padded = tf.pad(image, [[SHIFT_PIXELS] * 2, [SHIFT_PIXELS] * 2, [0, 0]])
    return tf.image.random_crop(padded, image.shape), label


def _optimizer(steps: int) -> Any:
    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps))


def _loss() -> Any:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class _KeepBest(keras.callbacks.Callback):  # type: ignore[misc]
    """Report each epoch; at the end go back to the weights with the smallest validation loss."""

    def __init__(self, progress: Callable[[str], None], epochs: int) -> None:
        super().__init__()
        self.progress = progress
        self.epochs = epochs
        self.least = np.inf
        self.weights: list[NDArray[Any]] = []

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        self.progress(f"epoch {epoch + 1}/{self.epochs}, validation top-1 {100 * logs['val_accuracy']:.1f} %")
        if logs["val_loss"] < self.least:
            self.least, self.weights = logs["val_loss"], self.model.get_weights()

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        self.model.set_weights(self.weights)
