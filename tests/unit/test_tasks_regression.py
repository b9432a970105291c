"""Regression against scikit-learn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from edgeworthy.errors import SourceError
from edgeworthy.tasks.regression import ALIKE, Regression
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, r2_score

from tests.task_values import Reference, check_against, check_nan, fitted, value

UNHURRIED = settings(deadline=None, max_examples=25)
SEEDS = st.integers(0, 2**32 - 1)


def numbers(seed: int, columns: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets = rng.normal(0, 1, (30, columns)).astype(np.float32)
    return (targets + rng.normal(0, 0.3, targets.shape)).astype(np.float32), targets


def in_float64(metric: Callable[..., float]) -> Reference:
    return lambda outputs, targets: float(metric(targets.astype(np.float64), outputs.astype(np.float64)))


@UNHURRIED
@given(SEEDS)
def test_mae_and_r2_are_scikit_learns(seed: int) -> None:
    outputs, targets = numbers(seed)
    check_against(in_float64(mean_absolute_error), Regression(), "mae", outputs, targets, seed)
    check_against(in_float64(r2_score), Regression(), "r2", outputs, targets, seed)
    check_nan(Regression(), outputs, targets, seed)


def test_r2_of_large_numbers_that_vary_little_is_not_lost() -> None:
    """Temperatures in kelvin, times in seconds since 1970: plain sums of squares would cancel."""
    rng = np.random.default_rng(0)
    targets = 1.7e9 + rng.normal(0, 1e-2, (50, 1))
    outputs = targets + rng.normal(0, 3e-3, (50, 1))
    weights = rng.poisson(1, (1, 50))
    found = value(Regression(), "r2", outputs, targets, weights)[0]
    repeated = [np.repeat(each, weights[0], axis=0) for each in (targets, outputs)]
    assert found == pytest.approx(r2_score(*repeated), abs=1e-6)


def test_r2_is_unknown_where_a_resampling_does_not_vary() -> None:
    outputs, targets = numbers(0)
    weights = np.zeros((1, 30), np.int64)
    weights[0, 7] = 5
    assert np.isnan(value(Regression(), "r2", outputs, targets, weights)).all()


def test_numbers_agree_within_a_share_of_their_own_columns_range() -> None:
    first = np.array([[0.0, 0.0], [1.0, 1000.0], [0.5, 500.0]], np.float32)
    other = first + np.float32(0.9 * ALIKE) * np.array([[1, 1000], [-1, 0], [3, 0]], np.float32)
    task = Regression()
    assert task.agree(task.decode({"": first}), task.decode({"": other})).tolist() == [True, True, False]


def test_infinite_numbers_agree_with_nothing() -> None:
    task, values = Regression(), np.array([[np.inf], [1.0]], np.float32)
    assert not task.agree(task.decode({"": values}), task.decode({"": values}))[0]


def test_targets_that_do_not_fit_are_refused() -> None:
    outputs, targets = numbers(0)
    maps = np.zeros((30, 2, 3, 1), np.float32)
    assert fitted(Regression(), maps, maps[..., 0]) == Regression()
    with pytest.raises(SourceError, match=r"output has shape \(3, 2, 1\), a sample's target \(2, 3\)"):
        fitted(Regression(), np.zeros((30, 3, 2, 1), np.float32), maps[..., 0])
    with pytest.raises(SourceError, match="1 samples are not finite, the first is sample 4"):
        fitted(Regression(), outputs, np.where(np.arange(30)[:, None] == 4, np.nan, targets))
    with pytest.raises(SourceError, match="column 2 of the targets is 7 for all samples"):
        value(Regression(), "r2", outputs, targets * [1, 1, 0] + [0, 0, 7])
    with pytest.raises(SourceError, match="not numbers to predict"):
        fitted(Regression(), outputs, targets.astype(str))
