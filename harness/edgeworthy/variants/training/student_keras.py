"""A Keras model that learns from a teacher, or a teacher whose layers are learned from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from edgeworthy.errors import SourceError
from edgeworthy.records import Layout
from edgeworthy.suggestions import did_you_mean
from edgeworthy.variants.training.copied_keras import CopiedKeras
from edgeworthy.variants.training.distilling import Arrays, Lesson, Subject


class StudentKeras(CopiedKeras):
    """Trains a copy of ``model``; ``layers`` are those whose outputs are features, by name."""

    layout: Layout = "nhwc"

    def __init__(self, model: Any, title: str, layers: Sequence[str], seed: int) -> None:
        super().__init__(model, seed)
        known = [layer.name for layer in self.model.layers]
        for name in layers:
            if name not in known:
                raise SourceError(
                    f"{title}: features: it has no layer {name!r}; {did_you_mean(name, known)}",
                    hint="correct the layer's name",
                )
        self._count = len(self.model.outputs)
        features = [self.model.get_layer(name).output for name in layers]
        self._whole = keras.Model(self.model.inputs, [*self.model.outputs, *features])
        self._infer = tf.function(lambda images: tf.nest.flatten(self._whole(images, training=False)))
        self._projections: list[Any] = []

    def compile(self, subject: Subject, learning_rate: float, steps: int, channels: Sequence[int]) -> None:
        """Prepare for ``steps`` steps; ``channels`` are those of the teacher's features."""
        self._subject = subject
        own = [tensor.shape[-1] for tensor in self._whole.outputs[self._count :]]
        begin = keras.initializers.GlorotUniform(seed=0)
        self._projections = [keras.Variable(begin((here, there))) for here, there in zip(own, channels, strict=True)]
        self._optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(learning_rate, steps))
        self._variables = [*self.model.trainable_variables, *self._projections]
        self._optimizer.build(self._variables)
        self._step = tf.function(self._learn)

    def learn(self, images: NDArray[np.float32], lesson: Lesson) -> None:
        """One step on images (N, H, W, C)."""
        self._step(tf.constant(images), [tf.constant(each) for each in lesson.outputs], tf.constant(lesson.labels),
                   [tf.constant(each) for each in lesson.features])  # fmt: skip

    def outputs(self, images: NDArray[np.float32]) -> Arrays:
        """Each output (N, ...), float32."""
        return [each.numpy() for each in self._infer(images)[: self._count]]

    def features(self, images: NDArray[np.float32]) -> Arrays:
        """What its feature layers give (N, ..., channels), float32."""
        return [each.numpy() for each in self._infer(images)[self._count :]]

    def _learn(self, images: Any, wanted: list[Any], labels: Any, features: list[Any]) -> None:
        with tf.GradientTape() as tape:
            found = tf.nest.flatten(self._whole(images, training=True))
            loss = self._loss(found[: self._count], wanted, labels)
            for given, projection, target, spread in zip(
                found[self._count :], self._projections, features, self._subject.feature_spreads, strict=True
            ):
                loss += tf.reduce_mean(tf.square((tf.tensordot(given, projection.value, 1) - target) / spread))
        gradients = tape.gradient(loss, [variable.value for variable in self._variables])
        self._optimizer.apply(gradients, self._variables)

    def _loss(self, outputs: list[Any], wanted: list[Any], labels: Any) -> Any:
        subject, hard = self._subject, self._subject.hard_labels
        if subject.classes:
            logits = tf.math.log(tf.maximum(outputs[0], 1e-7)) if subject.probabilities else outputs[0]
            distilled = subject.distillation
            soft = tf.nn.softmax_cross_entropy_with_logits(wanted[0], logits / distilled.temperature)
            loss = distilled.factor * tf.reduce_mean(soft)
            if hard:
                loss += hard * tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
            return loss
        errors = [
            tf.reduce_mean(tf.square((given - target) / spread))
            for given, target, spread in zip(outputs, wanted, subject.spreads, strict=True)
        ]
        loss = (1 - hard) * tf.add_n(errors) / len(errors)
        if hard:
            loss += hard * tf.reduce_mean(tf.square((outputs[0] - tf.cast(labels, tf.float32)) / subject.spreads[0]))
        return loss
