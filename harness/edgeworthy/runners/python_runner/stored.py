"""Outputs as they are kept, and when they are the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from .jobs import IMAGE_RANK, Array, Job


def as_stored(job: Job, values: Array) -> Array:
    """Images keep the layout of the dataset."""
    return values.transpose(0, 2, 3, 1) if values.ndim == IMAGE_RANK and job["layout"] == "nchw" else values


def floats_of(model: Any, raw: Array) -> Array:
    """What ``_run_once`` gave as float32; several outputs are that already."""
    floats: Array = raw if len(model.job["outputs"]) > 1 else model.floats(raw)
    return floats


def shapes_of(model: Any) -> list[list[int]]:
    """The shape of a sample in each output, as it is stored."""
    return [list(as_stored(model.job, each).shape[1:]) for each in model.output()]


def same_outputs(left: Array, right: Array) -> bool:
    """Whether two arrays of outputs (samples, ...) agree: within 1e-4 of each column's largest value."""
    if left.shape != right.shape:
        return False
    with np.errstate(invalid="ignore"):
        sizes = np.abs(np.where(np.isfinite(left), left, 0)).reshape(len(left), -1)
    tolerance = 1e-4 * sizes.max(axis=0) + 1e-6 * sizes.max(initial=1e-6)
    pairs = np.broadcast_to(tolerance, sizes.shape)
    left, right = left.reshape(sizes.shape), right.reshape(sizes.shape)
    return bool(np.all(np.isclose(left, right, rtol=0, atol=pairs, equal_nan=True)))
