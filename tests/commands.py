"""Commands as a user starts them, each in a process of its own: pytest, and edgeworthy's own."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from edgeworthy.variants.artifacts.fork_servers import FOLDER_VARIABLE, fork_server_folder

Ended = subprocess.CompletedProcess[str]

EDGEWORTHY = str(Path(sys.executable).with_name("edgeworthy"))
PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:timeout")
FORK_SERVER = Path(__file__).with_name("fork_server.py")


def edgeworthy(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None, timeout: float = 300) -> Ended:
    """A command of edgeworthy in a folder."""
    return ended([EDGEWORTHY, *arguments], cwd, env, timeout)


def ended(
    command: list[str], cwd: Path, env: Mapping[str, str] | None = None, timeout: float = 300, new_python: bool = False
) -> Ended:
    """The command when it has ended, both outputs as text. Raises subprocess.TimeoutExpired.

    A module or a script of Python begins in a fork of a process that has pandas and its kin loaded, which saves about a second;
    it gets a new Python where a test asks what it loads, and where its environment decides how Python itself starts.
    """
    environment = {**(os.environ if env is None else env), FOLDER_VARIABLE: str(_framework_servers())}
    words = command[1:] if command[0] == sys.executable else command
    if not new_python and words[0] in ("-m", EDGEWORTHY) and (server := _fork_server()).fits(environment):
        code, output, error = server.run(words, cwd, environment, timeout)
        return subprocess.CompletedProcess(command, code, output, error)
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )


@functools.lru_cache(maxsize=1)
def _framework_servers() -> Path:
    """Where the runs of all tests find processes that hold TensorFlow or torch."""
    held = contextlib.ExitStack()
    atexit.register(held.close)
    return held.enter_context(fork_server_folder())


@functools.lru_cache(maxsize=1)
def _fork_server() -> _ForkServer:
    return _ForkServer()


class _ForkServer:
    """The process of tests/fork_server.py; it ends with this one."""

    def __init__(self) -> None:
        self._environment = _read_at_start(os.environ)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._sending = threading.Lock()
        with theirs:
            self._process = subprocess.Popen([sys.executable, str(FORK_SERVER)], stdin=theirs, cwd="/")

    def fits(self, environment: Mapping[str, str]) -> bool:
        """Whether a command with this environment can begin in a fork."""
        return _read_at_start(environment) == self._environment

    def run(self, words: list[str], cwd: Path, environment: dict[str, str], timeout: float) -> tuple[int, str, str]:
        """Exit code and both outputs. Raises subprocess.TimeoutExpired."""
        request = json.dumps({"words": words, "folder": str(cwd), "environment": environment}).encode()
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as error:
            receiver, sender = os.pipe()
            with os.fdopen(receiver, "rb") as status:
                with os.fdopen(sender, "wb"), self._sending:
                    socket.send_fds(self._control, [request], [output.fileno(), error.fileno(), sender])
                guard = _Guard(int(status.readline()), timeout)
                code = int(status.readline())
                expired = guard.ends()
            said = [_read(file) for file in (output, error)]
        if expired:
            raise subprocess.TimeoutExpired(words, timeout, *said)
        return code, *said


class _Guard:
    """Kills a process that takes too long."""

    def __init__(self, process: int, timeout: float) -> None:
        self._process = process
        self._expired = threading.Event()
        self._timer = threading.Timer(timeout, self._kill)
        self._timer.start()

    def ends(self) -> bool:
        """Whether it was killed."""
        self._timer.cancel()
        return self._expired.is_set()

    def _kill(self) -> None:
        self._expired.set()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process, signal.SIGKILL)


def _read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    """What is read when Python or numpy starts, and never again."""
    ends, begins = ("_NUM_THREADS",), ("PYTHON", "LC_", "LANG", "LD_")
    return {name: value for name, value in environment.items() if name.startswith(begins) or name.endswith(ends)}


def _read(file: TextIO) -> str:
    file.seek(0)
    return file.read()
