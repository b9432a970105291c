"""How often two models' predictions are the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeworthy.measurements.tasks import judged
from edgeworthy.records import Estimate
from edgeworthy.statistics.paired import share
from edgeworthy.truth import Truth
from edgeworthy.verdicts import fidelity

Values = NDArray[np.float32]


def agreement(truth: Truth, first: Values, other: Values) -> Estimate | None:
    """Percent of samples with the same prediction, of classes or of a task, with Wilson's interval; None of other outputs.

    Outputs have the shape (samples, values).
    """
    if truth.task:
        task = judged(truth)
        same = task.same(task.decode(first), task.decode(other))
        return share(int(same.sum()), same.size)
    if truth.classifies:
        return fidelity.agreement(truth.class_scores(first), truth.class_scores(other))
    return None
