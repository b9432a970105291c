"""The process that trains or converts: ``python -m harness.variants.child JOB.json``.

It alone imports TensorFlow and torch. The parent gives stdout as a pipe, on which one JSON object a line tells what
happens, and stderr as a log file, which everything that a library prints goes to::

    {"action": "train", "trainer", "base_dir", "splits": SPLITS, "out"}
      -> {"event": "progress", "text"}*, then "made" or "failed"
    {"action": "convert", "source": a source of models.yaml, trained, "base_dir", "images": "few.npy", "classes",
     "recipe_files", "work": [{"recipe", "options", "calibration", "training": SPLITS, "out"}, ...]}
      -> for each: {"event": "started", "index"}, "progress"*, then "made" with "layout", or "refused" or "failed"

"calibration" and SAMPLES are as ``Samples.to_json`` tells them; SPLITS are {"train_x": SAMPLES, "train_y": "y.npy", ...}.
"refused" and "failed" carry "message" and "next_step", "failed" also "error_type" and, where nobody foresaw it, "log_tail".
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from harness.config import Source
from harness.errors import EdgegateError, RecipeRefused, SourceError
from harness.sources.functions import load_function, users_code
from harness.sources.samples import Samples
from harness.variants.fine_tuning import Training
from harness.variants.opened_source import OpenedSource
from harness.variants.registry import Recipe, all_recipes

PR_SET_PDEATHSIG = 1
CORRECT_TRAINER = "correct the trainer; it is called again in the next run"

Job = Mapping[str, Any]
Emit = Callable[[dict[str, Any]], None]


def main(arguments: list[str]) -> None:
    """Do the job that the file ``arguments[0]`` describes."""
    _die_with_parent()
    _quiet_libraries()
    emit = _emitter(_take_stdout())
    job = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    {"train": _train, "convert": _convert}[job["action"]](job, emit)


def _train(job: Job, emit: Emit) -> None:
    out = Path(job["out"])

    def make() -> dict[str, Any]:
        train = load_function(job["trainer"], Path(job["base_dir"]))
        splits = _splits(job["splits"])
        with users_code(f"trainer {job['trainer']}", CORRECT_TRAINER):
            train(splits, out, _telling(emit))
        if not out.exists():
            raise SourceError(
                f"trainer {job['trainer']} returned without writing {out.name}", next_step=CORRECT_TRAINER
            )
        return {"event": "made"}

    emit(_attempt(make, out))


def _splits(told: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: np.load(given, allow_pickle=False) if isinstance(given, str) else Samples.from_json(given).read()
        for name, given in told.items()
    }


def _convert(job: Job, emit: Emit) -> None:
    with tempfile.TemporaryDirectory(prefix="edgegate-") as scratch:
        recipes = all_recipes([Path(path) for path in job["recipe_files"]])
        source = _open(job, Path(scratch))
        for index, work in enumerate(job["work"]):
            emit({"event": "started", "index": index})
            emit({"index": index, **_one_variant(recipes[work["recipe"]], source, work, emit)})


def _one_variant(recipe: Recipe, source: OpenedSource, work: Job, emit: Emit) -> dict[str, Any]:
    out = Path(work["out"])

    def make() -> dict[str, Any]:
        options = dict(work["options"])
        if recipe.calibrated:
            count = options.pop("calibration_samples", None)
            options["calibration"] = Samples.from_json(work["calibration"]).read(stop=count)
        if recipe.trained:
            options["training"] = _training(work["training"], emit)
        layout = recipe.make(source, out, **options)
        source.check_untouched(recipe.name)
        source.check_opset(out)
        if recipe.lossless:
            source.check_lossless(recipe.name, out, layout)
        return {"event": "made", "layout": layout}

    return _attempt(make, out)


def _training(told: Mapping[str, Any], emit: Emit) -> Training:
    return Training(
        Samples.from_json(told["train_x"]),
        np.load(told["train_y"], allow_pickle=False),
        Samples.from_json(told["validation_x"]),
        np.load(told["validation_y"], allow_pickle=False),
        _telling(emit),
    )


def _telling(emit: Emit) -> Callable[[str], None]:
    return lambda text: emit({"event": "progress", "text": str(text)})


def _open(job: Job, scratch: Path) -> OpenedSource:
    images = np.load(job["images"], allow_pickle=False).astype(np.float32)
    return OpenedSource(Source.model_validate(job["source"]), Path(job["base_dir"]), images, job["classes"], scratch)


def _attempt(make: Callable[[], dict[str, Any]], out: Path) -> dict[str, Any]:
    """The event that ``make`` came to; where it is not "made", nothing is left at ``out``."""
    try:
        return make()
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        out.unlink(missing_ok=True)
        return _unmade(error)


def _unmade(error: BaseException) -> dict[str, Any]:
    if isinstance(error, RecipeRefused):
        return {"event": "refused", "message": error.message, "next_step": error.next_step}
    failed = {"event": "failed", "error_type": type(error).__name__}
    if isinstance(error, EdgegateError):
        return {**failed, "message": error.message, "next_step": error.next_step}
    return {
        **failed,
        "message": f"{type(error).__name__}: {error}",
        "next_step": "see the end of its log",
        "log_tail": "".join(traceback.format_exception(error, limit=-3)),
    }


def _emitter(stream: TextIO) -> Emit:
    def emit(event: dict[str, Any]) -> None:
        stream.write(json.dumps(event) + "\n")
        stream.flush()

    return emit


def _take_stdout() -> TextIO:
    """The parent's pipe for events alone: whatever prints to stdout from here on, C++ included, goes to the log."""
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return pipe


def _die_with_parent() -> None:
    """A parent that was killed cannot stop its children; Linux can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _quiet_libraries() -> None:
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


if __name__ == "__main__":
    main(sys.argv[1:])
