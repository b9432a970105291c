"""Whole runs of ``pytest benchmarks/`` on the lab's devices, and what is seen of them from outside."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.integration.conftest import Project
from tests.lab.phone import Phone

LITE = ("--edge-model", "lite")
HOST, PHONE, PI = ("--edge-target", "host:cpu"), ("--edge-target", "phone:*"), ("--edge-target", "pi:*")
#: Every run must have ended by then, faults and waiting included; alone on two cores it takes seconds.
LIMIT_S = 300
GREEN = {"fp32": "pass", "canary": "rejected"}


def device(project: Project, name: str) -> dict[str, Any]:
    """A device's entry in devices.yaml."""
    entry: dict[str, Any] = project.devices["devices"][name]
    return entry


def run(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A run of the small .tflite model, to its end."""
    return project.run(*LITE, "-k", "accuracy or latency or canary", *arguments, timeout=LIMIT_S)


@contextlib.contextmanager
def started(project: Project, log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Such a run that goes on beside the block, at most to its end; what it prints is at once in ``log``."""
    project.write()
    with (
        log.open("wb") as sink,
        subprocess.Popen(
            project.command(*LITE, *arguments),
            cwd=project.root,
            env={**project.environment(), "PYTHONUNBUFFERED": "1"},
            stdout=sink,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def of_target(project: Project, target: str) -> dict[str, str]:
    """Variant -> status of the newest run's cells on a target."""
    return {
        cell.split("/")[1]: status for cell, status in project.statuses().items() if cell.rpartition("/")[2] == target
    }


def working(phone: Phone) -> Callable[[], bool]:
    """Whether a job runs on the phone."""
    jobs = phone.work / "edgeworthy" / "jobs"
    return lambda: any(jobs.glob("*/pid"))
