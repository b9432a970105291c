"""What fine-tuning learns of its source's outputs."""

from __future__ import annotations

import numpy as np
from edgeworthy.variants.training.fine_tuning import TEMPERATURE, Distillation
from scipy.special import softmax


def test_soft_probabilities_are_those_of_the_temperature() -> None:
    """Also of large logits; those of a softmax's logarithm are the same."""
    logits = (100 * np.random.default_rng(0).normal(size=(20, 10))).astype(np.float32)
    wanted = softmax(logits.astype(np.float64) / TEMPERATURE, axis=1)
    np.testing.assert_allclose(Distillation(0.5).soft(logits), wanted, atol=1e-6)
    shifted = logits - logits.max(axis=1, keepdims=True)
    np.testing.assert_allclose(Distillation(0.5).soft(shifted), wanted, atol=1e-6)


def test_the_factor_keeps_the_gradients_of_one_size() -> None:
    assert Distillation(0.5).factor == 0.5 * TEMPERATURE**2
