"""What every task must do, whatever it measures: tests of tasks share it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from edgeworthy.metrics import QUALITIES
from edgeworthy.tasks.task import Task
from numpy.typing import NDArray

Outputs = NDArray[np.float32]
Reference = Callable[[Any, Any], float]


def fitted(task: Task, outputs: Outputs, targets: NDArray[Any]) -> Task:
    """The task, fitted to a model with one output without a name."""
    return task.fitted({"": outputs.shape[1:]}, targets, (1,))


def value(
    task: Task, metric: str, outputs: Outputs, targets: NDArray[Any], weights: NDArray[np.int64] | None = None
) -> Any:
    """The metric of outputs (samples, ...): of each resampling, or one number of the samples as they are."""
    measure = task.measure(metric)
    evidence = measure.evidence(task.decode({"": outputs}), targets)
    assert all(each.dtype != object for each in evidence.values()), "an .npz holds no objects"
    found = measure.value(evidence, np.ones((1, len(targets)), np.int64) if weights is None else weights)
    return float(found[0]) if weights is None else found


def check_against(
    reference: Reference, task: Task, metric: str, outputs: Outputs, targets: NDArray[Any], seed: int = 0
) -> None:
    """The metric is the reference's, of the samples and of resamplings in which samples are really repeated."""
    assert value(task, metric, outputs, targets) == pytest.approx(reference(outputs, targets), abs=1e-9)
    weights = np.random.default_rng(seed).poisson(1, (3, len(targets)))
    weights[:, :2] += 1
    expected = [reference(np.repeat(outputs, row, axis=0), np.repeat(targets, row, axis=0)) for row in weights]
    assert value(task, metric, outputs, targets, weights) == pytest.approx(np.array(expected), abs=1e-9, nan_ok=True)


def check_nan(task: Task, outputs: Outputs, targets: NDArray[Any], seed: int = 0) -> None:
    """A NaN in samples is never better than what was there, and such a sample agrees with nothing, itself included."""
    samples = np.random.default_rng(seed).random(len(targets)) < 0.3
    samples[0] = True
    broken = outputs.copy()
    broken.reshape(len(outputs), -1)[samples, 0] = np.nan
    for name, worse in itertools.product(task.METRICS, (broken, np.full_like(outputs, np.nan))):
        before, after = (value(task, name, each, targets) for each in (outputs, worse))
        better = after - before if QUALITIES[name].higher_is_better else before - after
        assert np.isnan(after) or better <= 1e-9, f"{name} {before} -> {after}"
    intact, decoded = (task.decode({"": each}) for each in (outputs, broken))
    assert not task.agree(intact, decoded)[samples].any()
    assert not task.agree(decoded, decoded)[samples].any()
    assert task.agree(intact, intact).all()
