"""The process that converts: how it ends, what is said of it, and that it holds one framework."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from edgeworthy.config import Timeouts
from edgeworthy.errors import ConfigError, ConversionCrashed
from edgeworthy.variants.artifacts.child_process import MEMORY_VARIABLE, child_events

from tests.waiting import until

WITHIN_2_MINUTES = Timeouts(conversion_s=120)
TRAINERS = """
import ctypes, os, subprocess, sys, time
from pathlib import Path

def aborting(splits, out, progress):
    print("the last words", file=sys.stderr, flush=True)
    os.abort()

def reading_nothing(splits, out, progress):
    ctypes.string_at(0)

def in_a_library(splits, out, progress):
    import crashing
    crashing.crash()

def exiting(splits, out, progress):
    os._exit(3)

def hanging(splits, out, progress):
    grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(__file__).with_name("grandchild").write_text(str(grandchild.pid))
    progress("hangs")
    time.sleep(600)

def leaving(splits, out, progress):
    grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(__file__).with_name("grandchild").write_text(str(grandchild.pid))
    out.write_bytes(b"weights")

def growing(splits, out, progress):
    held = []
    while True:
        held.append(bytearray(50_000_000))
        time.sleep(0.05)

def of_two_frameworks(splits, out, progress):
    import tensorflow
    import torch
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Trainers, a library that crashes, and packages that are called as the frameworks are."""
    (tmp_path / "trainers.py").write_text(TRAINERS)
    site = tmp_path / "site-packages"
    for name in ("tensorflow", "torch"):
        (site / name).mkdir(parents=True)
        (site / name / "__init__.py").touch()
    (site / "crashing").mkdir()
    (site / "crashing" / "__init__.py").write_text("import os\ndef crash():\n    os.kill(os.getpid(), 11)\n")
    monkeypatch.setenv("PYTHONPATH", str(site))
    return tmp_path


def job_of(folder: Path, trainer: str) -> dict[str, Any]:
    return {
        "action": "train",
        "trainer": f"trainers.py:{trainer}",
        "base_dir": str(folder),
        "splits": {},
        "out": str(folder / "weights"),
    }


def crash_of(folder: Path, trainer: str, seconds: float = 120) -> ConversionCrashed:
    with pytest.raises(ConversionCrashed) as caught:
        list(child_events(job_of(folder, trainer), Timeouts(conversion_s=seconds)))
    return caught.value


def grandchild(folder: Path) -> int:
    return int((folder / "grandchild").read_text())


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_killed_child_names_the_signal_and_whose_code_ran(folder: Path) -> None:
    """A library by its name, a user's file with the line; the log keeps what was printed and faulthandler's trace."""
    aborted = crash_of(folder, "aborting")
    assert aborted.message == "the converter was killed by SIGABRT in trainers.py:7"
    assert "the last words" in aborted.log_tail
    assert "Fatal Python error: Aborted" in aborted.log_tail
    assert "line 7 in aborting" in aborted.log_tail
    assert "Extension modules" not in aborted.log_tail
    assert crash_of(folder, "reading_nothing").message == "the converter was killed by SIGSEGV in trainers.py:10"
    assert crash_of(folder, "in_a_library").message == "the converter was killed by SIGSEGV in crashing"
    assert crash_of(folder, "exiting").message == "the converter exited with status 3"


def test_whatever_a_child_started_ends_with_it(folder: Path) -> None:
    """After a hang that was timed out, and after a child that ended well."""
    hung = crash_of(folder, "hanging", seconds=5)
    assert hung.message == "the converter did not finish within 5 s and was killed"
    assert hung.timed_out
    until(lambda: is_gone(grandchild(folder)))
    assert [event["event"] for event in child_events(job_of(folder, "leaving"), WITHIN_2_MINUTES)] == ["made"]
    until(lambda: is_gone(grandchild(folder)))


def test_whatever_a_child_started_ends_with_the_run(folder: Path) -> None:
    """The run is killed, as an out-of-memory killer does it: it runs no cleanup."""
    code = (
        "from edgeworthy.config import Timeouts\n"
        "from edgeworthy.variants.artifacts.child_process import child_events\n"
        f"list(child_events({job_of(folder, 'hanging')!r}, Timeouts(conversion_s=600)))"
    )
    run = subprocess.Popen([sys.executable, "-c", code])
    until((folder / "grandchild").exists)
    until(lambda: (folder / "grandchild").read_text() != "")
    children = psutil.Process(run.pid).children(recursive=True)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    for child in children:
        until(lambda child=child: is_gone(child.pid))  # type: ignore[misc]
    until(lambda: is_gone(grandchild(folder)))


def test_a_child_that_takes_too_much_memory_is_ended_with_a_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence has what was used and the limit; the hint names the variable, whose value is checked."""
    monkeypatch.setenv(MEMORY_VARIABLE, "0.4")
    grown = crash_of(folder, "growing")
    assert grown.message.endswith("GB of memory, more than the 0.4 GB that it may, and was killed")
    assert MEMORY_VARIABLE in grown.hint
    monkeypatch.setenv(MEMORY_VARIABLE, "much")
    with pytest.raises(ConfigError, match="EDGE_CONVERSION_MEMORY_GB=much is no positive number"):
        list(child_events(job_of(folder, "growing"), Timeouts(conversion_s=60)))


def test_a_process_holds_one_framework(folder: Path) -> None:
    """The second one is an error that names the file and the line that imports it."""
    (failed,) = child_events(job_of(folder, "of_two_frameworks"), WITHIN_2_MINUTES)
    assert failed["error_type"] == "FrameworkClash"
    assert failed["message"] == (f"{folder / 'trainers.py'}:38 imports torch in a process that holds tensorflow")


def test_keras_starts_without_scikit_learn_where_no_users_code_runs():
    """Only Keras' wrappers do without it; whoever else imports it gets it."""
    code = (
        "import sys\n"
        "from edgeworthy.variants.artifacts.frameworks import keep_apart\n"
        "keep_apart('tensorflow', lean=True)\n"
        "import keras\n"
        "assert keras.layers.Dense(2) is not None and 'sklearn' not in sys.modules\n"
        "import sklearn.datasets\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
