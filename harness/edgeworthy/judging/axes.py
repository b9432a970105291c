"""What each axis of a cell is judged by: its measurements from the bench, its limits, one verdict.

Each function raises EdgeworthyError where the cell cannot be made or measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from edgeworthy.cells import CellId
from edgeworthy.config import DEFAULT_LIMITS
from edgeworthy.measurements.bench import Bench
from edgeworthy.records import Outputs, Verdict
from edgeworthy.verdicts.accuracy import judge_accuracy
from edgeworthy.verdicts.consistency import judge_consistency
from edgeworthy.verdicts.delegation import with_share
from edgeworthy.verdicts.footprint import judge_footprint
from edgeworthy.verdicts.hints import fit_hint
from edgeworthy.verdicts.latency import judge_latency

CANARY_AXIS = "canary"
#: Where the built-in limits reject the canary, and where they do not either.
_WIDE = "tighten this model's accuracy budget; as it is, it lets anything pass"
_HARMLESS = (
    "the budget is not at fault: these outputs are nearly right; please report the model, its canary proves nothing"
)

Limits = Mapping[str, float]


def accuracy(bench: Bench, cell: CellId, limits: Limits) -> Verdict:
    """The cell's outputs against the labels and the model's reference, in pairs."""
    project, (model, variant, _) = bench.project, cell
    outputs = bench.outputs(cell)
    verdict = judge_accuracy(cell, outputs.values, bench.truth(model), limits)
    verdict = _with_evidence(bench, verdict, outputs, limits)
    is_reference = variant == project.models.models[model].reference
    return fit_hint(verdict, project.plan(model, variant).recipe, is_reference=is_reference)


def latency(bench: Bench, cell: CellId, limits: Limits) -> Verdict:
    """The cell's times, and whether it ran where it should."""
    return judge_latency(cell, bench.timing(cell), limits)


def footprint(bench: Bench, cell: CellId, limits: Limits) -> Verdict:
    """The size of the cell's file, and its memory."""
    artifact = bench.artifact(cell.model, cell.variant)
    return judge_footprint(cell, artifact, bench.timing(cell) if bench.timed(cell) else bench.outputs(cell), limits)


def consistency(bench: Bench, cell: CellId, first: CellId, limits: Limits) -> Verdict:
    """Whether the cell's predictions are those of the ``first`` cell, which runs the same artifact elsewhere."""
    outputs, truth, others = bench.outputs(cell), bench.truth(cell.model), bench.outputs(first).values
    verdict = judge_consistency(cell, outputs.values, first, others, limits, truth)
    return _with_evidence(bench, verdict, outputs, limits)


def _with_evidence(bench: Bench, verdict: Verdict, outputs: Outputs, limits: Limits) -> Verdict:
    """The verdict on outputs; of an emulation with what it took of the graph, for it has no latency to say that with."""
    return verdict if bench.timed(verdict.cell) else with_share(verdict, outputs.delegation, limits)


def canary(bench: Bench, cell: CellId, limits: Limits) -> Verdict:
    """A pass where the gate, with the limits that other cells get, rejects all that was made to be bad."""
    truth = bench.truth(cell.model)
    for values, how in bench.canaries(cell):
        judged = judge_accuracy(cell, values, truth, limits)
        if judged.status != "fail":
            wide = judge_accuracy(cell, values, truth, DEFAULT_LIMITS.given()).status == "fail"
            return replace(
                judged,
                axis=CANARY_AXIS,
                status="fail",
                message=f"the gate accepted a model that was made to be bad ({how}): {judged.message}",
                hint=_WIDE if wide else _HARMLESS,
            )
    message = f"rejected, as expected ({how}): {judged.message}"
    return replace(judged, axis=CANARY_AXIS, status="pass", message=message, hint="")
