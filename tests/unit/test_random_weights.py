"""Without meaningful labels a variant is judged by what of its answers follows the input."""

from __future__ import annotations

import numpy as np
from edgeworthy.cells import CellId
from edgeworthy.truth import Truth
from edgeworthy.verdicts.accuracy import judge_accuracy

CELL = CellId("model", "int8", "host:cpu")
RNG = np.random.default_rng(0)
#: What random networks answer: nearly the same to everything.
REFERENCE = (10 * RNG.normal(size=5) + 0.1 * RNG.normal(size=(40, 5))).astype(np.float32)
TRUTH = Truth(np.zeros(40, np.int64), REFERENCE, "top1", "checksum", random_weights=True)


def test_sqnr_ignores_constant_outputs() -> None:
    """Answers that are right on average and do not look at the input have 0 dB or less; near ones have more."""
    limits = {"min_sqnr_db": 2.0, "min_top1_percent": 100.0, "max_drop_points": 0.0}
    blind = REFERENCE.mean(axis=0) + 0.1 * RNG.normal(size=REFERENCE.shape)
    near = REFERENCE + 0.01 * RNG.normal(size=REFERENCE.shape)
    assert judge_accuracy(CELL, blind.astype(np.float32), TRUTH, limits).status == "fail"
    # One class for all samples is suspect with trained weights and random ones alike, so the near answers are spread.
    spread = Truth(TRUTH.labels, REFERENCE - REFERENCE.mean(axis=0), "top1", "checksum", random_weights=True)
    verdict = judge_accuracy(CELL, (near - REFERENCE.mean(axis=0)).astype(np.float32), spread, limits)
    assert verdict.status == "pass"
    assert verdict.metrics["sqnr_db"] > 15
    assert not {"top1_percent", "drop_points", "error_ratio"} & verdict.metrics.keys()
    assert verdict.message.endswith("accuracy is not judged: the model's weights are random")
