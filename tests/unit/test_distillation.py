"""What fine-tuning learns of its source's outputs."""

from __future__ import annotations

import numpy as np
import pytest
from edgeworthy.variants.training.distilling import Subject
from edgeworthy.variants.training.fine_tuning import TEMPERATURE, Distillation
from scipy.special import log_softmax, softmax


def test_soft_probabilities_are_those_of_the_temperature() -> None:
    """Also of large logits; those of a softmax's logarithm are the same."""
    logits = (100 * np.random.default_rng(0).normal(size=(20, 10))).astype(np.float32)
    wanted = softmax(logits.astype(np.float64) / TEMPERATURE, axis=1)
    np.testing.assert_allclose(Distillation(0.5).soft(logits), wanted, atol=1e-6)
    shifted = logits - logits.max(axis=1, keepdims=True)
    np.testing.assert_allclose(Distillation(0.5).soft(shifted), wanted, atol=1e-6)


def test_the_factor_keeps_the_gradients_of_one_size() -> None:
    assert Distillation(0.5).factor == 0.5 * TEMPERATURE**2


def subject(classes: bool, probabilities: bool, *spreads: float) -> Subject:
    return Subject(classes, TEMPERATURE, 0.0, probabilities, spreads, ())


@pytest.mark.parametrize("probabilities", [False, True])
def test_students_of_classes_are_nearest_where_they_say_the_same(probabilities: bool) -> None:
    """Cross-entropy at the temperature, of logits and of a softmax alike; a teacher's own outputs have the least."""
    random = np.random.default_rng(0)
    teacher, student = random.normal(size=(2, 20, 10)).astype(np.float32) * 2
    wanted = [softmax(teacher / TEMPERATURE, axis=1)]
    judged = subject(True, probabilities, 1.0)
    given = [softmax(each, axis=1) if probabilities else each for each in (student, teacher)]
    far, near = (judged.distance([each], wanted) for each in given)
    np.testing.assert_allclose(far, -(wanted[0] * log_softmax(student / TEMPERATURE, axis=1)).sum(1), rtol=1e-3)
    assert (near < far).all()


def test_outputs_count_alike_whatever_their_units_are() -> None:
    """An error of a tenth of its spread is one of 0.01, in either output."""
    random = np.random.default_rng(0)
    wanted = [1000 * random.normal(size=(50, 2, 4)), random.normal(size=(50, 3))]
    spreads = [each.std() for each in wanted]
    judged = subject(False, False, *spreads)
    for place in (0, 1):
        given = [
            each + (0.1 * spread if place == index else 0)
            for index, (each, spread) in enumerate(zip(wanted, spreads, strict=True))
        ]
        np.testing.assert_allclose(judged.distance(given, wanted), 0.01 / 2)
