"""The same artifact on two targets: it must produce the same predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgeworthy.cells import CellId
from edgeworthy.records import Verdict
from edgeworthy.truth import Truth
from edgeworthy.verdicts import fidelity
from edgeworthy.verdicts.agreement import agreement
from edgeworthy.verdicts.limits import judge

AXIS = "consistency"
HINTS = {
    "consistency_percent": "compare the two runtimes' versions and delegates; one of them computes something else",
}


def judge_consistency(
    cell: CellId,
    values: NDArray[np.float32],
    first: CellId,
    first_values: NDArray[np.float32],
    limits: Mapping[str, float],
    truth: Truth,
) -> Verdict:
    """Judge how often the cell's top-1 prediction equals that of the same artifact on the ``first`` target.

    Outputs that are neither class scores nor a task's count as the same where they are close (see fidelity.alike).
    """
    alike = fidelity.alike(first_values, values, truth.channels, truth.own_values())
    same = agreement(truth, first_values, values) or alike
    estimates = {"consistency_percent": same}
    verdict = judge(cell, AXIS, estimates, limits, HINTS)
    difference = fidelity.max_difference(first_values, values)
    return replace(
        verdict,
        message=f"{verdict.message}; against {first.target}, largest output difference {difference:.3g}",
        metrics={**verdict.metrics, "consistency_difference": difference},
    )
