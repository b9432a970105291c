"""Jobs, one in this process or each in a child that is forked for it."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import json
import os
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np

from .interleaving import interleaved
from .jobs import Array, Facts, Job, RunnerError, failure, first_line
from .lifetime import die_with_parent
from .models import import_runtime
from .op_times import op_times
from .outputs import outputs
from .timing import timing

MODES: dict[str, Callable[[Job], tuple[dict[str, Array], Facts]]] = {
    "outputs": outputs,
    "timing": timing,
    "interleaved": interleaved,
    "op_times": op_times,
}


def run(job: Job) -> None:
    """Run one job and write its result, ``result.json`` last, in the job's folder."""
    out = Path(job["out"])
    start = time.perf_counter()
    if job["class"]:
        faulthandler.enable()  # the log then says which line of the user's a crash was in
    try:
        pin(job["cores"])
        arrays, facts = MODES[job["mode"]](job)
        np.savez(out / "arrays.npz", allow_pickle=False, **arrays)
        result: Facts = {**facts, "window_seconds": time.perf_counter() - start}
    except RunnerError as error:
        result = {"error": {"kind": error.kind, "message": str(error)}}
    except OSError as error:
        result = {"error": {"kind": "runner_failed", "message": first_line(error, job)}}
    except (Exception, SystemExit) as error:
        failed = failure(job, "failed", error)
        result = {"error": {"kind": failed.kind, "message": str(failed)}}
    partial = out / "result.json.tmp"
    partial.write_text(json.dumps(result))
    partial.replace(out / "result.json")


def pin(cores: list[int] | None) -> None:
    """Keep this process, and the threads it will start, on some cores."""
    if not cores:
        return
    if not hasattr(os, "sched_setaffinity"):
        raise RunnerError("runner_failed", f"cores {cores}: this system cannot pin a process to cores")
    available = os.sched_getaffinity(0)
    if not available.issuperset(cores):
        raise RunnerError("runner_failed", f"cores {cores} are not all there; the device has {sorted(available)}")
    os.sched_setaffinity(0, cores)


def serve(module: str, code: str | None = None) -> None:
    """Fork a child for every job path on standard input, until it closes; ``module`` and ``code`` are as in a job."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    die_with_parent()
    with contextlib.suppress(Exception, SystemExit):  # the job itself reports what keeps it from being imported
        import_runtime(module, code)
    gc.freeze()  # children share these pages and never scan them
    for line in sys.stdin:
        job = json.loads(Path(line.rstrip("\n")).read_text())
        child = os.fork()
        if child == 0:
            _run_forked(job)
        print(json.dumps({"pid": child}), file=answers, flush=True)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"status": os.waitstatus_to_exitcode(status)}), file=answers, flush=True)


def _run_forked(job: Job) -> NoReturn:
    try:
        die_with_parent()
        log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        run(job)
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main() -> None:
    """The program: ``run JOB.json``, whose code is a zip, or ``serve MODULE [CODE]``, whose code is a folder."""
    if sys.argv[1] == "serve":
        serve(*sys.argv[2:])
    else:
        job = json.loads(Path(sys.argv[2]).read_text())
        run({**job, "code": unpacked(job["code"], job["out"])})


def unpacked(packed: str | None, out: str) -> str | None:
    """The folder in ``out`` with the files of a zip, as they lie beside one another where they are from."""
    if not packed:
        return None
    code = f"{out}/code"
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(code)
    return code
