"""The two sides of a comparison: one artifact through the harness's host target, and through the bare loop."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from edgeworthy.cells import CellSelector
from edgeworthy.config import LatencyPlan
from edgeworthy.device_schema import RunnerBackend
from edgeworthy.measurements.bench import Bench
from edgeworthy.measurements.project import Project
from edgeworthy.runs.journal import Journal
from edgeworthy.storage import open_store
from edgeworthy.targets.base import Job
from edgeworthy.targets.host import HostTarget

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 300.0


def artifacts(models_yaml, model, variants):
    """The artifacts of a model's variants, and its evaluation samples; made in the store where missing."""
    project = Project.load(models_yaml, ROOT / "devices.yaml")
    planned = [cell for cell in project.cells(CellSelector()) if cell.model == model and cell.variant in variants]
    store = open_store(ROOT / ".edgeworthy")
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(
            Bench(project, store, Journal(Path(folder)), planned, lambda text: print(text, file=sys.stderr))
        ) as bench,
    ):
        return [bench.artifact(model, variant) for variant in variants], bench.dataset(model).samples("evaluation")


@contextlib.contextmanager
def harness(**keys):
    """The harness's host target: one thread, delegates on, as devices.yaml has it, with other ``keys`` of its backend."""
    target = HostTarget("host", "perf", RunnerBackend.model_validate(keys))
    try:
        yield target
    finally:
        target.close()


def harness_times_ns(target, artifact, inputs, count):
    """Nanoseconds of ``count`` inferences of one reload, through the harness."""
    plan = LatencyPlan.model_construct(loads=1, samples_per_load=count, min_load_ms=0, warmup=5)
    return target.timing(Job(artifact, inputs, TIMEOUT_S), plan).samples_ns


def harness_seconds(target, artifact, inputs):
    """Seconds that answering every sample took, through the harness."""
    return target.outputs(Job(artifact, inputs, TIMEOUT_S)).seconds


def parts(inputs):
    """What each of a model's inputs is called, where it begins in a row of the samples' file, and its shape."""
    if not inputs.inputs:
        return [["", 0, np.load(inputs.path, mmap_mode="r").shape[1:]]]
    return [[each.name, each.start, each.shape] for each in inputs.inputs]


@contextlib.contextmanager
def bare(artifact, inputs, api=None):
    """``times_ns(count, batch)`` of reloads in the bare loop, by an ``api`` of bare.py or that of the artifact's runtime."""
    command = [sys.executable, Path(__file__).with_name("bare.py"), api or artifact.runtime.name]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as server:

        def times_ns(count, batch):
            job = {"artifact": str(artifact.path), "inputs": str(inputs.path), "parts": parts(inputs), "batch": batch}
            job["count"] = count
            print(json.dumps(job), file=server.stdin, flush=True)
            return json.loads(server.stdout.readline())

        yield times_ns
        server.stdin.close()
