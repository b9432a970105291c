"""Outputs that are invalid whatever the limits say: NaN, constant, one class for everything, a lost column."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.truth import Truth
from edgeworthy.verdicts import columns, fidelity

Values = NDArray[np.floating[Any]]
#: So many samples of other classes that the reference gets right make one class for all samples a defect.
FEWEST_OTHERS = 3


def defect(values: Values, truth: Truth) -> str | None:
    """Why these outputs of shape (samples, values) are invalid, in one sentence, or None if they are not.

    What the reference does too (a constant output, one class for all samples) is not the variant's defect.
    """
    return _not_finite(values, truth) or _constant(values, truth) or _one_class(values, truth) or _lost(values, truth)


def _not_finite(values: Values, truth: Truth) -> str | None:
    broken = ~np.isfinite(values)
    samples = int(broken.any(axis=1).sum())
    if not samples:
        return None
    where = np.flatnonzero((~np.isfinite(columns.columns(values, truth))).any(axis=0)).tolist()
    which = f" ({columns.named(where)})" if len(where) < columns.columns(values, truth).shape[1] else ""
    return f"the outputs contain NaN or infinity for {samples} of {len(values)} samples{which}"


def _constant(values: Values, truth: Truth) -> str | None:
    if len(values) < 2 or not (values == values[0]).all() or (truth.reference == truth.reference[0]).all():
        return None
    return f"the outputs are the same for all {len(values)} samples"


def _one_class(values: Values, truth: Truth) -> str | None:
    """One class for all samples, though the reference predicts others, and is right about them."""
    if not truth.classifies or len(values) < fidelity.ENOUGH_TO_SUSPECT:
        return None
    predictions, reference = (fidelity.top1(truth.class_scores(side)) for side in (values, truth.reference))
    if not (predictions == predictions[0]).all():
        return None
    others = reference != predictions[0]
    if not truth.by_fidelity:
        others &= reference == truth.labels
    if int(others.sum()) < max(FEWEST_OTHERS, 0.05 * len(values) if truth.by_fidelity else 0):
        return None
    right = "" if truth.by_fidelity else ", rightly,"
    return (
        f"class {predictions[0]} is predicted for all {len(values)} samples; "
        f"the reference predicts other classes{right} for {int(others.sum())} of them"
    )


def _lost(values: Values, truth: Truth) -> str | None:
    found = columns.lost(values, truth)
    if not found:
        return None
    first = columns.columns(values, truth)[0, found[0]]
    varies = columns.columns(truth.reference, truth)[:, found[0]]
    verb = "is" if len(found) == 1 else "are"
    return (
        f"{columns.named(found)} of the outputs {verb} constant; column {found[0]} is {first:.4g} throughout, "
        f"in the reference {varies.min():.4g} to {varies.max():.4g}"
    )
