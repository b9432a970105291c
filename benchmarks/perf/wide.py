"""Untrained Keras CNNs of 32x32x1 images: their answers do not matter, their time does."""

import keras
from keras import layers


def train(splits, out, progress):
    """Write a model of about 50 million multiplications."""
    _write(out, strides=2, convolutions=5)


def train_heavy(splits, out, progress):
    """Write a model of about 380 million multiplications."""
    _write(out, strides=1, convolutions=10)


def body(image, strides, convolutions):
    """Convolutions of 64 channels over an image, and their means, (batch, 64)."""
    x = layers.Conv2D(64, 3, strides=strides, padding="same", activation="relu")(image)
    for _ in range(convolutions):
        x = layers.Conv2D(64, 3, padding="same", activation="relu")(x)
    return layers.GlobalAveragePooling2D()(x)


def _write(out, strides, convolutions):
    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 1))
    keras.Model(image, layers.Dense(10)(body(image, strides, convolutions))).save(out)
