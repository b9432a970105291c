"""A variant's artifact taken out of the store, and its manifest: what it is, what it was made with, how it was judged."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgeworthy.cells import CellId
from edgeworthy.config import CANARY
from edgeworthy.errors import ConfigError, StoreError
from edgeworthy.records import RED_STATUSES, Verdict
from edgeworthy.reports.signature import signature_of
from edgeworthy.runs.run import Run
from edgeworthy.storage import Store, file_digest, read_json, write_json, writing
from edgeworthy.suggestions import did_you_mean

FORMAT_VERSION = 1


def export_variant(
    run: Run,
    store: Store,
    model: str,
    variant: str,
    targets: Sequence[str],
    to: Path,
    *,
    even_if_failed: bool,
) -> list[Path]:
    """Write the artifact and ``<artifact>.json`` into the folder ``to``; returns both paths.

    ``targets`` are those on which it must have passed; none means all of the run. Raises ConfigError for a name that the run
    does not have or, without ``even_if_failed``, a variant that did not pass; StoreError where its artifact is not kept.
    """
    cells = _cells(run, model, variant, targets)
    verdicts = run.verdicts()
    reason = _unproven(run, cells, verdicts)
    if reason and not even_if_failed:
        raise ConfigError(
            f"{model}/{variant} is not exported: {reason}",
            hint="export a variant that passed ('edgeworthy select' lists them), or add --even-if-failed",
        )
    stored = _stored_file(run, store, cells)
    name = f"{model}-{variant}{''.join(stored.suffixes)}"
    exported, manifest = to / name, to / f"{name}.json"
    with writing(to):
        to.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(stored, exported)
    facts = read_json(stored.with_name("artifact.json"))
    own = [verdict for verdict in verdicts if verdict.cell in cells]
    write_json(manifest, {**_identity(exported, model, variant, facts), **_judged(run, own, reason)})
    return [exported, manifest]


def _cells(run: Run, model: str, variant: str, targets: Sequence[str]) -> list[CellId]:
    """The variant's cells of the run. Raises ConfigError."""
    known = [cell for cell in run.cells if cell.variant != CANARY]
    for name, what, names in (
        (model, "model", {cell.model for cell in known}),
        (variant, f"variant of {model}", {cell.variant for cell in known if cell.model == model}),
        *((target, "target", {cell.target for cell in known}) for target in targets),
    ):
        if name not in names:
            raise ConfigError(
                f"{run.name} has no {what} {name!r}; {did_you_mean(name, names)}",
                hint="name what the run measured, or another run with --run",
            )
    own = [cell for cell in known if (cell.model, cell.variant) == (model, variant)]
    return [cell for cell in own if not targets or cell.target in targets]


def _unproven(run: Run, cells: Sequence[CellId], verdicts: Sequence[Verdict]) -> str:
    """Why the run does not show that the variant may ship; empty where it does."""
    if not run.complete:
        return f"the run {run.name} did not finish"
    for cell in cells:
        own = [verdict for verdict in verdicts if verdict.cell == cell]
        for verdict in own:
            if not verdict:
                return f"{verdict.status} on {cell.target}: {verdict.axis}: {verdict.message}"
        if not any(verdict.axis == "accuracy" for verdict in own):
            return f"its accuracy on {cell.target} was not judged"
    for verdict in verdicts:
        if verdict.cell.variant == CANARY and verdict.cell.model == cells[0].model and verdict.status in RED_STATUSES:
            return f"the gate's test of itself failed: {verdict.message}"
    return ""


def _stored_file(run: Run, store: Store, cells: Sequence[CellId]) -> Path:
    """The artifact that the cells measured. Raises StoreError."""
    measured = [cell for cell in run.journal.cells() if cell in cells]
    if not measured:
        raise StoreError(
            f"{run.folder}: nothing was measured of {cells[0].model}/{cells[0].variant}, so that there is no artifact",
            hint="export another variant, or run pytest again",
        )
    key = run.journal.provenance(measured[0]).artifact
    folder = store.find("artifacts", key)
    found = sorted(folder.glob("artifact.*")) if folder else []
    path = next((path for path in found if path.suffix != ".json"), None)
    if path is None:
        raise StoreError(
            f"{store.root}: the artifact {key[:12]} of {cells[0].model}/{cells[0].variant} is no longer in the store",
            hint="run pytest again, which makes it again; then export from that run",
        )
    return path


def _identity(artifact: Path, model: str, variant: str, facts: dict[str, Any]) -> dict[str, Any]:
    """What the file is."""
    return {
        "format_version": FORMAT_VERSION,
        "model": model,
        "variant": variant,
        "file": artifact.name,
        "sha256": file_digest(artifact),
        "size_bytes": artifact.stat().st_size,
        "runtime": facts["runtime"],
        "layout": facts["layout"],
        "recipe": facts.get("made_from", {}).get("recipe"),
        "options": facts.get("made_from", {}).get("options"),
        "signature": signature_of(artifact, facts["runtime"]),
        "state": {facts["inputs"][name]: output for name, output in facts.get("state", {}).items()},
    }


def _judged(run: Run, verdicts: Sequence[Verdict], reason: str) -> dict[str, Any]:
    """How it was judged, and by what."""
    made = read_json(run.folder / "environment.json") if (run.folder / "environment.json").is_file() else {}
    return {
        "passed": not reason,
        "not_passed_because": reason,
        "run": {
            "name": run.name,
            **{name: made.get(name) for name in ("made_utc", "git_revision", "git_modified", "hardware", "datasets")},
        },
        "versions": made.get("versions", {}),
        "verdicts": [{**dataclasses.asdict(verdict), "cell": str(verdict.cell)} for verdict in verdicts],
    }
