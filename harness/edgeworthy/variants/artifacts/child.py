"""The process that trains or converts: ``python -m edgeworthy.variants.artifacts.child JOB.json``.

It alone imports TensorFlow or torch, never both. The parent gives stdout as a pipe, which carries one JSON object per
line, and stderr as a log file, which receives everything that a library prints::

    {"action": "train", "trainer", "base_dir", "splits": SPLITS, "out"}
      -> {"event": "progress", "text"}*, then "made" or "failed"
    {"action": "take_apart", "framework", "source", "base_dir", "sequences": {split: SAMPLES}, "classes", "out": a folder}
      -> "made" with the "inputs" of a step, or "failed"
    {"action": "convert", "framework": the only one that may be imported, null for whichever comes first,
     "threads": how many TensorFlow computes with, null for as many as there are cores,
     "source": a source of models.yaml, trained, "base_dir", "samples": SAMPLES, "classes", "recipe_files",
     "runtimes": those of models.yaml,
     "failed_views": [{"handover", "view", "message", "hint"}, ...],
     "work": [{"recipe" and "options" as in models.yaml, "canary", "calibration", "calibration_count", "training": SPLITS,
               "handover", "prepared", "export", "out"}, ...]}
      -> for each: {"event": "started", "index"}, then "progress" and "view" with "handover", "name" and "begins" as
         they come, "trial" with "begins" around the artifact's first inference, then "made" with "layout", "inputs" and
         "outputs", or "refused" or "failed"; after the last "finished" with "frameworks"

"calibration" and SAMPLES are what ``Samples.to_json`` returns; SPLITS are {"train_x": SAMPLES, "train_y": "y.npy", ...}.
"refused" and "failed" carry "message" and "hint", "failed" also "error_type" and, for an unexpected exception, "log_tail".

A "handover" is the folder that the source is read from instead of its own framework; with "prepared" it is what the
recipe's preparations made. Work with "export" writes such a folder: of the source, or, with a "recipe", of what its
preparations make.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from edgeworthy.datasets.samples import Samples
from edgeworthy.errors import ConversionCrashed, EdgeworthyError, RecipeRefused, SourceError
from edgeworthy.records import Layout
from edgeworthy.runtimes import RUNTIMES, Runtime
from edgeworthy.source_schema import FixedSource, OwnRuntime
from edgeworthy.temporary import temporary_folder
from edgeworthy.user_code.functions import load_function, users_code
from edgeworthy.user_code.own_runtimes import own_runtime
from edgeworthy.variants.artifacts import checks, ends
from edgeworthy.variants.artifacts.child_process import end_with_parent, runs_users_code
from edgeworthy.variants.artifacts.frameworks import keep_apart, loaded_frameworks
from edgeworthy.variants.models.handover import Handover, write_handover
from edgeworthy.variants.models.opened_source import OpenedSource
from edgeworthy.variants.models.sequences import taken_apart
from edgeworthy.variants.recipes.composition import Chosen
from edgeworthy.variants.recipes.registry import all_recipes
from edgeworthy.variants.training.fine_tuning import Training

CORRECT_TRAINER = "correct the trainer; it is called again in the next run"

Job = Mapping[str, Any]
Emit = Callable[[dict[str, Any]], None]


def main(arguments: list[str]) -> None:
    """Do the job that the file ``arguments[0]`` describes; ``arguments[1]`` is the pipe that ends with the parent."""
    faulthandler.enable(all_threads=True)
    end_with_parent(int(arguments[1]))
    quiet_libraries()
    job = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    keep_apart(job.get("framework"), lean=not runs_users_code(job))
    do(job)


def do(job: Job) -> None:
    """Do a job in a process that has what it needs, and nothing else to do."""
    faulthandler.enable(all_threads=True)
    share_cores(job.get("threads"))
    {"train": _train, "take_apart": _take_apart, "convert": convert}[job["action"]](job, emitter(take_stdout()))


def _train(job: Job, emit: Emit) -> None:
    out = Path(job["out"])

    def make() -> dict[str, Any]:
        train = load_function(job["trainer"], Path(job["base_dir"]))
        splits = _splits(job["splits"])
        with users_code(f"trainer {job['trainer']}", CORRECT_TRAINER):
            train(splits, out, _progress(emit))
        if not out.exists():
            raise SourceError(f"trainer {job['trainer']} returned without writing {out.name}", hint=CORRECT_TRAINER)
        return {"event": "made"}

    emit(_attempt(make, out))


def _splits(references: Mapping[str, Any]) -> dict[str, Any]:
    splits: dict[str, Any] = {}
    for name, given in references.items():
        if isinstance(given, str):
            splits[name] = np.load(given, allow_pickle=False)
            continue
        samples = Samples.from_json(given)
        rows = samples.read()
        of_split = name.removesuffix("_x")
        for each in (each for each in samples.inputs if each.constant is None):
            alone = [each.of(row[np.newaxis])[0] for row in rows] if each.ragged else each.of(rows)
            splits[f"{of_split}_{each.name or 'x'}"] = alone
        if not samples.inputs:
            splits[name] = rows
    return splits


def _take_apart(job: Job, emit: Emit) -> None:
    out, base_dir = Path(job["out"]), Path(job["base_dir"])
    source = FixedSource.model_validate(job["source"])
    sequences = {split: Samples.from_json(given) for split, given in job["sequences"].items()}

    def make() -> dict[str, Any]:
        with temporary_folder() as scratch:

            def opened(samples: Samples) -> OpenedSource:
                return OpenedSource(source, base_dir, samples, job["classes"], Path(tempfile.mkdtemp(dir=scratch)))

            inputs = taken_apart(opened, sequences, out)
        return {"event": "made", "inputs": [each.to_json() for each in inputs]}

    emit(_attempt(make, out))


def convert(job: Job, emit: Emit) -> None:
    """Do the job's work, one piece after the other."""
    with temporary_folder() as scratch:
        recipes = all_recipes([Path(path) for path in job["recipe_files"]], {**RUNTIMES, **_own_runtimes(job)})
        sources = _Sources(job, scratch, emit)
        for index, work in enumerate(job["work"]):
            emit({"event": "started", "index": index})
            chosen = recipes.chosen(work["recipe"], work["options"]) if work["recipe"] else None
            emit({"index": index, **_done(chosen, sources, work, emit)})
    emit({"event": "finished", "frameworks": loaded_frameworks()})


