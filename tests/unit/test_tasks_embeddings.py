"""Embeddings against scikit-learn's ROC curve and nearest neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from edgeworthy.errors import SourceError
from edgeworthy.tasks.embeddings import Embeddings
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.metrics import roc_curve
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import NearestNeighbors

from tests.task_values import check_nan, fitted, value

UNHURRIED = settings(deadline=None, max_examples=25)
SEEDS = st.integers(0, 2**32 - 1)


def vectors(seed: int, samples: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Six identities around directions of their own, and one sample that is the only one of its identity."""
    rng = np.random.default_rng(seed)
    targets = rng.permutation(np.append(np.arange(samples - 1) % 6, 6))
    return (rng.normal(0, 1, (7, 5))[targets] + rng.normal(0, 1, (samples, 5))).astype(np.float32), targets


def equal_error_rate(outputs: np.ndarray, targets: np.ndarray, samples: np.ndarray) -> float:
    """Where the straight lines of scikit-learn's ROC curve cross 1 - x, over pairs of samples that are not the same one."""
    first, second = np.triu_indices(len(targets), 1)
    pairs = samples[first] != samples[second]
    first, second = first[pairs], second[pairs]
    similarity = cosine_similarity(outputs.astype(np.float64))[first, second]
    false, true, _ = roc_curve(targets[first] == targets[second], similarity, drop_intermediate=False)
    curve = np.stack([false, true, false + true - 1])
    after = int(np.flatnonzero(curve[2] >= 0)[0])
    along = interp1d([0, 1], curve[:, [after - 1, after]])
    return 100 * float(along(brentq(lambda part: along(part)[2], 0, 1, xtol=1e-15))[0])


@UNHURRIED
@given(SEEDS)
def test_equal_error_rate_is_the_crossing_of_scikit_learns_roc_curve(seed: int) -> None:
    """A sample that is drawn twice counts twice, and is not paired with itself."""
    outputs, targets = vectors(seed)
    task = fitted(Embeddings(), outputs, targets)
    everything = np.arange(len(targets))
    assert value(task, "eer", outputs, targets) == pytest.approx(
        equal_error_rate(outputs, targets, everything), abs=1e-9
    )
    weights = np.random.default_rng(seed).poisson(1, (3, len(targets)))
    weights[:, :12] += 1
    expected = []
    for row in weights:
        drawn = np.repeat(everything, row)
        expected.append(equal_error_rate(outputs[drawn], targets[drawn], drawn))
    assert value(task, "eer", outputs, targets, weights) == pytest.approx(np.array(expected), abs=1e-9)


@UNHURRIED
@given(SEEDS, st.sampled_from([1, 5]))
def test_recall_is_that_of_scikit_learns_nearest_neighbours(seed: int, k: int) -> None:
    """Of samples that have another of their identity; a resampling counts these as often as they are drawn."""
    outputs, targets = vectors(seed)
    neighbours = NearestNeighbors(n_neighbors=k, metric="cosine").fit(outputs.astype(np.float64)).kneighbors()[1]
    found = (targets[neighbours] == targets[:, None]).any(axis=1)
    paired = targets != 6
    weights = np.random.default_rng(seed).poisson(1, (3, len(targets))) + 1
    expected = [100 * np.average(found[paired], weights=row[paired]) for row in weights]
    assert value(Embeddings(), f"recall_at_{k}", outputs, targets) == pytest.approx(
        100 * found[paired].mean(), abs=1e-9
    )
    assert value(Embeddings(), f"recall_at_{k}", outputs, targets, weights) == pytest.approx(
        np.array(expected), abs=1e-9
    )


@UNHURRIED
@given(SEEDS)
def test_nan_never_helps_embeddings(seed: int) -> None:
    check_nan(Embeddings(), *vectors(seed), seed)


@pytest.mark.parametrize("constant", [1.0, 0.0])
def test_embeddings_that_are_all_the_same_recognize_nobody(constant: float) -> None:
    targets = np.arange(300) // 2
    outputs = np.tile(constant * np.linspace(0.1, 1, 129, dtype=np.float32), (300, 1))
    assert value(Embeddings(), "recall_at_1", outputs, targets) == 0
    assert value(Embeddings(), "recall_at_5", outputs, targets) == 0
    assert value(Embeddings(), "eer", outputs, targets) == pytest.approx(50 if constant else 100)


def test_perfect_embeddings_have_no_error() -> None:
    targets = np.arange(20) // 2
    outputs = np.eye(10, dtype=np.float32)[targets]
    assert value(Embeddings(), "eer", outputs, targets) == 0
    assert value(Embeddings(), "recall_at_1", outputs, targets) == 100


def test_a_resampling_without_both_kinds_of_pairs_has_no_equal_error_rate() -> None:
    outputs, targets = vectors(0)
    weights = np.zeros((1, 24), np.int64)
    weights[0, 0] = 24
    assert np.isnan(value(Embeddings(), "eer", outputs, targets, weights)).all()


def test_embeddings_agree_by_their_cosine() -> None:
    task = Embeddings()
    first = task.decode({"": np.array([[1, 0], [1, 0], [0, 0]], np.float32)})
    other = task.decode({"": np.array([[10, 1], [10, 2], [0, 0]], np.float32)})
    assert task.agree(first, other).tolist() == [True, False, False]


def test_identities_that_do_not_fit_are_refused() -> None:
    outputs, targets = vectors(0)
    with pytest.raises(SourceError, match="are of 1 identities, at most 24 of one"):
        fitted(Embeddings(), outputs, np.zeros(24, np.int64))
    with pytest.raises(SourceError, match="are of 24 identities, at most 1 of one"):
        fitted(Embeddings(), outputs, np.arange(24))
    with pytest.raises(SourceError, match="3001 samples have 4,501,500 pairs"):
        fitted(Embeddings(), outputs, np.zeros(3001, np.int64))
    with pytest.raises(SourceError, match="one number"):
        fitted(Embeddings(), outputs[:, :1], targets)
    with pytest.raises(SourceError, match="float64 of shape"):
        fitted(Embeddings(), outputs, targets.astype(np.float64))
    with pytest.raises(SourceError, match="of 6 samples all others are among the 5 nearest"):
        value(Embeddings(), "recall_at_5", outputs[:6], targets[:6])
