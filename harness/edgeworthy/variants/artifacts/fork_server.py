"""A process that has imported one framework, and forks for each child that needs it.

Importing TensorFlow takes seconds, as long as converting a small model. A fork of a process that holds it begins at once, and
may crash, hang or be killed like a process that imported it itself. The server computes nothing, so that no thread of the
framework's runs when it forks.

:mod:`edgeworthy.variants.artifacts.fork_servers` starts it with what it holds, its socket and a pipe. It ends when nobody holds
the pipe's other end any more, or has asked for anything for a while::

    python -m edgeworthy.variants.artifacts.fork_server tensorflow lean SOCKET PIPE

A connection is one child: its request, {"job": a file, "folder", "environment"} with its standard output and error as open files,
then the replies: its process number, and at last how it ended, as ``os.waitstatus_to_exitcode`` gives it. Whoever closes the
connection ends the child and all that it started.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import random
import select
import signal
import socket
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from edgeworthy.variants.artifacts import child
from edgeworthy.variants.artifacts.fork_servers import LEAN
from edgeworthy.variants.artifacts.frameworks import FRAMEWORKS, keep_apart

LONGEST_REQUEST = 1 << 20
#: A server that nobody has asked for so long gives its memory back.
IDLE_S = 60.0


def main(arguments: list[str]) -> None:
    """Go to the background once the socket is there; serve, and in a fork do its job."""
    name, kind, address, pipe = arguments
    framework = next(each for each in FRAMEWORKS if each == name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(address)
        listener.listen()  # whoever comes now waits until the framework is there
        if _fork():
            return
        os.setsid()
        alive = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        child.quiet_libraries()
        keep_apart(framework, lean=kind == LEAN)
        importlib.import_module(framework)
        gc.freeze()  # what is not looked at is not copied
        request = _serve(listener, alive)
    if request is None:
        Path(address).unlink()
    else:
        _become(request)


def _serve(listener: socket.socket, alive: int) -> dict[str, Any] | None:
    """Fork for each connection. In a fork: its request; in the server: None, when it is not needed any more."""
    while True:
        ready, _, _ = select.select([listener.fileno(), alive], [], [], IDLE_S)
        _collect()
        if listener.fileno() not in ready:
            return None
        connection, _ = listener.accept()
        with connection:
            if _fork() == 0:
                listener.close()
                os.close(alive)
                return _forked(connection)


def _collect() -> None:
    """Let go of the forks that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _forked(connection: socket.socket) -> dict[str, Any]:
    """The request, in the child that does it; the process between it and the server watches it and ends with it."""
    message, outputs, _, _ = socket.recv_fds(connection, LONGEST_REQUEST, 2)
    if not message:
        os._exit(0)
    if number := _fork():
        for file in outputs:
            os.close(file)
        _watch(number, connection)
    connection.close()
    os.setsid()
    for stream, file in enumerate(outputs, start=1):
        os.dup2(file, stream)
        os.close(file)
    request: dict[str, Any] = json.loads(message)
    return request


def _watch(number: int, connection: socket.socket) -> NoReturn:
    """Report the child's number and its end. It is let go of last: until then nobody else gets its number."""
    try:
        connection.send(str(number).encode())
        process = os.pidfd_open(number)
        ready, _, _ = select.select([connection.fileno(), process], [], [])
        if process in ready:
            ended = os.waitid(os.P_PID, number, os.WEXITED | os.WNOWAIT)
            assert ended is not None
            code = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
            connection.send(str(code).encode())
            connection.recv(1)
    finally:
        try:
            os.killpg(number, signal.SIGKILL)
        finally:
            os._exit(0)


def _fork() -> int:
    with warnings.catch_warnings(
        action="ignore"
    ):  # of Python 3.12 and later, for the threads that allocators and BLAS keep
        return os.fork()


def _become(request: dict[str, Any]) -> None:
    """Do the job as a new process would, in its folder and environment."""
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    child.quiet_libraries()
    time.tzset()
    tempfile.tempdir = None
    sys.path[0] = request["folder"]
    importlib.invalidate_caches()
    random.seed()
    np.random.seed()
    child.do(json.loads(Path(request["job"]).read_text(encoding="utf-8")))


if __name__ == "__main__":
    main(sys.argv[1:])
