"""Starts Python commands without the second that importing pandas and its kin takes: forks, with them loaded already.

Run as a script by tests/commands.py, with its end of a socket as standard input. Nothing of edgeworthy, no plugin of pytest and
nothing of the tests is loaded here: a command imports those itself, from its own folder and with its own environment.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import signal
import socket
import sys
import time
import warnings
from pathlib import Path
from typing import Any

#: What nearly every run imports; with an absent one, commands only begin later.
PRELOADED = (
    "numpy", "pandas", "pyarrow.parquet", "pyarrow.compute", "scipy.special", "onnx", "pydantic", "yaml", "pytest",
    "rich.console", "rich.table", "rich.progress", "typer", "jinja2", "psutil", "PIL.Image", "multiprocessing.pool", "asyncio",
    "concurrent.futures.process", "email.message", "filelock", "flatbuffers", "xml.etree.ElementTree", "importlib.metadata",
)  # fmt: skip
LONGEST_REQUEST = 1 << 20


def serve(control: socket.socket) -> dict[str, Any] | None:
    """Fork for each request until the other end is closed: then None. In a forked process: its request."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those that wait for the commands are collected by the kernel
    while True:
        message, files, _, _ = socket.recv_fds(control, LONGEST_REQUEST, 3)
        if not message:
            return None
        if _fork():
            for file in files:
                os.close(file)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        *outputs, status = files
        if command := _fork():
            os.write(status, f"{command}\n".encode())
            os.write(status, f"{os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])}\n".encode())
            os._exit(0)
        os.close(status)
        for number, file in enumerate(outputs, start=1):
            os.dup2(file, number)
            os.close(file)
        request: dict[str, Any] = json.loads(message)
        return request


def _fork() -> int:
    with warnings.catch_warnings(action="ignore"):  # of Python 3.12 and later, for the threads that BLAS keeps
        return os.fork()


def become(words: list[str], folder: str, environment: dict[str, str]) -> None:
    """Run ``-m module arguments`` or ``script arguments`` as the interpreter would in that folder and environment."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    if words[0] == "-m":
        sys.path[0] = folder
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(words[0]).parent)
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    for name in PRELOADED:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    with socket.socket(fileno=os.dup(0)) as control:
        found = serve(control)
    if found is not None:
        become(**found)
