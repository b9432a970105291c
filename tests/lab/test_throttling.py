"""A device that throttles in the middle of a measurement and no longer at its end: found by telemetry samples, never a pass."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeworthy.cells import CellId
from edgeworthy.config import LatencyPlan
from edgeworthy.device_schema import Hygiene
from edgeworthy.measurements.interleaved import time_interleaved
from edgeworthy.measurements.preconditions import timed_when_ready
from edgeworthy.records import PairedTiming, Timing
from edgeworthy.runs.journal import Journal
from edgeworthy.targets.base import Side
from edgeworthy.targets.links.adb import AdbLink
from edgeworthy.targets.links.adb_transport import TcpConnection
from edgeworthy.targets.telemetry_samples import FILE, MARK

from tests.integration.conftest import Project
from tests.integration.test_android_target import job
from tests.lab.board import Board
from tests.lab.phone import Phone
from tests.lab.test_linux_boards import targets
from tests.lab.test_phone_target import PLAIN, STAND_IN, target_on

#: As on a Pi that has throttled since it was started; and while it does so again.
BEFORE, AGAIN = 0x40000, 0x40004
AGAIN_HYGIENE = Hygiene(settle_s=20, poll_s=0.1, remeasure=1)
#: Longer than two samples.
BOARD_PLAN = LatencyPlan(loads=3, samples_per_load=5, min_load_ms=1000, warmup=1)
PHONE_PLAN = LatencyPlan(loads=4, samples_per_load=5, min_load_ms=0, warmup=1)


@contextlib.contextmanager
def in_every_job(
    jobs: Path, begin: Callable[[], None], end: Callable[[], None], times: int = 99
) -> Iterator[list[Path]]:
    """Once a job has been looked at, ``begin`` until it has been looked at twice more; in the first so many jobs."""
    seen: list[Path] = []
    over = threading.Event()

    def count(folder: Path) -> int:
        with contextlib.suppress(OSError):
            return (folder / FILE).read_text().count(f"{MARK}\n")
        return 0

    def watch() -> None:
        while not over.wait(0.005):
            for folder in {path.parent for path in jobs.glob(f"*/{FILE}")} - {*seen}:
                if len(seen) < times and (samples := count(folder)):
                    seen.append(folder)
                    begin()
                    limit = time.monotonic() + 10
                    while count(folder) < samples + 2 and folder.exists() and time.monotonic() < limit:
                        time.sleep(0.002)
                    end()

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            yield seen
        finally:
            over.set()
            try:
                watching.result()
            finally:
                end()


def throttling_pi(pi: Board, work: Path, times: int = 99) -> contextlib.AbstractContextManager[list[Path]]:
    """The Pi of the lab, which throttles in the middle of its first so many jobs."""
    pi.telemetry.set(throttled=BEFORE)
    now, back = (lambda bits=bits: pi.telemetry.set(throttled=bits) for bits in (AGAIN, BEFORE))
    return in_every_job(work / "jobs", now, back, times)


@pytest.fixture
def board(pi: Board, tmp_path: Path) -> Iterator[tuple[Any, Path]]:
    """The Pi as a target, and its work folder."""
    work = tmp_path / "board"
    try:
        with targets(pi.devices_entry(work_folder=str(work), python=sys.executable)) as opened:
            yield opened["board:cpu"], work
    finally:
        pi.telemetry.set()


@pytest.mark.parametrize(("times", "trouble"), [(1, ""), (99, "throttled while it was measured, 2 times in a row")])
def test_pi_that_throttled_before_and_during_the_job(
    pi: Board, board: tuple[Any, Path], tmp_path: Path, times: int, trouble: str
) -> None:
    """The bits since boot are 0x40000 before and after; measured again, and where that is no better not comparable."""
    target, work = board
    asked, told = job(tmp_path), list[str]()
    with throttling_pi(pi, work, times) as jobs:
        found = timed_when_ready(target, AGAIN_HYGIENE, lambda: target.timing(asked, BOARD_PLAN), told.append)
    assert len(jobs) == min(times, 2)
    assert told == ["board: the device throttled while it was measured; measuring again"]
    assert trouble in found.conditions.invalid_reason
    assert bool(found.conditions.invalid_reason) == bool(trouble)
    states = [found.conditions.before, found.conditions.after]
    assert [(state["throttled"], state["throttled_since_boot"]) for state in states] == [(0, 4), (0, 4)]
    assert found.conditions.during["throttled"] == found.conditions.during["core_throttled"] == bool(trouble)
    assert found.conditions.during["telemetry_samples"] >= 3


def test_telemetry_is_sampled_during_a_comparison_too(pi: Board, board: tuple[Any, Path], tmp_path: Path) -> None:
    """Throttling within one block of rounds is in the conditions of the whole."""
    target, work = board
    asked = job(tmp_path)
    slow = Side(asked.artifact, injected_delay_ns=15_000_000)
    with throttling_pi(pi, work, times=1):
        found = time_interleaved(target, slow, slow, asked.inputs, lambda ratios, look: True, 60)
    assert isinstance(found, PairedTiming)
    assert len(found.baseline_ns) == 12
    assert found.conditions.during["throttled"] == 1
    assert found.conditions.after["throttled"] == 0


@pytest.mark.parametrize(("times", "trouble"), [(1, ""), (99, "throttled while it was measured, 2 times in a row")])
def test_a_phone_that_throttles_between_two_processes(phone: Phone, tmp_path: Path, times: int, trouble: str) -> None:
    """Neither before nor after, but after the second and third process: measured again, or not comparable."""
    work = f"{phone.disk}/throttling{times}"
    told, asked = list[str](), job(tmp_path)
    with contextlib.closing(AdbLink("phone", TcpConnection(phone.address, phone.port), phone.key)) as link:
        target = target_on(phone, link, STAND_IN, PLAIN, work)
        target.outputs(asked)  # everything lies there
        hot, cool = (lambda status=status: phone.telemetry.set(thermal_status=status) for status in (3, 0))
        with in_every_job(phone.work / Path(work).name / "jobs", hot, cool, times):
            found = timed_when_ready(target, AGAIN_HYGIENE, lambda: target.timing(asked, PHONE_PLAN), told.append)
    assert told == ["phone: the device throttled while it was measured; measuring again"]
    assert bool(found.conditions.invalid_reason) == bool(trouble)
    assert trouble in found.conditions.invalid_reason
    assert found.conditions.before["throttled"] == found.conditions.after["throttled"] == 0
    assert found.conditions.during["throttled"] == bool(trouble)
    assert found.conditions.during["telemetry_samples"] == 4
    assert np.array_equal(found.load_of, np.arange(4))


def test_cell_that_throttles_during_timing_never_passes(lab_project: Project, pi: Board) -> None:
    """Through ``pytest benchmarks/``: measured twice, red as not comparable, what was seen stored with the cell."""
    lab_project.models["latency"] = BOARD_PLAN.model_dump()
    entry = lab_project.devices["devices"]["pi"]
    entry["hygiene"] = AGAIN_HYGIENE.model_dump(exclude_none=True)
    work = pi.home / ".cache" / "edgeworthy"
    try:
        with throttling_pi(pi, work) as jobs:
            done = lab_project.run("--edge-model", "lite", "--edge-target", "pi:*", "-k", "latency", timeout=120)
    finally:
        pi.telemetry.set()
    assert done.returncode == 1, done.stdout
    assert "measuring again" in done.stdout
    assert lab_project.statuses()["lite/fp32/pi:cpu"] == "not comparable"
    assert "2 times in a row" in lab_project.message("fp32", "lite", "pi:cpu")
    timing = Journal(lab_project.root / "results" / "latest").find(Timing, CellId("lite", "fp32", "pi:cpu"))
    assert timing is not None
    assert timing.conditions.during["throttled"] == 1
    cells = lab_project.result().cells
    assert cells[cells.target == "pi:cpu"].throttled_during.max() == 1
    assert len(jobs) >= 2
