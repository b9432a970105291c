"""Run jobs of the converting child, each framework's work in a process of its own, as ArtifactMaker has it run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeworthy.datasets.samples import Samples
from edgeworthy.errors import SourceError
from edgeworthy.source_schema import Source
from edgeworthy.variants.artifacts.frameworks import OPENED_BY, Framework, framework_of
from edgeworthy.variants.models.kinds import kind_of
from edgeworthy.variants.recipes.registry import all_recipes

Event = dict[str, Any]

#: Runs jobs as the converting child does, one after the other in one process: imports are most of a child's time.
DRIVER = """
import json, sys
from pathlib import Path
from edgeworthy.variants.artifacts import child
from edgeworthy.variants.artifacts.frameworks import keep_apart
child.quiet_libraries()
pipe = child.take_stdout()
emit = child.emitter(pipe)
keep_apart(sys.argv[1] or None, lean=True)
for path in sys.argv[2:]:
    emit({"job": path})
    child.convert(json.loads(Path(path).read_text()), emit)
"""


@dataclass
class Piece:
    """The work of one job that one process does; ``indices`` are its places in the job, None for an export."""

    job: str
    framework: Framework | None
    work: list[dict[str, Any]] = field(default_factory=list)
    indices: list[int | None] = field(default_factory=list)

    def add(self, work: dict[str, Any], index: int | None) -> None:
        self.work.append(work)
        self.indices.append(index)


def write_job(
    path: Path,
    source: dict[str, Any],
    outs: Mapping[str, Path],
    images: Path,
    classes: int,
    recipe_files: Sequence[Path] = (),
) -> Path:
    """Write the job of converting ``source``, beside the file, by each recipe to its path; ``images`` also calibrate."""
    samples = Samples(images).to_json()
    calibrated = {"calibration": samples, "calibration_count": None}
    work = [{"recipe": recipe, "options": {}, **calibrated, "out": str(out)} for recipe, out in outs.items()]
    job = {
        "source": source, "base_dir": str(path.parent), "samples": samples, "classes": classes,
        "recipe_files": [str(file) for file in recipe_files], "runtimes": {}, "work": work,
    }  # fmt: skip
    path.write_text(json.dumps(job))
    return path


def run_jobs(paths: Sequence[Path], log: Path) -> dict[str, list[Event]]:
    """The events of each job, by the name of its file without the suffix, in the order of its work."""
    events: dict[str, dict[int, list[Event]]] = {path.stem: {} for path in paths}
    split = [_split(path) for path in paths]
    exported: dict[str, Event] = {}
    for pieces in ([own for own, _ in split], [crossing for _, crossing in split]):
        for framework in dict.fromkeys(piece.framework for piece in pieces):
            todo = [piece for piece in pieces if piece.framework == framework and _begin(piece, exported, events)]
            if todo:
                _run(framework, todo, log, exported, events)
    return {name: [event for index in sorted(found) for event in found[index]] for name, found in events.items()}


def _split(path: Path) -> tuple[Piece, Piece]:
    """What the source's own framework does, the exports first, and what another one begins with them."""
    job = json.loads(path.read_text())
    source = Source.model_validate(job["source"])
    recipes = all_recipes([Path(file) for file in job["recipe_files"]])
    try:
        kind = kind_of(source, Path(job["base_dir"]))
    except SourceError:
        kind = "onnx"  # the child says what is wrong with it
    chosen = {index: recipes.chosen(work["recipe"], work["options"]) for index, work in enumerate(job["work"])}
    framework = {index: framework_of(each.recipe, source, kind) for index, each in chosen.items()}
    own = OPENED_BY[kind]
    one = next(iter(framework.values())) if own is None else own
    first, second = Piece(str(path), one), Piece(str(path), "tensorflow")
    exports: dict[str, dict[str, Any]] = {}
    for index, work in enumerate(job["work"]):
        work = {"handover": None, "prepared": False, "export": False, "training": {}, **work}
        if own in (None, framework[index]):
            continue
        recipe, options = chosen[index]
        name = " ".join(part.call(options[part.name]) for part in recipe.preparations)
        if name not in exports:
            out = path.with_name(f"{path.stem}-export{len(exports)}")
            out.mkdir()
            exports[name] = {**work, "recipe": work["recipe"] if name else None, "export": True, "out": str(out)}
            first.add(exports[name], None)
        second.add({**work, "handover": exports[name]["out"], "prepared": bool(name)}, index)
    for index, work in enumerate(job["work"]):
        if own in (None, framework[index]):
            first.add({"handover": None, "prepared": False, "export": False, "training": {}, **work}, index)
    return first, second


def _begin(piece: Piece, exported: dict[str, Event], events: dict[str, dict[int, list[Event]]]) -> bool:
    """Whether the piece has work left when what has no export has failed as the export did."""
    for work, index in list(zip(piece.work, piece.indices, strict=True)):
        export = exported.get(work["handover"] or "")
        if export and export["event"] != "made":
            assert index is not None
            failed = {**export, "index": index}
            events[Path(piece.job).stem][index] = [{"event": "started", "index": index}, failed]
            at = piece.indices.index(index)
            del piece.work[at], piece.indices[at]
    return bool(piece.work)


def _run(
    framework: Framework | None,
    pieces: list[Piece],
    log: Path,
    exported: dict[str, Event],
    events: dict[str, dict[int, list[Event]]],
) -> None:
    files = []
    for number, piece in enumerate(pieces):
        job = {**json.loads(Path(piece.job).read_text()), "failed_views": [], "work": piece.work}
        files.append(Path(piece.job).with_suffix(f".{framework}.{number}"))
        files[-1].write_text(json.dumps(job))
    with log.open("a") as file:
        command = [sys.executable, "-c", DRIVER, framework or "", *map(str, files)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=file, text=True, check=False)
    assert done.returncode == 0, log.read_text()[-3000:]
    for piece, told in zip(pieces, _by_job(done.stdout), strict=True):
        current = 0
        for event in told:
            current = event.get("index", current)
            _note(event, piece, current, exported, events[Path(piece.job).stem])


def _by_job(lines: str) -> Iterator[list[Event]]:
    told: list[list[Event]] = []
    for event in map(json.loads, lines.splitlines()):
        told.append([]) if "job" in event else told[-1].append(event)
    return iter(told)


def _note(event: Event, piece: Piece, current: int, exported: dict[str, Event], events: dict[int, list[Event]]) -> None:
    if event["event"] == "finished":
        held = set(event["frameworks"])
        assert len(held) <= 1, "a process held both frameworks"
        assert piece.framework is None or held <= {piece.framework}, f"a process of {piece.framework} held {held}"
    elif event["event"] != "view":
        index = piece.indices[current]
        if index is None and event["event"] not in ("started", "progress"):
            exported[piece.work[current]["out"]] = event
        elif index is not None or event["event"] == "progress":
            renumbered = {**event, "index": index} if "index" in event else event
            events.setdefault(-1 if index is None else index, []).append(renumbered)
