"""The process that converts: how it ends, what is said of it, and that it holds one framework."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from edgeworthy.config import Timeouts
from edgeworthy.errors import ConfigError, ConversionCrashed
from edgeworthy.variants.artifacts.child_process import MEMORY_VARIABLE, Children
from edgeworthy.variants.artifacts.fork_servers import FOLDER_VARIABLE, SERVER, ForkServers

from tests.waiting import until

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

def writing_the_environment(splits, out, progress):
    import tensorflow
    out.write_text(os.environ["EDGE_OF_A_TEST"])

def of_two_frameworks(splits, out, progress):
    import tensorflow
    import torch
"""

#: Every import of it is a line of a file.
TENSORFLOW = """
from pathlib import Path
with (Path(__file__).parents[2] / "imported").open("a") as file:
    file.write("tensorflow\\n")
"""


@pytest.fixture(params=[None, "tensorflow"], ids=["new", "forked"])
def framework(request: pytest.FixtureRequest) -> str | None:
    """A child in a Python of its own, or one that is forked from a process that holds the framework."""
    return request.param


@pytest.fixture
def fork_servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[ForkServers]:
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    servers = ForkServers()
    yield servers
    servers.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Trainers, a library that crashes, and packages that are called as the frameworks are."""
    (tmp_path / "trainers.py").write_text(TRAINERS)
    site = tmp_path / "site-packages"
    for name in ("tensorflow", "torch"):
        (site / name).mkdir(parents=True)
        (site / name / "__init__.py").touch()
    (site / "tensorflow" / "__init__.py").write_text(TENSORFLOW)
    (site / "crashing").mkdir()
    (site / "crashing" / "__init__.py").write_text("import os\ndef crash():\n    os.kill(os.getpid(), 11)\n")
    monkeypatch.setenv("PYTHONPATH", str(site), prepend=os.pathsep)
    return tmp_path


def job_of(folder: Path, trainer: str, framework: str | None = None) -> dict[str, Any]:
    return {
        "action": "train",
        "framework": framework,
        "trainer": f"trainers.py:{trainer}",
        "base_dir": str(folder),
        "splits": {},
        "out": str(folder / "weights"),
    }


def events_of(job: dict[str, Any], fork_servers: ForkServers, seconds: float = 120) -> list[dict[str, Any]]:
    return list(Children(Timeouts(conversion_s=seconds), fork_servers).events(job))


def crash_of(job: dict[str, Any], fork_servers: ForkServers, seconds: float = 120) -> ConversionCrashed:
    with pytest.raises(ConversionCrashed) as caught:
        events_of(job, fork_servers, seconds)
    return caught.value


def servers_of(folder: Path) -> list[psutil.Process]:
    """The fork servers that import from the folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if SERVER in process.cmdline() and str(folder) in process.environ().get("PYTHONPATH", ""):
                found.append(process)
    return found


def grandchild(folder: Path) -> int:
    return int((folder / "grandchild").read_text())


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_killed_child_names_the_signal_and_whose_code_ran(
    folder: Path, framework: str | None, fork_servers: ForkServers
) -> None:
    """A library by its name, a user's file with the line; the log keeps what was printed and faulthandler's trace."""

    def crash(trainer: str) -> ConversionCrashed:
        return crash_of(job_of(folder, trainer, framework), fork_servers)

    aborted = crash("aborting")
    assert aborted.message == "the converter was killed by SIGABRT in trainers.py:7"
    assert "the last words" in aborted.log_tail
    assert "Fatal Python error: Aborted" in aborted.log_tail
    assert "line 7 in aborting" in aborted.log_tail
    assert "Extension modules" not in aborted.log_tail
    assert crash("reading_nothing").message == "the converter was killed by SIGSEGV in trainers.py:10"
    assert crash("in_a_library").message == "the converter was killed by SIGSEGV in crashing"
    assert crash("exiting").message == "the converter exited with status 3"


