"""A MobileNetV3-like Keras classifier of 32x32x1 images: 121k weights, squeeze-and-excite, hard-swish later on.

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


def train(splits: Mapping[str, NDArray[Any]], out: Path, progress: Callable[[str], None]) -> None:
    """Train on ``train_*`` of ``splits``, keep the epoch with the least loss on ``validation_*``, write ``out``.

    Images are float32 (N, 32, 32, 1) in [0, 1]; labels are integers 0 to 9; the model returns logits (N, 10).
    """
    keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    model = build()
    batches = _batches(splits["train_x"], splits["train_y"])
    validation = (splits["validation_x"], splits["validation_y"])
    best = _KeepBest(progress)
    model.compile(_optimizer(steps=EPOCHS * len(batches)), _loss(), metrics=["accuracy"])
    model.fit(batches, epochs=EPOCHS, validation_data=validation, verbose=0, callbacks=[best])
    trained = build()  # without the optimizer's state, twice the size of the weights
    trained.set_weights(model.get_weights())
    trained.save(out)


def build() -> Any:
    """The untrained keras.Model: input (batch, 32, 32, 1) float32, output (batch, 10) logits."""
    image = keras.Input((32, 32, 1))
    x = _hard_swish(_normalized(layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(image)))
    x = _block(x, expand=32, out=16, stride=1, squeeze=True, activate=_relu)
    x = _block(x, expand=64, out=24, stride=2, squeeze=False, activate=_relu)
    x = _block(x, expand=88, out=24, stride=1, squeeze=False, activate=_relu)
    x = _block(x, expand=96, out=40, stride=2, squeeze=True, activate=_hard_swish)
    x = _block(x, expand=160, out=40, stride=1, squeeze=True, activate=_hard_swish)
    x = _hard_swish(_normalized(layers.Conv2D(240, 1, use_bias=False)(x)))
    x = _hard_swish(layers.Dense(216)(layers.GlobalAveragePooling2D()(x)))
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
    return data.map(_shifted).batch(BATCH, drop_remainder=True).prefetch(2)


def _shifted(image: Any, label: Any) -> tuple[Any, Any]:
    padded = tf.pad(image, [[SHIFT_PIXELS] * 2, [SHIFT_PIXELS] * 2, [0, 0]])
    return tf.image.random_crop(padded, image.shape), label


def _optimizer(steps: int) -> Any:
    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps))


def _loss() -> Any:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class _KeepBest(keras.callbacks.Callback):  # type: ignore[misc]
    """Report each epoch; at the end go back to the weights with the smallest validation loss."""

    def __init__(self, progress: Callable[[str], None]) -> None:
        super().__init__()
        self.progress = progress
        self.least = np.inf
        self.weights: list[NDArray[Any]] = []

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        self.progress(f"epoch {epoch + 1}/{EPOCHS}, validation top-1 {100 * logs['val_accuracy']:.1f} %")
        if logs["val_loss"] < self.least:
            self.least, self.weights = logs["val_loss"], self.model.get_weights()

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        self.model.set_weights(self.weights)
