"""What a dataset's targets must be: class numbers, or numbers to predict."""

from __future__ import annotations

import numpy as np

from edgeworthy.errors import SourceError
from edgeworthy.tasks.task import Targets


def check_class_numbers(targets: Targets, dimensions: str, classes: int, ignored: int | None = None) -> None:
    """Raise SourceError unless targets are whole numbers from 0 to ``classes`` - 1, or ``ignored``.

    ``dimensions`` names theirs: ``samples, tokens``.
    """
    if not np.issubdtype(targets.dtype, np.integer) or targets.ndim != len(dimensions.split(",")):
        raise SourceError(
            f"the targets are {targets.dtype} of shape {targets.shape}, not class numbers",
            hint=f"give int64 ({dimensions})",
        )
    judged = targets if ignored is None else targets[targets != ignored]
    if not judged.size:
        raise SourceError("no target counts", hint=f"give targets other than {ignored}, which is ignored")
    if judged.min() < 0 or judged.max() >= classes:
        ignoring = "" if ignored is None else f"; what does not count is {ignored}"
        raise SourceError(
            f"the targets range from {judged.min()} to {judged.max()}, the model's {classes} classes from 0 to {classes - 1}",
            hint=f"give the targets the numbers of the model's classes{ignoring}",
        )


def check_numbers(targets: Targets, output: tuple[int, ...]) -> None:
    """Raise SourceError unless targets are finite numbers of the shape of a sample's ``output``, apart from sizes of 1."""
    if targets.dtype.kind not in "fiu":
        raise SourceError(
            f"the targets are {targets.dtype}, not numbers to predict", hint="give floating-point numbers"
        )
    if _without_ones(targets.shape[1:]) != _without_ones(output):
        raise SourceError(
            f"the model's output has shape {output}, a sample's target {targets.shape[1:]}",
            hint="give targets of the shape of the model's output",
        )
    bad = np.flatnonzero(~np.isfinite(targets.reshape(len(targets), -1)).all(axis=1))
    if bad.size:
        raise SourceError(
            f"the targets of {bad.size} samples are not finite, the first is sample {bad[0]}",
            hint="leave these samples out, or correct their targets",
        )


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)
