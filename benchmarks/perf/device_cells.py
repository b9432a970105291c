"""Warm cells on the lab's phone and pi: what goes over the link again, and the harness's own time beside the device's.

A job on the device is waited for by one command that blocks there; that wait, less a command's round trip, is the
device's time. All else of a cell is the harness's own: locks, readings, looking at files, starting jobs, fetching.
"""

import contextlib
import dataclasses
import statistics
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

from edgeworthy.cells import CellSelector
from edgeworthy.config import LatencyPlan
from edgeworthy.measurements.bench import Bench
from edgeworthy.measurements.project import Project
from edgeworthy.runs.journal import Journal
from edgeworthy.storage import open_store
from edgeworthy.targets import device_jobs
from edgeworthy.targets.links.adb import AdbLink
from edgeworthy.targets.links.ssh import SshLink
from finding import Finding
from sides import ROOT

sys.path.append(str(ROOT))
from tests.lab import build
from tests.lab.run import lab_devices, set_up

LINKS = {"phone:cpu": AdbLink, "pi:cpu": SshLink}
VARIANTS = ("fp32", "dynamic_int8", "float16", "weight_only_int8", "int8")
#: What runs on the device is not what is measured here.
PLAN = LatencyPlan(loads=3, samples_per_load=10, min_load_ms=0)
MOST_S = 0.5


@dataclasses.dataclass
class Traffic:
    """What one cell asked of a link: bytes pushed, calls, seconds of waiting for jobs, and how often it waited."""

    pushed_bytes: int = 0
    calls: int = 0
    waited_s: float = 0.0
    waits: int = 0
    seconds: float = 0.0
    round_trip_s: float = 0.0

    @property
    def own_s(self):
        """Seconds of the cell in which the device did not work on a job."""
        return self.seconds - self.waited_s + self.waits * self.round_trip_s


def measure():
    """Bytes of a second run, and seconds a cell; nothing, with the reason, where the lab is not built."""
    for tier in (build.PHONE, build.PI):
        if reason := tier.missing():
            print(f"  skipped: the lab's {tier.title}: {reason}")
            return
    with tempfile.TemporaryDirectory() as name, lab_devices(Path(name)) as devices_yaml:
        set_up(devices_yaml)
        loaded = Project.load(ROOT / "benchmarks" / "models.yaml", devices_yaml)
        project = dataclasses.replace(loaded, models=loaded.models.model_copy(update={"latency": PLAN}))
        for target, link in LINKS.items():
            _run(project, target, link, Path(name) / "first")
            opening, *cells = _run(project, target, link, Path(name) / "second")
            pushed = sum(each.pushed_bytes for each in (opening, *cells))
            yield Finding(f"pushed by a second run, {target}", pushed, "bytes", f"{len(cells) + 1} cells", most=0)
            own_s = [each.own_s for each in cells]
            told = (
                f"median of {len(cells)}, {min(own_s):.3f} to {max(own_s):.3f} s; opening "
                f"{opening.own_s - statistics.median(own_s):.2f} s a run; {cells[0].calls} commands a cell; "
                f"{cells[0].waited_s:.1f} s on the device"
            )
            yield Finding(
                f"harness's own time, a warm cell of {target}", statistics.median(own_s), "s", told, most=MOST_S
            )


def _run(project, target, link, folder):
    """The traffic of every cell of a run, outputs and timing; the first one also opens the device."""
    planned = project.cells(CellSelector(models=("cnn",), variants=VARIANTS, targets=(target,)))
    store = open_store(ROOT / ".edgeworthy")
    with contextlib.closing(Bench(project, store, Journal(folder), planned, lambda text: print(f"  {text}"))) as bench:
        for cell in planned:
            bench.artifact(cell.model, cell.variant)
        return [_measured(bench, cell, link) for cell in planned]


def _measured(bench, cell, link):
    with _counted(link) as traffic:
        start = time.perf_counter()
        bench.outputs(cell)
        bench.timing(cell)
        traffic.seconds = time.perf_counter() - start
    traffic.round_trip_s = _round_trip_s(bench.targets[cell.target])
    return traffic


@contextlib.contextmanager
def _counted(link):
    """The traffic of all links of this class meanwhile."""
    traffic, run, push = Traffic(), link.run, link.push

    def counted_run(self, words, timeout_s):
        start = time.perf_counter()
        done = run(self, words, timeout_s)
        traffic.calls += 1
        if device_jobs.WAIT in words:
            traffic.waited_s += time.perf_counter() - start
            traffic.waits += 1
        return done

    def counted_push(self, local, remote):
        traffic.pushed_bytes += local.stat().st_size
        push(self, local, remote)

    with mock.patch.object(link, "run", counted_run), mock.patch.object(link, "push", counted_push):
        yield traffic


def _round_trip_s(target):
    """Of a command over the target's link."""
    link = target.board.link if hasattr(target, "board") else target.link
    start = time.perf_counter()
    link.run(["true"], 10)
    return time.perf_counter() - start
