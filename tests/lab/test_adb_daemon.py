"""The daemon double is a phone in the eyes of Debian's own adb client."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.adb_daemon import AdbDaemon, adb_daemon

pytestmark = pytest.mark.skipif(not shutil.which("adb"), reason="Debian's adb is not installed")

Adb = Callable[..., subprocess.CompletedProcess[str]]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@pytest.fixture
def adb(tmp_path: Path) -> Iterator[Adb]:
    """Debian's client with a server, a home and keys of its own."""
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "ANDROID_ADB_SERVER_PORT": str(free_port()),
        "ADB_VENDOR_KEYS": str(tmp_path),
        "ADB_MDNS": "0",
    }

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["adb", *words], env=environment, capture_output=True, text=True, timeout=30, check=False)

    try:
        yield run
    finally:
        run("kill-server")


@pytest.fixture
def daemon() -> Iterator[AdbDaemon]:
    with adb_daemon() as listening:
        yield listening


@contextlib.contextmanager
def connected(adb: Adb, daemon: AdbDaemon) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """``adb -s`` of the daemon."""
    serial = f"127.0.0.1:{daemon.port}"
    adb("connect", serial)
    adb("-s", serial, "wait-for-device")
    yield lambda *words: adb("-s", serial, *words)


def test_adb_runs_commands(adb: Adb, daemon: AdbDaemon) -> None:
    """Both outputs apart, and the exit status."""
    with connected(adb, daemon) as phone:
        done = phone("shell", "echo out; echo err >&2; exit 7")
        assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")


def test_adb_carries_files_both_ways(adb: Adb, daemon: AdbDaemon, tmp_path: Path) -> None:
    """3 MB there and back are the same, also into a folder; a file that is not there is said to be missing."""
    (tmp_path / "here").write_bytes(os.urandom(3_000_000))
    (tmp_path / "phone").mkdir()
    with connected(adb, daemon) as phone:
        assert phone("push", str(tmp_path / "here"), f"{tmp_path}/phone/").returncode == 0
        assert phone("pull", f"{tmp_path}/phone/here", str(tmp_path / "back")).returncode == 0
        assert (tmp_path / "back").read_bytes() == (tmp_path / "here").read_bytes()
        assert "No such file" in phone("pull", f"{tmp_path}/phone/nothing", str(tmp_path / "x")).stdout


def test_adb_reports_no_space(adb: Adb, daemon: AdbDaemon, tmp_path: Path) -> None:
    """The device's reason reaches the client, and the connection works on."""
    (tmp_path / "here").write_bytes(bytes(3_000_000))
    daemon.room_bytes = 1_000_000
    with connected(adb, daemon) as phone:
        assert "No space left on device" in phone("push", str(tmp_path / "here"), f"{tmp_path}/there").stdout
        assert phone("shell", "echo still here").stdout == "still here\n"


def test_adb_is_authenticated(adb: Adb, daemon: AdbDaemon) -> None:
    """An unknown key is let in when the person says yes, and known from then on; without a yes it stays out."""
    serial = f"127.0.0.1:{daemon.port}"
    daemon.known_keys = []
    assert "failed to authenticate" in adb("connect", serial).stdout
    assert f"{serial}\tunauthorized" in adb("devices").stdout
    adb("disconnect")
    daemon.person_says_yes = True
    with connected(adb, daemon) as phone:
        assert phone("shell", "echo in").stdout == "in\n"
    adb("disconnect")
    daemon.person_says_yes = False
    with connected(adb, daemon) as phone:
        assert phone("shell", "echo known").stdout == "known\n"
