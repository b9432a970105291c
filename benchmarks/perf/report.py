"""The page of a run of 1,000 cells with 10,000 samples each: how long it takes to write, to be seen and to be filtered."""

import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
from edgeworthy.cells import CellId
from edgeworthy.records import Artifact, Conditions, Outputs, Timing
from edgeworthy.reports.html.beside import Beside
from edgeworthy.reports.html.page import NAME, page_of
from edgeworthy.reports.run_folder import finish, rows_of
from edgeworthy.runs.run import Run
from edgeworthy.runs.run_file import Scope
from edgeworthy.runtimes import RUNTIMES
from edgeworthy.truth import Truth
from edgeworthy.verdicts.accuracy import judge_accuracy
from edgeworthy.verdicts.footprint import judge_footprint
from edgeworthy.verdicts.latency import judge_latency
from finding import Finding

sys.path.append(str(Path(__file__).parents[2]))

MODELS, VARIANTS, TARGETS = 10, 25, 4
SAMPLES, CLASSES, LOADS = 10_000, 10, 10
LIMITS = {"max_drop_points": 1.0, "min_agreement_percent": 97.0, "max_p50_ms": 1.0, "max_size_kb": 100.0}
ROUNDS, KINDS = 3, 20
MOST_WRITE_S, MOST_MB, MOST_SEEN_S, MOST_FILTER_S = 3.0, 8.0, 1.5, 0.1
#: What is filtered by, one after the other, and what is in sight: rows of matrices that come back must be laid out.
FINDS, SECTIONS = ("variant7", "variant7 target1", ""), ("page", "matrix", "cells")
SETTLED_MS = 200
#: When the browser painted something for the first time, and how long it takes from an input to the frame that shows it.
_SEEN = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
_FILTER = """find => new Promise(resolve => {
  const began = performance.now(), field = document.querySelector('[name=find]');
  const shown = () => requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - began)));
  addEventListener('hashchange', shown, {once: true});
  field.value = find;
  field.dispatchEvent(new Event('input', {bubbles: true}));
})"""


def measure():
    """Writing it; then, where Chromium is installed, the first picture and a filter."""
    with tempfile.TemporaryDirectory() as folder:
        run = _filled(Path(folder) / "20260101-000000-perf")
        rows = rows_of(run)
        times = [_seconds(lambda: (run.folder / NAME).write_text(page_of(run, rows, Beside()))) for _ in range(ROUNDS)]
        told = f"{len(rows):,} cells of {SAMPLES:,} samples; worst {max(times):.2f} s"
        yield Finding("the report of 1,000 cells: written", median(times), "s", told, most=MOST_WRITE_S)
        size = (run.folder / NAME).stat().st_size / 1e6
        yield Finding("the report of 1,000 cells: size", size, "MB", "one file", most=MOST_MB)
        if shutil.which("chromium") is None:
            print("Chromium is not installed here: the page is not opened")
            return
        yield from _in_a_browser(run.folder / NAME)


def _in_a_browser(file):
    from tests.browser import chromium, opened

    with chromium() as browser:
        seen, filtered = [], []
        for _ in range(ROUNDS):
            with opened(browser, file) as found:
                found.page.wait_for_function(_SEEN)
                seen.append(found.page.evaluate(_SEEN) / 1e3)
                filtered += [_filter(found.page, section, find) for section in SECTIONS for find in FINDS]
    yield Finding(
        "the report of 1,000 cells: first picture", median(seen), "s", f"worst {max(seen):.2f} s", most=MOST_SEEN_S
    )
    told = f"from a key to the frame, the way back to all cells included; median {median(filtered):.3f} s"
    yield Finding("the report of 1,000 cells: a filter", max(filtered), "s", told, most=MOST_FILTER_S)


def _filter(page, section, find):
    """Seconds, with this section of the page in sight."""
    page.evaluate("section => document.getElementById(section).scrollIntoView()", section)
    page.wait_for_timeout(SETTLED_MS)
    return page.evaluate(_FILTER, find) / 1e3


def _seconds(work):
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _filled(folder):
    """A finished run, judged by the gate's own functions: KINDS cells of a model are measured, the others are like them."""
    random = np.random.default_rng(0)
    cells = [
        CellId(f"model{model}", f"variant{variant}", f"target{target}:cpu")
        for model in range(MODELS)
        for variant in range(VARIANTS)
        for target in range(TARGETS)
    ]
    run = Run.begin(folder, cells, Scope())
    truth = _truth(random)
    kinds = [_measured(truth, random) for _ in range(KINDS)]
    for model in range(MODELS):
        run.journal.save_truth(f"model{model}", truth)
    for number, cell in enumerate(cells):
        artifact, measurements, verdicts = kinds[number % KINDS]
        for measurement in measurements:
            run.journal.save(cell, "perf", artifact, measurement)
        for verdict in verdicts:
            run.log.add(replace(verdict, cell=cell))
    finish(run, folder, complete=True, notes=[])
    return Run.open(folder)


def _truth(random):
    labels = random.integers(CLASSES, size=SAMPLES)
    scores = random.normal(size=(SAMPLES, CLASSES)).astype(np.float32)
    scores[np.arange(SAMPLES), labels] += 4
    return Truth(labels, scores, "top1", "0123456789abcdef", outputs={"": (CLASSES,)})


def _measured(truth, random):
    """An artifact that differs from the reference in some samples, its outputs and times, and three verdicts on it."""
    size = int(random.integers(20_000, 200_000))
    artifact = Artifact("0" * 64, Path("none"), "int8", RUNTIMES["onnxruntime"], "nhwc", size, 9_000)
    conditions = Conditions(
        {"runtime": "onnxruntime 1", "machine": "x86_64"}, {"temperature_c": 40.0}, {"temperature_c": 45.0}
    )
    noise = np.zeros_like(truth.reference)
    noise[:: random.integers(20, 60)] = random.normal(scale=3, size=(1, CLASSES))
    outputs = Outputs(truth.reference + noise, 32, 1.0, 1.0, conditions, ((CLASSES,),))
    times = random.lognormal(np.log(random.uniform(2e5, 1.2e6)), 0.05, SAMPLES).astype(np.int64)
    some = np.full(LOADS, 1_000_000)
    loads = np.repeat(np.arange(LOADS), SAMPLES // LOADS)
    timing = Timing(times, loads, some, some, 1_000_000, 99.0, None, 1.0, conditions)
    cell = CellId("model", "variant", "target:cpu")
    accuracy = judge_accuracy(cell, outputs.values, truth, LIMITS)
    return (
        artifact,
        (outputs, timing),
        (accuracy, judge_latency(cell, timing, LIMITS), judge_footprint(cell, artifact, timing, LIMITS)),
    )