def _own_runtimes(job: Job) -> dict[str, Runtime]:
    base, entries = Path(job["base_dir"]), job["runtimes"]
    return {name: own_runtime(name, OwnRuntime.model_validate(entry), base) for name, entry in entries.items()}


class _Sources:
    """The job's source, and the same by each handover, each opened once."""

    def __init__(self, job: Job, scratch: Path, emit: Emit) -> None:
        self._job = job
        self._scratch = scratch
        self._emit = emit
        self._opened: dict[str | None, OpenedSource] = {}

    def __getitem__(self, handover: str | None) -> OpenedSource:
        if handover not in self._opened:
            self._opened[handover] = self._open(handover)
        return self._opened[handover]

    def _open(self, handover: str | None) -> OpenedSource:
        job = self._job
        given = Handover.read(Path(handover)) if handover else None
        opened = OpenedSource(
            given.source if given else FixedSource.model_validate(job["source"]),
            Path(job["base_dir"]),
            Samples.from_json(job["samples"]),
            job["classes"],
            Path(tempfile.mkdtemp(dir=self._scratch)),
            given,
            on_view=lambda name, begins: self._emit(
                {"event": "view", "handover": handover, "name": name, "begins": begins}
            ),
        )
        for failed in job["failed_views"]:
            if failed["handover"] == handover:
                opened.fail_view(failed["view"], ConversionCrashed(failed["message"], hint=failed["hint"]))
        return opened


def _done(chosen: Chosen | None, sources: _Sources, work: Job, emit: Emit) -> dict[str, Any]:
    """The event that one piece of work ends with."""
    out = Path(work["out"])

    def make() -> dict[str, Any]:
        source = sources[work["handover"]]
        if chosen and not work["prepared"]:
            source = _prepared(chosen, source, work, emit)
        if work["export"]:
            write_handover(source, out)
            return {"event": "made"}
        assert chosen is not None
        recipe = chosen.recipe
        layout = _made(chosen, source, work, emit)
        return {
            "event": "made",
            "layout": layout,
            "inputs": ends.inputs_of(source, recipe.runtime, out),
            "outputs": ends.outputs_of(source, recipe.runtime, out),
            "state": ends.state_of(source, recipe.runtime, out),
        }

    return _attempt(make, out)


