"""A copy of a Keras model, to be trained: the same result from the same seed on every machine of one kind."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from numpy.typing import NDArray


class CopiedKeras:
    """Trains a copy of ``model``."""

    view = "keras_model"

    def __init__(self, model: Any, seed: int) -> None:
        keras.utils.set_random_seed(seed)
        tf.config.experimental.enable_op_determinism()
        self.model = keras.models.clone_model(model)
        self.model.set_weights(model.get_weights())

    def weights(self) -> list[NDArray[Any]]:
        """Everything that a trained model consists of."""
        weights: list[NDArray[Any]] = self.model.get_weights()
        return weights

    def set_weights(self, values: list[NDArray[Any]]) -> None:
        """Write what ``weights`` read."""
        self.model.set_weights(values)
