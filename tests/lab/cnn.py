"""A small convolutional network of random numbers, in float or int8, written without a converter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.tflite_files import CLASSES, TfliteFile

SHAPE = (1, 32, 32, 1)
FILTERS = 24
#: As Keras names an input; a colon cannot stand in benchmark_model's flags.
INPUT = "serving_default_keras_tensor:0"


def cnn(path: Path, quantized: bool = False) -> Path:
    """(1, 32, 32, 1) -> convolution 3x3 with ReLU -> fully connected -> (1, 10); float32, or int8 from end to end."""
    random, made = np.random.default_rng(0), TfliteFile()
    dtype, sums = ("int8", "int32") if quantized else ("float32", "float32")

    def weights(name: str, shape: tuple[int, ...], kind: str, high: float, scale: float) -> int:
        values = random.uniform(-high, high, shape) / (1 if quantized else 127)
        return made.tensor(name, shape, kind, values, (scale, 0) if quantized else None)

    def computed(name: str, shape: tuple[int, ...], scale: float, zero: int) -> int:
        return made.tensor(name, shape, dtype, scaled=(scale, zero) if quantized else None)

    image = computed(INPUT, SHAPE, 1 / 255, -128)
    kernel = weights("kernel", (FILTERS, 3, 3, 1), dtype, 127, 0.01)
    kernel_bias = weights("kernel_bias", (FILTERS,), sums, 2000, 0.01 / 255)
    features = computed("features", (1, 32, 32, FILTERS), 0.01, -128)
    made.node(
        schema.BuiltinOperator.CONV_2D, [image, kernel, kernel_bias], [features], convolution(),
        schema.BuiltinOptions.Conv2DOptions,
    )  # fmt: skip
    matrix = weights("matrix", (CLASSES, 32 * 32 * FILTERS), dtype, 127, 0.005)
    bias = weights("bias", (CLASSES,), sums, 9000, 0.01 * 0.005)
    scores = computed("scores", (1, CLASSES), 0.9, 5)
    made.node(
        schema.BuiltinOperator.FULLY_CONNECTED, [features, matrix, bias], [scores], schema.FullyConnectedOptionsT(),
        schema.BuiltinOptions.FullyConnectedOptions,
    )  # fmt: skip
    return made.write(path, [image], [scores])


def convolution() -> schema.Conv2DOptionsT:
    """Stride 1, the borders filled, ReLU after it."""
    options = schema.Conv2DOptionsT()
    options.strideH = options.strideW = options.dilationHFactor = options.dilationWFactor = 1
    options.fusedActivationFunction = schema.ActivationFunctionType.RELU
    return options


def samples(count: int, quantized: bool = False) -> np.ndarray:
    """Random inputs in the network's own type, shape (count, 32, 32, 1)."""
    random = np.random.default_rng(1)
    if quantized:
        return random.integers(-128, 128, (count, *SHAPE[1:]), np.int8)
    return random.uniform(0, 1, (count, *SHAPE[1:])).astype(np.float32)