def _made(chosen: Chosen, source: OpenedSource, work: Job, emit: Emit) -> Layout:
    recipe, out = chosen.recipe, Path(work["out"])
    options = {name: value for name, value in chosen.options[recipe.steps[-1]].items() if name != "calibration_samples"}
    if recipe.calibrated:
        options["calibration"] = Samples.from_json(work["calibration"]).read(stop=work["calibration_count"])
    if recipe.learns:
        options["training"] = _training(work["training"], emit)
    layout = recipe.make(source, out, **options)
    source.check_untouched(recipe.name)
    checks.check_written(recipe, out)
    checks.check_signature(recipe, out)
    checks.check_opset(source, out)
    # A class of the user's may run on a board alone: there it shows whether it does, unless it has to be looked at here.
    here = not recipe.runtime.class_name or recipe.lossless or work.get("canary")
    if here and not recipe.runtime.why_not_here() and not {"allow_select_tf_ops", "allow_custom_ops"} & options.keys():
        emit({"event": "trial", "begins": True})
        checks.check_runs(source, recipe, out, layout)
        emit({"event": "trial", "begins": False})
    if recipe.lossless:
        checks.check_lossless(source, recipe, out, layout)
    if work.get("canary"):
        checks.check_canary(source, recipe, out, layout)
    return layout


def _prepared(chosen: Chosen, source: OpenedSource, work: Job, emit: Emit) -> OpenedSource:
    """What the recipe's preparations make of the source, each once for all recipes that begin with the same."""
    for part in chosen.recipe.preparations:
        options = chosen.options[part.name]
        training = {"training": _training(work["training"], emit)} if part.learns else {}
        prepare = partial(part.prepare, source, **training, **options)
        source = source.once(part.call(options), prepare)
    return source


def _training(references: Mapping[str, Any], emit: Emit) -> Training:
    return Training(
        Samples.from_json(references["train_x"]),
        np.load(references["train_y"], allow_pickle=False),
        Samples.from_json(references["validation_x"]),
        np.load(references["validation_y"], allow_pickle=False),
        _progress(emit),
    )


def _progress(emit: Emit) -> Callable[[str], None]:
    return lambda text: emit({"event": "progress", "text": str(text)})


def _attempt(make: Callable[[], dict[str, Any]], out: Path) -> dict[str, Any]:
    """The event that ``make`` returns, or that of its exception, after which nothing is left at ``out``."""
    try:
        return make()
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        if out.is_file():
            out.unlink()
        return _unmade(error)


def _unmade(error: BaseException) -> dict[str, Any]:
    if isinstance(error, RecipeRefused):
        return {"event": "refused", "message": error.message, "hint": error.hint}
    failed = {"event": "failed", "error_type": type(error).__name__}
    if isinstance(error, EdgeworthyError):
        return {**failed, "message": error.message, "hint": error.hint}
    return {
        **failed,
        "message": f"{type(error).__name__}: {error}",
        "hint": "see the end of its log",
        "log_tail": "".join(traceback.format_exception(error, limit=-3)),
    }


def emitter(stream: TextIO) -> Emit:
    """Writes events to ``stream``."""

    def emit(event: dict[str, Any]) -> None:
        stream.write(json.dumps(event) + "\n")
        stream.flush()

    return emit


def take_stdout() -> TextIO:
    """The parent's pipe for events alone: from here on what prints to stdout, C++ included, goes to the log."""
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return pipe


def share_cores(threads: int | None) -> None:
    """Have TensorFlow compute with so many threads: as many as cores in each of several processes wait for each other."""
    if threads:
        os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = str(threads)


def quiet_libraries() -> None:
    """Choose Keras' backend, no log of TensorFlow's, no graphics card."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


if __name__ == "__main__":
    main(sys.argv[1:])
