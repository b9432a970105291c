"""The reference's outputs, scrambled: what no budget may accept."""

from __future__ import annotations

import numpy as np
from edgeworthy.variants.artifacts.canary import scrambled
from edgeworthy.verdicts.scoring import normalized_errors


def test_scrambled_outputs_are_bad_where_columns_are_alike() -> None:
    """Of silences with one word among them: the steps of each are alike, in whatever order they stand."""
    steps = np.random.default_rng(0).normal(scale=0.01, size=(16, 20)).astype(np.float32)
    steps[9] += 1
    assert normalized_errors(scrambled(steps), steps).mean() > 1


def test_scrambled_scores_are_as_good_as_chance() -> None:
    """Also where the samples are those of one class after the other."""
    labels = np.repeat(np.arange(10), 100)
    scores = np.eye(10, dtype=np.float32)[labels]
    assert 0.05 < (scrambled(scores).argmax(axis=1) == labels).mean() < 0.15


def test_a_single_column_is_mirrored() -> None:
    np.testing.assert_allclose(scrambled(np.array([[0.1], [0.4], [0.9]], np.float32)), [[0.9], [0.6], [0.1]], rtol=1e-6)
