"""Start the child process that trains or converts, and read what it tells.

TensorFlow and torch are imported only there: a converter that crashes, hangs or eats the memory takes the child,
and the process that measures stays lean.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import ConversionCrashed
from harness.storage import log_tail, write_json

Event = dict[str, Any]


def child_events(job: dict[str, Any], timeout_s: float) -> Iterator[Event]:
    """Run one job in a child process and yield its events as they come.

    Raises ConversionCrashed, with the end of the child's log, when it died or had to be killed after ``timeout_s``.
    """
    with tempfile.TemporaryDirectory(prefix="edgegate-convert-") as name:
        folder = Path(name)
        write_json(folder / "job.json", job)
        with (folder / "log.txt").open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "harness.variants.child", str(folder / "job.json")],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "TMPDIR": name, "CUDA_VISIBLE_DEVICES": ""},
            )
        timed_out = threading.Event()

        def kill() -> None:
            timed_out.set()
            child.kill()

        timer = threading.Timer(timeout_s, kill)
        timer.start()
        try:
            assert child.stdout is not None
            with child.stdout:
                for line in child.stdout:
                    yield json.loads(line)
            status = child.wait()
        finally:
            timer.cancel()
            child.kill()
            child.wait()
        if status != 0:
            raise _crash(status, timeout_s if timed_out.is_set() else None, folder / "log.txt")


def _crash(status: int, timeout_s: float | None, log: Path) -> ConversionCrashed:
    tail = log_tail(log)
    if timeout_s is not None:
        return ConversionCrashed(
            f"the converter did not finish within {timeout_s:g} s and was killed",
            next_step="raise timeouts.conversion_s in models.yaml",
            log_tail=tail,
        )
    how = f"was killed by signal {-status}" if status < 0 else f"exited with status {status}"
    return ConversionCrashed(f"the converter {how}", next_step="see the end of its log", log_tail=tail)
