"""Accept a run's measurements as baselines: the one way in which a baseline changes."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from harness.config import CANARY
from harness.errors import ConfigError, StoreError
from harness.measurements.journal import Journal
from harness.measurements.run_file import RunFile
from harness.records import RED_OUTCOMES, CellId
from harness.storage import read_json
from harness.verdicts import baselines
from harness.verdicts.baselines import Acceptance, BaselineFile, Metrics, StoredCell, significant
from harness.verdicts.completeness import in_scope
from harness.verdicts.log import VerdictLog
from harness.verdicts.packing import pack, pack_floats
from harness.verdicts.regression import AXIS
from harness.verdicts.snapshots import Snapshot, stored_snapshot

Globs = tuple[Sequence[str], Sequence[str], Sequence[str]]
#: What to do about a cell that is refused.
_LEAVE_OUT = "repair it and run again, or accept other cells with --model, --variant and --target"
Done = tuple[CellId, Literal["accepted", "gone"]]


def accept(run_folder: Path, folder: Path, globs: Globs, reason: str, gone: bool = False) -> list[Done]:
    """Make the run's selected cells the baseline; every other cell of the files stays as it is.

    ``globs`` select models, variants and targets (none: all). With ``gone``, selected baseline cells that the run does
    not have leave the baseline. A cell that failed on another axis than regression is refused, so that a baseline
    cannot excuse a broken budget. Raises ConfigError for an empty reason, StoreError for all else; then nothing changed.
    """
    if not reason.strip():
        raise ConfigError("--reason is empty", next_step="say in a sentence why these numbers may be the baseline")
    run = RunFile.read(run_folder)
    name = run_folder.resolve().name
    if not run.complete:
        raise StoreError(
            f"{run_folder}: the run did not come to its end, nothing of it is accepted",
            next_step=f"pytest benchmarks/ --edge-resume {name}",
        )
    known = baselines.Baselines.from_folder(folder)
    accepted = _acceptable(run, globs)
    left = [cell for cell in known.cells() if in_scope(cell, run.scope) and cell not in run.cells] if gone else []
    dropped = [cell for cell in left if _selected(cell, globs)]
    if not accepted and not dropped:
        raise _nothing(run, globs)
    journal = Journal(run_folder)
    facts = _Facts(name, read_json(run_folder / "environment.json"), reason.strip())
    files = [
        _merged(known.files.get(model), model, journal, facts, accepted, dropped)
        for model in sorted({cell.model for cell in [*accepted, *dropped]})
    ]
    for file in files:
        baselines.write(folder, file)
    return [*((cell, "accepted") for cell in accepted), *((cell, "gone") for cell in dropped)]


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


def _acceptable(run: RunFile, globs: Globs) -> list[CellId]:
    """The selected cells that were measured, canaries apart. Raises StoreError where one failed."""
    cells = [cell for cell in run.cells if _selected(cell, globs) and cell.variant != CANARY]
    by_cell: dict[CellId, dict[str, tuple[str, str]]] = {cell: {} for cell in cells}
    for verdict in VerdictLog(run.folder).read():
        if verdict.cell in by_cell and verdict.axis != AXIS:
            by_cell[verdict.cell][verdict.axis] = verdict.outcome, verdict.sentence
    journal = Journal(run.folder)
    found = []
    for cell, verdicts in by_cell.items():
        for axis, (outcome, sentence) in verdicts.items():
            if outcome in (*RED_OUTCOMES, "waived"):
                raise StoreError(
                    f"{run.folder}: {cell} is not accepted: {axis} {outcome}: {sentence}", next_step=_LEAVE_OUT
                )
        if any(outcome in ("refused", "absent") for outcome, _ in verdicts.values()):
            continue
        taken = stored_snapshot(journal, cell)
        judged = {"accuracy", "latency"} <= set(verdicts)
        if not judged or taken is None or taken.judged is None or not taken.latency_loads_ns.size:
            raise StoreError(
                f"{run.folder}: {cell} is not accepted: the run did not judge all of it",
                next_step="run the accuracy and the latency suite in one run",
            )
        found.append(cell)
    return found


def _merged(
    old: BaselineFile | None,
    model: str,
    journal: Journal,
    facts: _Facts,
    accepted: Sequence[CellId],
    dropped: Sequence[CellId],
) -> BaselineFile:
    cells = {variant: dict(targets) for variant, targets in old.cells.items()} if old else {}
    asked = (old.metric, old.higher_is_better, old.dataset, old.labels) if old else ("top1", True, "", "")
    mine = [cell for cell in accepted if cell.model == model]
    for cell in [*mine, *(cell for cell in dropped if cell.model == model)]:
        cells.get(cell.variant, {}).pop(cell.target, None)
    staying = any(cells.values())
    for cell in mine:
        taken = stored_snapshot(journal, cell)
        assert taken is not None
        now = (taken.metric, taken.higher_is_better, taken.dataset, taken.labels)
        if staying and now != asked:
            raise StoreError(
                f"{cell}: its samples or its metric are not those of the model's other baselines",
                next_step=f"accept all of the model's cells at once: --model {model}, and --gone for cells that left",
            )
        asked = now
        cells.setdefault(cell.variant, {})[cell.target] = _stored(taken, facts)
    left = {variant: targets for variant, targets in cells.items() if targets}
    metric, higher, dataset, labels = asked
    return BaselineFile(
        version=1, model=model, metric=metric, higher_is_better=higher, dataset=dataset, labels=labels, cells=left
    )


def _stored(taken: Snapshot, facts: _Facts) -> StoredCell:
    loads_ns = taken.latency_loads_ns.tolist()
    return StoredCell(
        accepted=facts.acceptance,
        artifact=taken.artifact,
        fingerprint=dict(taken.fingerprint),
        versions=facts.versions,
        metrics=Metrics(**{name: significant(value) for name, value in taken.metrics.items()}),
        p50_loads_ns=loads_ns if taken.statistic == "median" else None,
        mean_loads_ns=loads_ns if taken.statistic == "mean" else None,
        load_loads_ns=taken.load_loads_ns.tolist(),
        predictions=None if taken.answers is None else pack(taken.answers),
        correct=None if taken.correct is None else pack(taken.correct.astype(np.int64)),
        scores=None if taken.scores is None else pack_floats(taken.scores),
    )


def _selected(cell: CellId, globs: Globs) -> bool:
    return all(
        not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
        for name, patterns in zip(cell, globs, strict=True)
    )


def _nothing(run: RunFile, globs: Globs) -> StoreError:
    """Why there is nothing to accept."""
    canaries = [cell for cell in run.cells if _selected(cell, globs)]
    why = f"{canaries[0]} is made to be rejected and is never a baseline" if canaries else "no cell of it is selected"
    return StoreError(f"{run.folder}: {why}", next_step=_known(run.cells))


def _known(cells: Sequence[CellId]) -> str:
    shown = ", ".join(str(cell) for cell in cells[:8] if cell.variant != CANARY)
    return f"the run has {shown}{', ...' if len(cells) > 8 else ''}"
