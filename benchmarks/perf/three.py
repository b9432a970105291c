"""An untrained Keras model of three inputs, a picture, numbers and ids: its answers do not matter, its time does."""

import numpy as np
from wide import body

SAMPLES, CALIBRATING, IDS, WORDS, NUMBERS = 320, 32, 16, 100, 64


def samples():
    """An array for each input and split; the ids are whole numbers."""
    random = np.random.default_rng(0)
    made = {}
    for split, count in (("evaluation", SAMPLES), ("calibration", CALIBRATING), ("train", 1), ("validation", 1)):
        made[f"{split}_picture"] = random.random((count, 32, 32, 1), np.float32)
        made[f"{split}_numbers"] = random.normal(size=(count, NUMBERS)).astype(np.float32)
        made[f"{split}_ids"] = random.integers(0, WORDS, (count, IDS)).astype(np.int32)
        made[f"{split}_y"] = random.integers(0, 10, count)
    del made["calibration_y"]
    return made


def train(splits, out, progress):
    """Write a model of about 50 million multiplications."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    picture, numbers = keras.Input((32, 32, 1), name="picture"), keras.Input((NUMBERS,), name="numbers")
    ids = keras.Input((IDS,), dtype="int32", name="ids")
    words = layers.GlobalAveragePooling1D()(layers.Embedding(WORDS, 64)(ids))
    parts = [body(picture, strides=2, convolutions=5), layers.Dense(64, activation="relu")(numbers), words]
    keras.Model([picture, numbers, ids], layers.Dense(10)(layers.Concatenate()(parts))).save(out)
