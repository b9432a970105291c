"""Metrics other than accuracy: a number for each sample, from a model's outputs and what they should have been."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.errors import SourceError
from edgeworthy.metrics import FIDELITY, quality_of
from edgeworthy.tasks.images import peak
from edgeworthy.truth import Truth
from edgeworthy.user_code.function_copies import load_copy
from edgeworthy.user_code.function_files import function_digest
from edgeworthy.user_code.functions import load_function, users_code

#: Which values (samples, values) are a sample's own, and not what follows a smaller one; None where all are.
Own = NDArray[np.bool_] | None
#: What PSNR is called where the error vanishes; it would be infinite.
MOST_DB = 100.0


def scores(values: NDArray[np.float32], truth: Truth) -> NDArray[np.float64]:
    """The metric of each sample, shape (samples,), of outputs of shape (samples, values).

    Raises SourceError where a function of the user's raises, or returns anything but a number for each sample.
    """
    if truth.metric == "mse":
        return squared_errors(values, truth.labels, truth.own_values())
    if truth.metric == "psnr":
        return psnr_db(values, truth.labels, truth.own_values())
    if truth.metric == FIDELITY:
        return worst_errors(values, truth)
    return _by_function(values, truth)


def column(truth: Truth) -> str:
    """The metric's name in reports and limits."""
    return quality_of(truth.metric, higher_is_better=truth.higher_is_better).metric


def identity(truth: Truth) -> str:
    """The metric's name; a function's with a checksum of its text, for another text measures something else.

    Raises SourceError where there is no such function.
    """
    if not truth.folder:
        return truth.metric
    text = truth.text or function_digest(truth.metric, Path(truth.folder))
    return f"{truth.metric} (text {text[:8]})"


def squared_errors(values: NDArray[np.float32], targets: NDArray[Any], own: Own = None) -> NDArray[np.float64]:
    """The mean squared error of each sample, of samples of different sizes over the values that are its ``own``."""
    squares = np.square(np.subtract(values, targets, dtype=np.float64))
    errors: NDArray[np.float64] = squares.mean(axis=1, where=True if own is None else own)
    return errors


def psnr_db(values: NDArray[np.float32], targets: NDArray[Any], own: Own = None) -> NDArray[np.float64]:
    """The peak signal to noise ratio of each sample in dB, 10 log10(peak^2 / mse), at most MOST_DB.

    The peak is that of the targets' kind: 1 within [0, 1], 255 within [0, 255], else their range.
    """
    with np.errstate(divide="ignore"):
        found = 10 * np.log10(peak(targets) ** 2 / squared_errors(values, targets, own))
    capped: NDArray[np.float64] = np.minimum(found, MOST_DB)
    return capped


def worst_errors(values: NDArray[np.float32], truth: Truth) -> NDArray[np.float64]:
    """The normalized error of each sample, of several outputs that of its worst."""
    errors = [normalized_errors(part, own.reference, own.own_values()) for _, part, own in truth.parts(values)]
    worst: NDArray[np.float64] = np.maximum.reduce(errors)
    return worst


def normalized_errors(
    values: NDArray[np.float32], reference: NDArray[np.float32], own: Own = None
) -> NDArray[np.float64]:
    """The error of each sample against the reference's outputs (samples, values), over the mean power of their variation.

    The mean is the normalized mean squared error: 0 where all are equal, 1 of an output that is the reference's mean
    whatever the input. A reference that does not vary is taken as it is; infinite where that is 0 and the output is not.
    Of samples of different sizes only the values that are a sample's ``own`` vary.
    """
    errors = _power(np.subtract(values, reference, dtype=np.float64))
    varying = reference - own_mean(reference, own)
    power = float(_power(varying if own is None else varying * own).mean()) or float(
        _power(reference.astype(np.float64)).mean()
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        found: NDArray[np.float64] = np.where(errors == 0, 0.0, errors / power)
    return found


def own_mean(values: NDArray[np.float32], own: Own) -> NDArray[np.float64]:
    """The mean of each column over the samples that have it; 0 of one that none has."""
    if own is None:
        return np.asarray(values.mean(axis=0, dtype=np.float64))
    return np.asarray(values.sum(axis=0, where=own, dtype=np.float64) / np.maximum(own.sum(axis=0), 1))


def _power(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum of squares of each row."""
    power: NDArray[np.float64] = np.einsum("ij,ij->i", values, values)
    return power


def _by_function(values: NDArray[np.float32], truth: Truth) -> NDArray[np.float64]:
    folder = Path(truth.folder)
    metric = load_copy(truth.copy, folder) if truth.copy else load_function(truth.metric, folder)
    with users_code(f"metric {truth.metric}", "correct the metric's function"):
        found = np.asarray(metric(values.copy(), truth.labels.copy()), np.float64)
    if found.shape != (len(values),):
        raise SourceError(
            f"metric {truth.metric} returned shape {found.shape} for {len(values)} samples",
            hint="return a number for each sample, an array of shape (samples,)",
        )
    return found
