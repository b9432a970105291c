"""The footprint of a cell: the artifact's size, and memory while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from edgeworthy.cells import CellId
from edgeworthy.metrics import NEEDED_LIMITS
from edgeworthy.records import Artifact, Estimate, Outputs, Timing, Verdict
from edgeworthy.verdicts.delegation import proof
from edgeworthy.verdicts.limits import judge

AXIS = "footprint"
_UNKNOWN = float("nan")
HINTS = {
    "size_kb": "use a smaller recipe ('int8', 'float16'), or raise the budget with a reason",
    "gzip_kb": "use a recipe that compresses (pruning, clustering), or raise the budget with a reason",
    "peak_memory_mb": "use a smaller recipe or fewer threads, or raise the budget with a reason",
    "arena_kb": "quantize activations ('int8'), give the model smaller inputs or fewer channels where its tensors are largest,"
    " or raise the budget with a reason",
    "flash_kb": "use a smaller recipe ('int8'), or raise the budget with a reason",
    "cpu_ops": "use a recipe with whole-number inputs and outputs ('int8'), replace what the NPU does not have, or raise the"
    " budget with a reason",
}


def judge_footprint(
    cell: CellId, artifact: Artifact, measured: Timing | Outputs, limits: Mapping[str, float]
) -> Verdict:
    """Judge file size, gzip size and the growth of the runner's peak memory; a limit on unknown memory fails.

    Of a target that is not timed there are ``Outputs``: sizes are judged and, of a microcontroller, what it must have.
    """
    sizes = {"size_kb": Estimate(artifact.size_bytes / 1e3), "gzip_kb": Estimate(artifact.gzip_bytes / 1e3)}
    if isinstance(measured, Timing):
        memory = measured.peak_memory_bytes
        sizes["peak_memory_mb"] = Estimate(_UNKNOWN if memory is None else memory / 1e6)
        return judge(cell, AXIS, sizes, limits, HINTS)
    unknown = {metric: _UNKNOWN for name, metric in NEEDED_LIMITS.items() if name in limits}
    needs = {metric: Estimate(value) for metric, value in {**unknown, **measured.needs}.items()}
    verdict = judge(cell, AXIS, {**needs, **sizes}, limits, HINTS)
    if not needs:
        return replace(verdict, message=f"{verdict.message}; emulated: memory is not judged")
    if verdict.checks and verdict.checks[0].metric == "cpu_ops":
        return replace(verdict, message=f"{verdict.message}: {proof(measured.delegation)}")
    return verdict
