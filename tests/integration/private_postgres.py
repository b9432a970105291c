"""A PostgreSQL server of one's own: in a temporary folder, on a socket in it, gone afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

#: PostgreSQL refuses to run as root; Debian's package makes this user.
USER = "postgres"


def binaries() -> Path | None:
    """The folder of ``initdb`` and ``pg_ctl``: the newest that Debian's ``postgresql`` installed, or that of the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@contextlib.contextmanager
def private_postgres(bin_folder: Path) -> Iterator[str]:
    """Yields the URL of an empty database ``edge``; the server listens on no network."""
    folder = Path(tempfile.mkdtemp(prefix="edge-pg-", dir="/tmp"))  # a socket's path must be short
    as_user = ["runuser", "-u", USER, "--"] if os.getuid() == 0 else []
    if as_user:
        shutil.chown(folder, USER)

    def run(*command: str) -> None:
        subprocess.run(
            [*as_user, str(bin_folder / command[0]), *command[1:]],
            check=True, timeout=120, stdout=subprocess.DEVNULL, cwd=folder,
        )  # fmt: skip

    run("initdb", "--pgdata", f"{folder}/data", "--username", "edge", "--auth", "trust", "--no-sync")
    options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c log_min_messages=fatal"
    run("pg_ctl", "start", "-w", "-D", f"{folder}/data", "-l", f"{folder}/log", "-o", options)
    try:
        run("createdb", "-h", str(folder), "-U", "edge", "edge")
        yield f"postgresql://edge:s3cret@/edge?host={folder}"
    finally:
        run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", f"{folder}/data")
        shutil.rmtree(folder, ignore_errors=True)
