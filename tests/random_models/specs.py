"""What a random model is, as plain data that each framework builds from; what it is fed, and what is expected of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

FRAMEWORKS = ("torch", "onnx", "keras")
CANDIDATES, EVALUATED, CALIBRATION = 700, 400, 40
RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (-2.1, 2.6), (0.0, 16.0))
ACTIVATIONS = ("relu", "relu6", "leaky", "hard_swish", "sigmoid", "tanh")
HEADS = ("logits", "probabilities", "binary", "numbers")


def random_spec(random: Generator) -> dict[str, Any]:
    """Shape, range, layers and head of one model."""
    sides = random.choice([(16, 16), (20, 12), (9, 15), (24, 24)])
    layers: list[dict[str, Any]] = []
    least = int(min(sides))
    for _ in range(int(random.integers(1, 4))):
        layer: dict[str, Any] = {
            "kind": str(random.choice(["conv", "conv", "separable", "residual"])),
            "channels": int(random.choice([8, 12, 16])),
            "kernel": int(random.choice([1, 3, 5])),
            "stride": int(random.choice([1, 1, 2])) if least >= 8 else 1,
            "norm": bool(random.random() < 0.6),
            "activation": str(random.choice(ACTIVATIONS)),
        }
        least //= layer["stride"]
        layer["pool"] = str(random.choice(["", "", "max", "average"])) if least >= 6 else ""
        least //= 2 if layer["pool"] else 1
        layers.append(layer)
    head = str(random.choice(HEADS, p=[0.5, 0.2, 0.15, 0.15]))
    return {
        "shape": [int(sides[0]), int(sides[1]), int(random.choice([1, 3]))],
        "range": list(RANGES[int(random.integers(len(RANGES)))]),
        "layers": layers,
        "flatten": bool(random.random() < 0.5),
        "hidden": int(random.choice([0, 24])),
        "head": head,
        "columns": 1 if head == "binary" else int(random.integers(3, 12)),
        "seed": int(random.integers(2**31)),
    }


def samples(spec: dict[str, Any], count: int) -> NDArray[np.float32]:
    """Smooth patterns within the spec's range, (count, H, W, C) float32."""
    random = np.random.default_rng(spec["seed"])
    height, width, channels = spec["shape"]
    y, x = np.mgrid[0:height, 0:width][:, None, ..., None] / max(height, width)
    waves = np.zeros((count, height, width, channels))
    for _ in range(4):
        fx, fy, phase, size = (random.uniform(low, high, (count, 1, 1, channels)) for low, high in WAVES)
        waves += size * np.sin(2 * np.pi * (fx * x + fy * y + phase))
    low, high = spec["range"]
    level = random.uniform(0.2, 0.8, (count, 1, 1, 1))
    values: NDArray[np.float32] = (low + (high - low) * np.clip(level + 0.12 * waves, 0, 1)).astype(np.float32)
    return values


#: The ranges of frequencies, phase and size of the waves.
WAVES = ((0, 2.5), (0, 2.5), (0, 1), (0.2, 1.5))


def dataset(spec: dict[str, Any], outputs: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz whose truth is what the model itself gives, ``outputs`` (CANDIDATES, columns).

    Of a classifier only samples that it is sure of are evaluated: those in between change class by rounding alone.
    """
    images = samples(spec, CANDIDATES)
    random = np.random.default_rng(spec["seed"] + 1)
    evaluated, rest = np.arange(CANDIDATES - CALIBRATION), np.arange(CANDIDATES - CALIBRATION, CANDIDATES)
    if spec["head"] == "numbers":
        evaluated = evaluated[:EVALUATED]
        spread = outputs.std(axis=0)
        truth: NDArray[Any] = outputs[evaluated] + random.normal(0, 0.3, (EVALUATED, len(spread))) * spread
        truth = truth.astype(np.float32)
    else:
        ordered = np.sort(outputs, axis=1)
        sure = np.abs(outputs[:, 0] - np.median(outputs)) if spec["columns"] == 1 else ordered[:, -1] - ordered[:, -2]
        evaluated = np.sort(evaluated[np.argsort(-sure[evaluated])[:EVALUATED]])
        truth = labels(spec, outputs[evaluated])
    return {"evaluation_x": images[evaluated], "evaluation_y": truth, "calibration_x": images[rest]}


def labels(spec: dict[str, Any], outputs: NDArray[np.float32]) -> NDArray[np.int64]:
    """The classes that ``outputs`` stand for."""
    chosen = outputs[:, 0] > 0.5 if spec["columns"] == 1 else outputs.argmax(axis=1)
    return chosen.astype(np.int64)


def centred(spec: dict[str, Any], scores: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """What to add to the last layer's ``scores``, and to multiply them by then, so that every class occurs."""
    offset = -np.median(scores, axis=0)
    factor = 4.0 / float((scores + offset).std())
    return offset.astype(np.float32), factor


def is_varied(spec: dict[str, Any], data: dict[str, NDArray[Any]]) -> bool:
    """Whether the truth is worth judging: no class is nearly all of it."""
    if spec["head"] == "numbers":
        return bool((data["evaluation_y"].std(axis=0) > 1e-3).all())
    counts = np.bincount(data["evaluation_y"])
    return bool(counts.max() < 0.8 * counts.sum())
