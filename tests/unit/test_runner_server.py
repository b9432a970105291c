"""The pipe to a runner server loses no line, however its lines come."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from edgeworthy.runtimes import RUNTIMES
from edgeworthy.targets.runner_server import RunnerServer


def server_saying(said: bytes) -> tuple[RunnerServer, SimpleNamespace]:
    """A server whose process has already said all that it will say."""
    reading, writing = os.pipe()
    os.write(writing, said)
    os.close(writing)
    return RunnerServer(RUNTIMES["onnxruntime"]), SimpleNamespace(stdout=os.fdopen(reading, "rb", buffering=0))


def test_two_lines_in_one_read_are_two_replies():
    """A child that ends before its start was read (a busy core) is answered for at once, not after the time limit."""
    server, process = server_saying(b'{"pid": 7}\n{"status": 0}\n')
    with process.stdout:
        assert server._answer(process, 5) == {"pid": 7}
        assert server._answer(process, 5) == {"status": 0}


def test_closed_pipe_and_silence_are_distinguished():
    """A server that is gone, and one that says nothing in time."""
    server, process = server_saying(b'{"pid"')
    with process.stdout, pytest.raises(EOFError):
        server._answer(process, 5)
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as silent, os.fdopen(writing, "wb"), pytest.raises(TimeoutError):
        RunnerServer(RUNTIMES["onnxruntime"])._answer(SimpleNamespace(stdout=silent), 0.05)
