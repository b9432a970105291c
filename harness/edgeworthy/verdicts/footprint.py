"""The footprint of a cell: the artifact's size, and memory while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from edgeworthy.cells import CellId
from edgeworthy.records import Artifact, Estimate, Timing, Verdict
from edgeworthy.verdicts.limits import judge

AXIS = "footprint"
HINTS = {
    "size_kb": "use a smaller recipe ('int8', 'float16'), or raise the budget with a reason",
    "gzip_kb": "use a recipe that compresses (pruning, clustering), or raise the budget with a reason",
    "peak_memory_mb": "use a smaller recipe or fewer threads, or raise the budget with a reason",
}


def judge_footprint(cell: CellId, artifact: Artifact, timing: Timing | None, limits: Mapping[str, float]) -> Verdict:
    """Judge file size, gzip size and the growth of the runner's peak memory; a limit on unknown memory fails.

    Where the target is not timed there is no ``timing``, and sizes alone are judged.
    """
    sizes = {"size_kb": Estimate(artifact.size_bytes / 1e3), "gzip_kb": Estimate(artifact.gzip_bytes / 1e3)}
    if timing is None:
        verdict = judge(cell, AXIS, sizes, limits, HINTS)
        return replace(verdict, message=f"{verdict.message}; emulated: memory is not judged")
    memory = timing.peak_memory_bytes
    estimates = {**sizes, "peak_memory_mb": Estimate(float("nan") if memory is None else memory / 1e6)}
    return judge(cell, AXIS, estimates, limits, HINTS)
