"""The judging side at random: damage beyond the budget is caught, undamaged variants never are. Pure numpy, fixed seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from edgeworthy.cells import CellId
from edgeworthy.config import DEFAULT_LIMITS
from edgeworthy.measurements.reference_check import check_reference
from edgeworthy.truth import Truth
from edgeworthy.verdicts.accuracy import judge_accuracy
from edgeworthy.verdicts.consistency import judge_consistency
from numpy.random import Generator

CELL = CellId("model", "int8", "host:cpu")
TASKS = 500
#: For numbers the error of a good model may grow by a tenth by rounding alone.
LIMITS = DEFAULT_LIMITS.given() | {"max_drop_points": 2.0, "max_metric_drop_percent": 10.0}


def classes(random: Generator) -> Truth:
    """Logits or probabilities of 2 to 40 classes, some of them rare, of a model that is mostly right."""
    samples, count = int(random.integers(200, 800)), int(random.integers(2, 40))
    labels = random.choice(count, samples, p=random.dirichlet(np.full(count, 2.0)))
    scores = random.normal(0, 1, (samples, count))
    scores[np.arange(samples), labels] += random.uniform(5, 12)
    if random.random() < 0.5:
        scores = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return Truth(labels, scores.astype(np.float32), "top1", "checksum")


def binary(random: Generator) -> Truth:
    """One output, a logit or a probability."""
    labels = random.integers(0, 2, int(random.integers(200, 800)))
    logits = random.normal(0, 1, (len(labels), 1)) + 10 * (labels[:, None] - 0.5)
    probability = random.random() < 0.5
    outputs = (1 / (1 + np.exp(-logits)) if probability else logits).astype(np.float32)
    return Truth(labels, outputs, "top1", "checksum", threshold=0.5 if probability else 0.0)


def numbers(random: Generator) -> Truth:
    """Columns of one kind, with offsets, one that is dead and one that no model can predict."""
    samples, count = int(random.integers(200, 800)), int(random.integers(6, 12))
    targets = random.normal(random.normal(0, 3, count), 1, (samples, count))
    targets[:, 0] -= targets[:, 0].mean()
    reference = targets + random.normal(0, 0.3, targets.shape)
    reference[:, 0] = 0
    reference[:, 1] = reference[:, 1].mean() + 0.01 * random.normal(size=samples)
    return Truth(targets.astype(np.float32), reference.astype(np.float32), "mse", "checksum", False, "")


def images(random: Generator) -> Truth:
    """Three channels, the borders of which do not vary."""
    targets = random.uniform(0, 1, (30, 6, 6, 3))
    targets[:, 0] = 0
    reference = targets + random.normal(0, 0.03, targets.shape)
    reference[:, 0] = 0
    flat = [side.reshape(30, -1).astype(np.float32) for side in (targets, reference)]
    return Truth(*flat, "psnr", "checksum", True, "dB", channels=3)


def quantized(values: np.ndarray, steps: int = 255) -> np.ndarray:
    """Rounded as one int8 tensor is."""
    step = float(np.ptp(values)) / steps
    return (np.round(values / step) * step).astype(np.float32)


def one_class(values: np.ndarray, truth: Truth, random: Generator) -> np.ndarray:
    damaged = values.copy()
    damaged[:, int(random.integers(values.shape[1]))] += 2 * np.ptp(values) * (1 + 0.1 * random.random(len(values)))
    return damaged


def other_samples(values: np.ndarray, truth: Truth, random: Generator) -> np.ndarray:
    return np.roll(values, int(random.integers(1, len(values) - 1)), axis=0)


def some_samples(values: np.ndarray, truth: Truth, random: Generator) -> np.ndarray:
    damaged, chosen = values.copy(), random.random(len(values)) < 0.2
    damaged[chosen] = np.roll(values, len(values) // 2, axis=0)[chosen]
    return damaged


def nan(values: np.ndarray, truth: Truth, random: Generator) -> np.ndarray:
    damaged = values.copy()
    damaged[int(random.integers(len(values))), int(random.integers(values.shape[1]))] = np.nan
    return damaged


def constant(values: np.ndarray, truth: Truth, random: Generator) -> np.ndarray:
    return np.repeat(values[:1], len(values), axis=0)


def dead_column(values: np.ndarray, truth: Truth, random: Generator) -> np.ndarray:
    """The last column, whose spread is a small part of the others'."""
    damaged = values.reshape(-1, truth.channels or values.shape[1]).copy()
    damaged[:, -1] = np.median(damaged[:, -1])
    return damaged.reshape(values.shape)


def coarse(values: np.ndarray, truth: Truth, random: Generator) -> np.ndarray:
    return quantized(values, 2)


ALL = (other_samples, some_samples, nan, constant)
KINDS: list[tuple[Callable[[Generator], Truth], tuple[Callable[..., np.ndarray], ...]]] = [
    (classes, (*ALL, one_class)),
    (binary, ALL),
    (numbers, (*ALL, dead_column, coarse)),
    (images, (*ALL, dead_column, coarse)),
]


def small_last_column(truth: Truth) -> Truth:
    """The same task with a last column whose numbers are a hundredth of the others', as a score beside boxes."""
    labels, reference = truth.labels.copy(), truth.reference.copy()
    labels[:, -1] *= np.float32(0.01)
    reference[:, -1] *= np.float32(0.01)
    return replace(truth, labels=labels, reference=reference)


def test_damage_is_caught_and_undamaged_variants_pass() -> None:
    """Of 500 undamaged variants none fails; of the damaged ones at least 99 % do, whatever hides them in the mean."""
    caught, tried, missed = 0, 0, []
    for seed in range(TASKS):
        random = np.random.default_rng(seed)
        make, damages = KINDS[seed % len(KINDS)]
        truth = make(random)
        check_reference("model", truth, lambda: ())
        variant = quantized(truth.reference, 255 if truth.classifies else 2000)
        verdict = judge_accuracy(CELL, variant, truth, LIMITS)
        assert verdict.status == "pass", (seed, verdict.message)
        noise = random.normal(0, 1e-4 * np.ptp(truth.reference) / 255, truth.reference.shape)
        elsewhere = quantized(truth.reference + noise.astype(np.float32), 255 if truth.classifies else 2000)
        agreed = judge_consistency(CELL, elsewhere, CELL, variant, LIMITS, truth)
        assert agreed.status == "pass", (seed, agreed.message)
        for damage in damages:
            damaged_truth = small_last_column(truth) if damage is dead_column and not truth.channels else truth
            damaged = damage(damaged_truth.reference, damaged_truth, random)
            tried += 1
            caught += judge_accuracy(CELL, damaged, damaged_truth, LIMITS).status == "fail"
            missed += [(seed, damage.__name__)] * (caught + len(missed) < tried)
    assert caught >= 0.99 * tried, missed
