"""A Keras model as fine-tuning sees it: a copy of the user's, with kernels that can be read and written."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from edgeworthy.variants.training.copied_keras import CopiedKeras
from edgeworthy.variants.training.fine_tuning import Distillation
from edgeworthy.variants.training.weight_constraints import Kernel

#: How fast the ranges of inputs follow the batches.
MOMENTUM = 0.9


class TrainableKeras(CopiedKeras):
    """Trains a copy of ``model``; ``rounds_inputs`` computes layers with kernels on inputs rounded to int8."""

    def __init__(self, model: Any, seed: int, rounds_inputs: bool) -> None:
        super().__init__(model, seed)
        self._trained = _rounding_inputs(self.model) if rounds_inputs else self.model
        self._kernels = [weight for weight in self.model.trainable_weights if weight.path.endswith("kernel")]
        # One call into TensorFlow instead of one for each kernel, twice in each step.
        self._read = tf.function(lambda: [tf.identity(kernel.value) for kernel in self._kernels])
        self._write = tf.function(self._assign)

    def compile(self, learning_rate: float, probabilities: bool, distillation: Distillation | None) -> None:
        """Prepare for training; ``probabilities`` says that the model ends in a softmax."""
        optimizer = keras.optimizers.Adam(learning_rate)
        optimizer.build(self._trained.trainable_variables)  # within the first step it takes many times as long
        labelled = keras.losses.SparseCategoricalCrossentropy(from_logits=not probabilities)
        self._trained.compile(
            optimizer, _Distilled(labelled, probabilities, distillation) if distillation else labelled
        )

    def channel_axes(self) -> tuple[tuple[int, ...], ...]:
        """The axes of the output channels of each kernel."""
        owners = {id(weight): layer for layer in self.model._flatten_layers() for weight in layer._trainable_variables}
        return tuple(_channel_axes(owners[id(kernel)], kernel) for kernel in self._kernels)

    def kernels(self) -> list[Kernel]:
        """The weights of convolutions and dense layers."""
        return [kernel.numpy() for kernel in self._read()]

    def set_kernels(self, values: list[Kernel]) -> None:
        """Write what ``kernels`` read."""
        self._write([tf.constant(value) for value in values])

    def _assign(self, values: list[Any]) -> None:
        for kernel, value in zip(self._kernels, values, strict=True):
            kernel.value.assign(value)

    def train_batch(
        self, images: NDArray[np.float32], labels: NDArray[np.int64], soft: NDArray[np.float32] | None
    ) -> None:
        """One step on images (N, H, W, C)."""
        targets = labels if soft is None else np.concatenate([labels[:, None].astype(np.float32), soft], axis=1)
        self._trained.train_on_batch(images, targets)

    def predict(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """The outputs (N, classes) for images (N, H, W, C), float32."""
        outputs: NDArray[np.float32] = self._trained.predict_on_batch(images)
        return outputs


class _Distilled(keras.losses.Loss):  # type: ignore[misc]
    """Of targets (N, 1 + classes), a label and then the source's probabilities: cross-entropy with both."""

    def __init__(self, labelled: Any, probabilities: bool, distillation: Distillation) -> None:
        super().__init__()
        self._labelled, self._probabilities, self._distillation = labelled, probabilities, distillation

    def call(self, targets: Any, outputs: Any) -> Any:
        logits = tf.math.log(tf.maximum(outputs, 1e-7)) if self._probabilities else outputs
        soft = tf.nn.softmax_cross_entropy_with_logits(targets[:, 1:], logits / self._distillation.temperature)
        hard = self._labelled(tf.cast(targets[:, 0], tf.int64), outputs)
        return (1 - self._distillation.share) * hard + self._distillation.factor * soft


class _RoundInputs(keras.layers.Layer):  # type: ignore[misc]
    """Rounds to int8 within a range that follows the batches of training; the gradient passes straight through."""

    def build(self, _: Any) -> None:
        self.low = self.add_weight(shape=(), initializer="zeros", trainable=False, name="low")
        self.high = self.add_weight(shape=(), initializer="zeros", trainable=False, name="high")

    def call(self, inputs: Any, training: bool = False) -> Any:
        if training:
            unseen = self.high - self.low <= 0
            for end, seen in ((self.low, tf.reduce_min(inputs)), (self.high, tf.reduce_max(inputs))):
                followed = tf.where(unseen, seen, MOMENTUM * end + (1 - MOMENTUM) * seen)
                end.assign(tf.minimum(followed, 0) if end is self.low else tf.maximum(followed, 0))
        return tf.quantization.fake_quant_with_min_max_vars(inputs, self.low, self.high)


def _rounding_inputs(model: Any) -> Any:
    """A model of the same layers, and so of the same weights, that rounds what goes into layers with kernels."""

    def call(layer: Any, *inputs: Any, **keywords: Any) -> Any:
        if any(weight.path.endswith("kernel") for weight in layer._trainable_variables):
            inputs = (_RoundInputs()(inputs[0]), *inputs[1:])
        return layer(*inputs, **keywords)

    functional = keras.Model(model.inputs, model.outputs)  # a Sequential model has no graph to insert layers in
    return keras.models.clone_model(functional, clone_function=lambda layer: layer, call_function=call)


def _channel_axes(layer: Any, kernel: Any) -> tuple[int, ...]:
    last = len(kernel.shape) - 1
    if "Depthwise" in type(layer).__name__ or kernel.path.endswith("depthwise_kernel"):
        return (last - 1, last)
    return (last - 1,) if "Transpose" in type(layer).__name__ else (last,)
