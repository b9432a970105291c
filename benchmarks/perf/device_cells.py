"""Warm cells on the lab's phone and pi: what goes over the link again, and the harness's own time beside the device's.

A job on the device is waited for by one command that blocks there; that wait, less a command's round trip, is the
device's time. All else of a cell is the harness's own: locks, readings, looking at files, starting jobs, fetching.
"""

import contextlib
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from finding import Finding
from sides import ROOT

from harness.measurements.bench import Bench
from harness.measurements.project import Project, Selection
from harness.storage import open_store
from harness.targets import device_jobs
from harness.targets.links.adb import AdbLink
from harness.targets.links.ssh import SshLink

sys.path.append(str(ROOT))
from tests.lab import build
from tests.lab.run import lab_devices, set_up

LINKS = {"phone:cpu": AdbLink, "pi:cpu": SshLink}
VARIANTS = ("fp32", "int8")
RUNS = 5
MOST_S = 0.5


@dataclass
class Traffic:
    """What one run asked of a link: bytes pushed, seconds of waiting for jobs, and how often it waited."""

    pushed_bytes: int = 0
    waited_s: float = 0.0
    waits: int = 0


def measure():
    """Bytes of a second run, and seconds a cell; nothing, with the reason, where the lab is not built."""
    for tier in (build.PHONE, build.PI):
        if reason := tier.missing():
            print(f"  skipped: the lab's {tier.title}: {reason}")
            return
    with tempfile.TemporaryDirectory() as name, lab_devices(Path(name)) as devices_yaml:
        set_up(devices_yaml)
        project = Project.load(ROOT / "benchmarks" / "models.yaml", devices_yaml)
        for target, link in LINKS.items():
            _run(project, target, link, Path(name) / "first")
            again = [_run(project, target, link, Path(name) / f"again{index}") for index in range(RUNS)]
            traffic = [traffic for _, traffic in again]
            yield Finding(f"pushed by a second run, {target}", max(each.pushed_bytes for each in traffic), "bytes",
                          f"{RUNS} unchanged runs of {len(VARIANTS)} cells", most=0)  # fmt: skip
            own_s = [own_s for own_s, _ in again]
            device_s = statistics.median(each.waited_s for each in traffic) / len(VARIANTS)
            told = f"least of {RUNS} runs; median {statistics.median(own_s):.3f} s, and {device_s:.1f} s on the device"
            yield Finding(f"harness's own time, a warm cell of {target}", min(own_s), "s", told, most=MOST_S)


def _run(project, target, link, folder):
    """Own seconds a cell of a run, outputs and timing of every cell, and its traffic."""
    planned = project.cells(Selection(models=("cnn",), variants=VARIANTS, targets=(target,)))
    store = open_store(ROOT / ".edgegate")
    with contextlib.closing(Bench(project, store, folder, planned, lambda text: print(f"  {text}"))) as bench:
        for cell in planned:
            bench.artifact(cell.model, cell.variant)
        with _counted(link) as traffic:
            start = time.perf_counter()
            for cell in planned:
                bench.outputs(cell)
                bench.timing(cell)
            seconds = time.perf_counter() - start
        round_trip_s = _round_trip_s(bench.targets[target])
    return (seconds - traffic.waited_s + traffic.waits * round_trip_s) / len(planned), traffic


@contextlib.contextmanager
def _counted(link):
    """The traffic of all links of this class meanwhile."""
    traffic, run, push = Traffic(), link.run, link.push

    def counted_run(self, words, timeout_s):
        start = time.perf_counter()
        done = run(self, words, timeout_s)
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
