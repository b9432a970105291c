"""Accept a run's measurements as baselines: the only way in which a baseline changes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgeworthy.cells import CellId, CellSelector
from edgeworthy.config import CANARY
from edgeworthy.errors import ConfigError, StoreError
from edgeworthy.records import RED_STATUSES
from edgeworthy.runs.journal import Journal
from edgeworthy.runs.run import Run
from edgeworthy.storage import read_json
from edgeworthy.verdicts import baselines
from edgeworthy.verdicts.baselines import Acceptance, BaselineFile, Metrics, StoredCell, significant
from edgeworthy.verdicts.packing import pack, pack_array, pack_floats
from edgeworthy.verdicts.regression import AXIS
from edgeworthy.verdicts.snapshots import Snapshot, stored_snapshot

#: What to do about a cell that is refused.
_LEAVE_OUT = "repair it and run again, or accept other cells with --model, --variant and --target"
Done = tuple[CellId, Literal["accepted", "removed"]]


def accept(run: Run, folder: Path, chosen: CellSelector, reason: str, removed: bool = False) -> list[Done]:
    """Make the run's chosen cells the baseline; every other cell of the files stays as it is.

    With ``removed``, chosen baseline cells that the run does not have are deleted from the baseline. A cell that failed on
    another axis than regression is refused, so that a baseline cannot excuse a broken budget. Raises ConfigError for an empty
    reason, StoreError for all else; then nothing changed.
    """
    if not reason.strip():
        raise ConfigError("--reason is empty", hint="say in one sentence why these numbers may become the baseline")
    run.check_complete(", so nothing of it is accepted")
    known = baselines.Baselines.from_folder(folder)
    accepted = _acceptable(run, chosen)
    left = [cell for cell in known.cells() if run.scope.selects(cell) and cell not in run.cells] if removed else []
    dropped = [cell for cell in left if chosen.selects(cell)]
    if not accepted and not dropped:
        raise _nothing(run, chosen)
    facts = _Facts(run.name, read_json(run.folder / "environment.json"), reason.strip())
    files = [
        _merged(known.files.get(model), model, run.journal, facts, accepted, dropped)
        for model in sorted({cell.model for cell in [*accepted, *dropped]})
    ]
    for file in files:
        baselines.write(folder, file)
    return [*((cell, "accepted") for cell in accepted), *((cell, "removed") for cell in dropped)]


class _Facts:
    """What every cell of one acceptance has in common."""

    def __init__(self, run: str, environment: dict[str, Any], reason: str) -> None:
        revision = environment.get("git_revision")
        modified = "-modified" if environment.get("git_modified") else ""
        self.versions: dict[str, str] = environment["versions"]
        self.acceptance = Acceptance(
            run=run,
            utc=datetime.now(UTC).isoformat(timespec="seconds"),
            git_revision=f"{revision}{modified}" if revision else None,
            reason=reason,
        )


def _acceptable(run: Run, chosen: CellSelector) -> list[CellId]:
    """The selected cells that were measured, canaries apart. Raises StoreError where one failed."""
    cells = [cell for cell in run.cells if chosen.selects(cell) and cell.variant != CANARY]
    by_cell: dict[CellId, dict[str, tuple[str, str]]] = {cell: {} for cell in cells}
    for verdict in run.verdicts():
        if verdict.cell in by_cell and verdict.axis != AXIS:
            by_cell[verdict.cell][verdict.axis] = verdict.status, verdict.message
    found = []
    for cell, verdicts in by_cell.items():
        for axis, (status, message) in verdicts.items():
            if status in (*RED_STATUSES, "waived"):
                raise StoreError(f"{run.folder}: {cell} is not accepted: {axis} {status}: {message}", hint=_LEAVE_OUT)
        if any(status in ("refused", "absent") for status, _ in verdicts.values()):
            continue
        taken = stored_snapshot(run.journal, cell)
        timed = cell.target not in run.emulated
        judged = {"accuracy", *(["latency"] if timed else [])} <= set(verdicts)
        if not judged or taken is None or taken.judged is None or (timed and not taken.latency_loads_ns.size):
            raise StoreError(
                f"{run.folder}: {cell} is not accepted: the run did not judge all of its axes",
                hint="run the accuracy and the latency suite in one run",
            )
        found.append(cell)
    return found


#: What a file without cells is compared by.
_NOTHING: tuple[str, bool, str, str, dict[str, Any]] = ("top1", True, "", "", {})


def _merged(
    old: BaselineFile | None,
    model: str,
    journal: Journal,
    facts: _Facts,
    accepted: Sequence[CellId],
    dropped: Sequence[CellId],
) -> BaselineFile:
    cells = {variant: dict(targets) for variant, targets in old.cells.items()} if old else {}
    compared_by = (old.metric, old.higher_is_better, old.dataset, old.labels, old.task) if old else _NOTHING
    mine = [cell for cell in accepted if cell.model == model]
    for cell in [*mine, *(cell for cell in dropped if cell.model == model)]:
        cells.get(cell.variant, {}).pop(cell.target, None)
    staying = any(cells.values())
    for cell in mine:
        taken = stored_snapshot(journal, cell)
        assert taken is not None
        now = (taken.metric, taken.higher_is_better, taken.dataset, taken.labels, dict(taken.task))
        if staying and now != compared_by:
            raise StoreError(
                f"{cell}: its samples or its metric are not those of the model's other baselines",
                hint=f"accept all of the model's cells at once: --model {model}, and --removed for cells that no longer exist",
            )
        compared_by = now
        cells.setdefault(cell.variant, {})[cell.target] = _stored(taken, facts)
    left = {variant: targets for variant, targets in cells.items() if targets}
    metric, higher, dataset, labels, task = compared_by
    return BaselineFile(
        version=1,
        model=model,
        metric=metric,
        higher_is_better=higher,
        dataset=dataset,
        labels=labels,
        task=task,
        cells=left,
    )


def _stored(taken: Snapshot, facts: _Facts) -> StoredCell:
    loads_ns = taken.latency_loads_ns.tolist() or None
    return StoredCell(
        accepted=facts.acceptance,
        artifact=taken.artifact,
        source=taken.source or None,
        fingerprint=dict(taken.fingerprint),
        versions=facts.versions,
        metrics=Metrics(**{name: significant(value) for name, value in taken.metrics.items()}),
        p50_loads_ns=loads_ns if taken.statistic == "median" else None,
        mean_loads_ns=loads_ns if taken.statistic == "mean" else None,
        load_loads_ns=taken.load_loads_ns.tolist() or None,
        predictions=None if taken.predictions is None else pack(taken.predictions),
        correct=None if taken.correct is None else pack(taken.correct.astype(np.int64)),
        scores=None if taken.scores is None else pack_floats(taken.scores),
        evidence=None if taken.evidence is None else {name: pack_array(each) for name, each in taken.evidence.items()},
        samples=taken.samples or None,
    )


def _nothing(run: Run, chosen: CellSelector) -> StoreError:
    """Why there is nothing to accept."""
    canaries = [cell for cell in run.cells if chosen.selects(cell)]
    why = (
        f"{canaries[0]} is a canary, which is built to be rejected and is never a baseline"
        if canaries
        else "no cell of it is selected"
    )
    return StoreError(f"{run.folder}: {why}", hint=_known(run.cells))


def _known(cells: Sequence[CellId]) -> str:
    shown = ", ".join(str(cell) for cell in cells[:8] if cell.variant != CANARY)
    return f"the run has {shown}{', ...' if len(cells) > 8 else ''}"
