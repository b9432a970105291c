"""The fork servers of a run: one for each framework, started when a child first needs it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from filelock import FileLock

from edgeworthy.storage import digest
from edgeworthy.temporary import temporary_folder

#: Names a folder of fork servers that several runs share; without it, each run has its own.
FOLDER_VARIABLE = "EDGE_FORK_SERVERS"
ALIVE = "alive"
SERVER = "edgeworthy.variants.artifacts.fork_server"
#: What a server holds beside its framework: nothing that only code of the user's may want, or all that there is.
LEAN, WHOLE = "lean", "whole"
#: What differs between commands and is read by no framework.
UNREAD = ("COLUMNS", "LINES", "PWD", "OLDPWD", "SHLVL", "TMPDIR", "_")
UNREAD_PREFIXES = ("EDGE_", "PYTEST_")
#: A fork of a process that holds a framework is safe where its allocator and BLAS know of forks.
SUPPORTED = sys.platform == "linux"


@contextlib.contextmanager
def fork_server_folder() -> Iterator[Path]:
    """A new folder for fork servers, which end with the block or with this process."""
    with temporary_folder() as folder:
        os.mkfifo(folder / ALIVE)
        held = os.open(folder / ALIVE, os.O_RDWR)  # for reading, too: to write alone would wait for a reader
        try:
            yield folder
        finally:
            os.close(held)


class ForkServers:
    """Hands out connections to fork servers; those that are not shared end with ``close``."""

    def __init__(self) -> None:
        self._own = contextlib.ExitStack()
        self._opening = threading.Lock()
        self._folder = Path(given) if (given := os.environ.get(FOLDER_VARIABLE)) else None

    def close(self) -> None:
        """End this run's servers."""
        self._own.close()

    def connection(self, framework: str, kind: str, environment: Mapping[str, str]) -> socket.socket | None:
        """A connection to the server that holds ``framework``, started now if there is none; None where there can be none."""
        if not SUPPORTED:
            return None
        address = self._opened() / f"{framework}-{kind}-{_digest(environment)}"
        with FileLock(f"{address}.lock"):
            found = _connected(address)
            if found is None:
                address.unlink(missing_ok=True)
                _start(framework, kind, address, environment)
                found = _connected(address)
        return found

    def _opened(self) -> Path:
        with self._opening:
            if self._folder is None:
                self._folder = self._own.enter_context(fork_server_folder())
            return self._folder


def _digest(environment: Mapping[str, str]) -> str:
    """Of what a framework may read while it is imported; the children of one server have that in common."""
    read = {
        name: value
        for name, value in environment.items()
        if name not in UNREAD and not name.startswith(UNREAD_PREFIXES)
    }
    return digest(read)[:16]


def _start(framework: str, kind: str, address: Path, environment: Mapping[str, str]) -> None:
    """Start a server; it listens when this returns, unless it failed."""
    command = [sys.executable, "-m", SERVER, framework, kind, str(address), str(address.with_name(ALIVE))]
    nothing = subprocess.DEVNULL
    subprocess.run(command, env=dict(environment), stdin=nothing, stdout=nothing, stderr=nothing, check=False)


def _connected(address: Path) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.connect(str(address))
    except OSError:
        connection.close()
        return None
    return connection
