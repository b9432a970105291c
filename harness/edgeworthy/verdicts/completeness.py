"""Nothing disappears: cells that the baseline has and a run lacks, and cells that a run planned and did not judge."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from edgeworthy.cells import CellId
from edgeworthy.config import CANARY
from edgeworthy.records import Change, Verdict
from edgeworthy.runs.run_file import Scope
from edgeworthy.verdicts.sides import accept_command


def missing_cells(accepted: Sequence[CellId], measured: Collection[CellId], scope: Scope, run: str) -> list[Change]:
    """The accepted cells within the run's scope that were not measured, each with why and what to do."""
    targets = {cell.target for cell in measured}
    return [_missing(cell, targets, run) for cell in accepted if scope.selects(cell) and cell not in measured]


def unproven(planned: Sequence[CellId], verdicts: Sequence[Verdict]) -> list[str]:
    """What keeps a finished run from being evidence, in sentences."""
    judged = {verdict.cell for verdict in verdicts}
    canaries = {cell for cell in planned if cell.variant == CANARY}
    found = [f"{cell}: nothing was judged of this cell" for cell in planned if cell not in judged | canaries]
    found += [f"{cell}: the canary was not run, so nothing shows that the gate works" for cell in canaries - judged]
    watched = {cell.model for cell in canaries}
    for model in sorted({cell.model for cell in planned} - watched):
        found.append(f"{model}: no selected backend runs this model's canary, so nothing shows that the gate works")
    return found


def scope_in_words(scope: Scope, accepted: Sequence[CellId]) -> str:
    """What a partial run does not cover, in a sentence; empty if it covers everything."""
    silent = sum(not scope.selects(cell) for cell in accepted)
    globs = [
        f"--edge-{noun} {pattern}"
        for noun, patterns in (("model", scope.models), ("variant", scope.variants), ("target", scope.targets))
        for pattern in patterns
    ]
    if scope.left_out:
        globs.append(f"{len(scope.left_out)} cells left out by pytest's own selection")
    if not globs:
        return ""
    return f"the run covered a part of the project ({', '.join(globs)}): {silent} accepted cells were not compared"


def emulated_in_words(planned: Sequence[CellId], emulated: Mapping[str, str]) -> list[str]:
    """What is known of targets that an emulator stands for, a sentence each."""
    targets = dict.fromkeys(cell.target for cell in planned if cell.target in emulated)
    return [
        f"{target} is emulated ({emulated[target]}): what it computes is evidence of what the device gives, and no proof;"
        " it has no times and no memory"
        for target in targets
    ]


def _missing(cell: CellId, targets: Collection[str], run: str) -> Change:
    why = "the cell is in the baseline, but the run did not compare it"
    if cell.target not in targets:
        why += f", and none on {cell.target} at all: the device is offline, or no longer in devices.yaml"
    step = f"bring it back, or, if it was removed on purpose: {accept_command(run, cell, removed=True)}"
    return Change(cell, "cell", "missing", "exact", None, None, why, step)
