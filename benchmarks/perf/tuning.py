"""``edgeworthy tune`` on the embedded MobileNet, of which it knows the reference alone, beside the variants written by hand.

From an empty store: the model is trained first, which counts.
"""

import dataclasses
import sys
import tempfile
import time
from pathlib import Path

from edgeworthy.measurements.project import Project
from edgeworthy.storage import open_store
from edgeworthy.tuning.choice import recommended
from edgeworthy.tuning.search import Clock, Search
from finding import Finding
from sides import ROOT

MODEL, TARGET = "mobilenet", "host:cpu"
#: What a search may take in all, and what it is given: a measurement that has begun is not cut off.
MOST_S, GIVEN_S = 300.0, 290.0
#: The same artifact timed twice within minutes differs by so much here; see docs/gate.md.
NOISE = 1.05


def measure():
    """Seconds of the search, and what it recommends over the best that a person wrote: size, and time."""
    project = Project.load(ROOT / "benchmarks" / "models.yaml", ROOT / "devices.yaml")
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder))
        start = time.perf_counter()
        found = recommended(_searched(_reference_alone(project), store, GIVEN_S))
        seconds = time.perf_counter() - start
        by_hand = [one for one in _searched(project, store, 10 * MOST_S) if one.candidate.own]
    best = recommended([one for one in by_hand if not one.candidate.reference])
    yield Finding("tune from an empty store", seconds, "s", f"recommends {found.candidate.name}", most=MOST_S)
    for name, axis, most in (("size", 0, 1.0), ("p50", 1, NOISE)):
        ours, theirs = found.axes[axis], best.axes[axis]
        told = f"{ours:.4g} over {theirs:.4g} of {best.candidate.name}"
        yield Finding(f"{name} of what tune recommends, over the best by hand", ours / theirs, "ratio", told, most=most)


def _reference_alone(project):
    entry = project.models.models[MODEL]
    alone = entry.model_copy(update={"variants": {entry.reference: entry.variants[entry.reference]}})
    models = project.models.model_copy(update={"models": {MODEL: alone}})
    return dataclasses.replace(project, models=models)


def _searched(project, store, seconds):
    search = Search(project, store, MODEL, TARGET, Clock(seconds, lambda text: print(f"  {text}", file=sys.stderr)))
    search.run()
    return search.tried