def test_whatever_a_child_started_ends_with_it(folder: Path, framework: str | None, fork_servers: ForkServers) -> None:
    """After a hang that was timed out, and after a child that ended well."""
    hung = crash_of(job_of(folder, "hanging", framework), fork_servers, seconds=5)
    assert hung.message == "the converter did not finish within 5 s and was killed"
    assert hung.timed_out
    until(lambda: is_gone(grandchild(folder)))
    assert [event["event"] for event in events_of(job_of(folder, "leaving", framework), fork_servers)] == ["made"]
    until(lambda: is_gone(grandchild(folder)))


def test_whatever_a_child_started_ends_with_the_run(
    folder: Path, framework: str | None, fork_servers: ForkServers
) -> None:
    """The run is killed, as an out-of-memory killer does it: it runs no cleanup."""
    code = (
        "from edgeworthy.config import Timeouts\n"
        "from edgeworthy.variants.artifacts.child_process import Children\n"
        "from edgeworthy.variants.artifacts.fork_servers import ForkServers\n"
        f"list(Children(Timeouts(conversion_s=600), ForkServers()).events({job_of(folder, 'hanging', framework)!r}))"
    )
    run = subprocess.Popen([sys.executable, "-c", code])
    until((folder / "grandchild").exists)
    until(lambda: (folder / "grandchild").read_text() != "")
    children = [*psutil.Process(run.pid).children(recursive=True), *servers_of(folder)]
    assert len(children) > (framework is not None)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    for child in children:
        until(lambda child=child: is_gone(child.pid))  # type: ignore[misc]
    until(lambda: is_gone(grandchild(folder)))


def test_a_child_that_takes_too_much_memory_is_ended_with_a_sentence(
    folder: Path, framework: str | None, fork_servers: ForkServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence has what was used and the limit; the hint names the variable, whose value is checked."""
    monkeypatch.setenv(MEMORY_VARIABLE, "0.4")
    grown = crash_of(job_of(folder, "growing", framework), fork_servers)
    assert grown.message.endswith("GB of memory, more than the 0.4 GB that it may, and was killed")
    assert MEMORY_VARIABLE in grown.hint
    monkeypatch.setenv(MEMORY_VARIABLE, "much")
    with pytest.raises(ConfigError, match="EDGE_CONVERSION_MEMORY_GB=much is no positive number"):
        events_of(job_of(folder, "growing", framework), fork_servers)


def test_a_process_holds_one_framework(folder: Path, framework: str | None, fork_servers: ForkServers) -> None:
    """The second one is an error that names the file and the line that imports it."""
    (failed,) = events_of(job_of(folder, "of_two_frameworks", framework), fork_servers)
    assert failed["error_type"] == "FrameworkClash"
    assert failed["message"] == (f"{folder / 'trainers.py'}:42 imports torch in a process that holds tensorflow")


def test_children_of_one_framework_import_it_once(
    folder: Path, fork_servers: ForkServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless what it may read while it is imported has changed; each child has the environment of its own time."""
    job = job_of(folder, "writing_the_environment", "tensorflow")
    for value in ("first", "second"):
        monkeypatch.setenv("EDGE_OF_A_TEST", value)
        assert [event["event"] for event in events_of(job, fork_servers)] == ["made"]
        assert (folder / "weights").read_text() == value
    assert (folder / "imported").read_text().split() == ["tensorflow"]
    monkeypatch.setenv("TF_OF_A_TEST", "1")
    events_of(job, fork_servers)
    assert (folder / "imported").read_text().split() == ["tensorflow"] * 2
    servers = servers_of(folder)
    assert servers
    fork_servers.close()
    for server in servers:
        until(lambda server=server: is_gone(server.pid))  # type: ignore[misc]


def test_a_framework_that_ends_its_fork_server_is_left_to_the_child(folder: Path, fork_servers: ForkServers) -> None:
    """What is wrong is then reported as that of a child in a Python of its own."""
    (folder / "site-packages" / "tensorflow" / "__init__.py").write_text("import os\nos.abort()\n")
    crashed = crash_of(job_of(folder, "of_two_frameworks", "tensorflow"), fork_servers)
    assert crashed.message == "the converter was killed by SIGABRT in tensorflow"
    assert [event["event"] for event in events_of(job_of(folder, "leaving", "tensorflow"), fork_servers)] == ["made"]


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
