"""The same artifact on two targets: it must give the same answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from harness.records import CellId, Verdict
from harness.verdicts import fidelity
from harness.verdicts.limits import judge

AXIS = "consistency"
NEXT_STEPS = {
    "consistency_percent": "compare the two runtimes' versions and delegates; one of them computes another model",
}


def judge_consistency(
    cell: CellId,
    values: NDArray[np.float32],
    first: CellId,
    first_values: NDArray[np.float32],
    limits: Mapping[str, float],
    classifies: bool = True,
) -> Verdict:
    """Judge how often the cell's top-1 answer is that of the same artifact on the ``first`` target.

    Outputs that do not classify are the same answer where they are alike.
    """
    same = fidelity.agreement if classifies else fidelity.alike
    estimates = {"consistency_percent": same(first_values, values)}
    verdict = judge(cell, AXIS, estimates, limits, NEXT_STEPS)
    difference = fidelity.max_difference(first_values, values)
    return replace(
        verdict,
        sentence=f"{verdict.sentence}; against {first.target}, largest output difference {difference:.3g}",
        metrics={**verdict.metrics, "consistency_difference": difference},
    )
