"""A child process, in a Python of its own or forked from one that holds its framework already."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Protocol

#: How often one who waits for a fork looks whether that still makes sense.
POLL_S = 0.2
LONGEST_REPLY = 100


class Process(Protocol):
    """A child, which leads a process group of its own."""

    pid: int
    stdout: IO[bytes]

    def poll(self) -> int | None:
        """How it ended, below zero by which signal; None while it runs."""

    def wait(self) -> int:
        """How it ended, when it has."""

    def release(self) -> None:
        """Let go of it, ended or not: what is left of its group ends."""


class NewProcess:
    """A child in a Python of its own."""

    def __init__(self, job: Path, log: IO[bytes], environment: Mapping[str, str]) -> None:
        read_end, self._held = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edgeworthy.variants.artifacts.child", str(job), str(read_end)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=dict(environment),
            start_new_session=True,
            pass_fds=[read_end],
        )
        os.close(read_end)
        assert self._process.stdout is not None
        self.pid, self.stdout = self._process.pid, self._process.stdout
        self.poll, self.wait = self._process.poll, self._process.wait

    def release(self) -> None:
        """Close the pipe that it ends with."""
        os.close(self._held)


class ForkedProcess:
    """A child that a fork server began: see :mod:`edgeworthy.variants.artifacts.fork_server` for what is exchanged."""

    def __init__(self, connection: socket.socket, pid: int, stdout: IO[bytes]) -> None:
        self.pid, self.stdout = pid, stdout
        self._connection = connection
        self._status: int | None = None
        self._reading = threading.Lock()

    def poll(self) -> int | None:
        """How it ended; as one that was killed if nobody is left to say so."""
        with self._reading:
            if self._status is None and _is_readable(self._connection, 0):
                self._status = int(self._connection.recv(LONGEST_REPLY) or -signal.SIGKILL)
            return self._status

    def wait(self) -> int:
        """How it ended, when it has."""
        while (status := self.poll()) is None:
            _is_readable(self._connection, POLL_S)
        return status

    def release(self) -> None:
        """Close the connection that it ends with."""
        self._connection.close()


def forked(
    connection: socket.socket, job: Path, log: IO[bytes], environment: Mapping[str, str], wanted: Callable[[], bool]
) -> ForkedProcess | None:
    """The child that the other end of ``connection`` forks; None if the server died, or when it is not ``wanted`` any more."""
    request = json.dumps({"job": str(job), "folder": str(Path.cwd()), "environment": dict(environment)})
    read_end, write_end = os.pipe()
    stdout = os.fdopen(read_end, "rb")
    try:
        with contextlib.closing(os.fdopen(write_end, "wb")) as theirs:
            socket.send_fds(connection, [request.encode()], [theirs.fileno(), log.fileno()])
        while wanted() and not _is_readable(connection, POLL_S):
            pass
        number = connection.recv(LONGEST_REPLY, socket.MSG_DONTWAIT)
    except OSError:
        number = b""
    if number:
        return ForkedProcess(connection, int(number), stdout)
    stdout.close()
    connection.close()
    return None


def _is_readable(connection: socket.socket, seconds: float) -> bool:
    return bool(select.select([connection], [], [], seconds)[0])
