"""Two artifacts, reloaded and timed one after the other."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator

import numpy as np

from .jobs import Array, Facts, Job
from .models import load
from .timing import native_samples, time_inferences

#: Largest unused block of memory that shifts the layout of the next load.
BALLAST_BYTES = 1 << 20


def interleaved(job: Job) -> tuple[dict[str, Array], Facts]:
    """Median nanoseconds of two sides over interleaved reloads: arrays ``sides`` (2, rounds).

    Which side goes first alternates, so that a drifting clock favours neither, and a ballast of random size lies
    between the loads, so that one memory layout is not measured again and again.
    """
    gc.disable()
    randomness = np.random.default_rng()
    medians = np.zeros((2, job["rounds"]), np.int64)
    for index, side in alternating(job["rounds"]):
        ballast = np.ones(int(randomness.integers(1, BALLAST_BYTES)), np.uint8)
        medians[side, index] = _reload_median({**job, **job["sides"][side]})
        del ballast
        gc.collect()
    return {"sides": medians}, {}


def alternating(rounds: int) -> Iterator[tuple[int, int]]:
    """The round and the side of each of the reloads of two sides; which side goes first alternates."""
    for index in range(rounds):
        for side in (0, 1) if index % 2 == 0 else (1, 0):
            yield index, side


def _reload_median(job: Job) -> int:
    model = load(job)
    natives, _ = native_samples(job, model)
    model.feed(natives[0])
    for _ in range(job["warmup"] + 1):
        model.invoke()
    if job["injected_delay_ns"]:
        model.invoke = with_injected_delay(model.invoke, job["injected_delay_ns"])
    return int(np.median(time_inferences(model, natives, job["samples_per_load"], job["min_load_ms"])))


def with_injected_delay(invoke: Callable[[], None], nanoseconds: int) -> Callable[[], None]:
    """``invoke`` with real work of about so long added to it: how a gate is tested for seeing a slowdown."""
    spins = round(nanoseconds / _spin_ns())

    def slower() -> None:
        invoke()
        for _ in range(spins):
            pass

    return slower


def _spin_ns(spins: int = 2_000, times: int = 50) -> float:
    """What one turn of an empty loop takes where nothing disturbs it."""
    taken = []
    for _ in range(times):
        start = time.perf_counter_ns()
        for _ in range(spins):
            pass
        taken.append(time.perf_counter_ns() - start)
    return min(taken) / spins
