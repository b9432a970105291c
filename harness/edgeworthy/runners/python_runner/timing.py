"""Times of loads and of single inferences."""

from __future__ import annotations

import gc
import itertools
import time
from typing import Any

import numpy as np

from .inputs import read_inputs
from .jobs import Array, Facts, Job
from .memory import PeakMemory
from .models import load
from .sequences import each_step
from .signatures import keeps_inside

#: Timed inferences cycle through this many real samples.
CYCLE = 8


def timing(job: Job) -> tuple[dict[str, Array], Facts]:
    """Nanoseconds of every load, first inference and timed inference, over several reloads."""
    gc.disable()
    memory = PeakMemory()
    samples: list[int] = []
    load_of: list[int] = []
    load_ns: list[int] = []
    first_ns: list[int] = []
    natives: list[Any] = []
    fitted: list[tuple[int, ...]] = []
    memory_bytes, busy_ns, wall_ns, delegation = None, 0, 0, None
    for index in range(job["loads"]):
        start = time.perf_counter_ns()
        model = load(job)
        load_ns.append(time.perf_counter_ns() - start)
        if not natives:
            natives, fitted = native_samples(job, model)
        model.fit(fitted)
        model.feed(natives[0])
        start = time.perf_counter_ns()
        model.invoke()
        first_ns.append(time.perf_counter_ns() - start)
        for _ in range(job["warmup"]):
            model.invoke()
        if index == 0:
            memory_bytes = memory.growth()
        begun, used = time.perf_counter_ns(), time.process_time_ns()
        taken = time_inferences(model, natives, job["samples_per_load"], job["min_load_ms"])
        wall_ns += time.perf_counter_ns() - begun
        busy_ns += time.process_time_ns() - used
        samples.extend(taken)
        load_of.extend([index] * len(taken))
        if index == job["loads"] - 1:
            delegation = model.delegation(natives[0])
        del model
        gc.collect()
    arrays = {"samples_ns": samples, "load_of": load_of, "load_ns": load_ns, "first_ns": first_ns}
    cpu_percent = 100.0 * busy_ns / max(wall_ns, 1)
    facts = {"peak_memory_bytes": memory_bytes, "cpu_percent": cpu_percent, "delegation": delegation}
    return {name: np.asarray(values, np.int64) for name, values in arrays.items()}, facts


def native_samples(job: Job, model: Any) -> tuple[list[Any], list[tuple[int, ...]]]:
    """A few single real samples, or steps, as the runtime takes them, and the shapes of their inputs.

    Of samples of different sizes the one that is to be timed, of sequences of different lengths its steps.
    """
    inputs = read_inputs(job, model)
    if inputs.sequences:
        return [native for native, _ in itertools.islice(each_step(model, inputs, inputs.timed), CYCLE)], inputs.shapes
    if inputs.ragged:
        return [model.native(inputs[inputs.timed : inputs.timed + 1], inputs.timed)], inputs.shapes
    return [model.native(inputs[i : i + 1], i) for i in range(min(CYCLE, len(inputs)))], inputs.shapes


def time_inferences(model: Any, natives: list[Any], at_least: int, min_ms: float) -> list[int]:
    """Nanoseconds of single inferences: ``at_least`` of them and for at least ``min_ms``.

    Neither feeding nor resetting is timed.
    """
    clock, invoke, feed, count = time.perf_counter_ns, model.invoke, model.feed, len(natives)
    goes_on = keeps_inside(model.job)
    taken: list[int] = []
    until = clock() + int(min_ms * 1e6)
    while len(taken) < at_least or clock() < until:
        step = len(taken) % count
        if step == 0 or not goes_on:
            model.reset()
        feed(natives[step])
        start = clock()
        invoke()
        taken.append(clock() - start)
    return taken
