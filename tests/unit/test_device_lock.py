"""A device is one run's at a time, whatever folders its process was given."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from edgeworthy.errors import DeviceError
from edgeworthy.targets.device_lock import device_lock

#: Says when it has the device, and gives it back at the end of its input.
HOLD = textwrap.dedent("""\
    from edgeworthy.targets.device_lock import device_lock
    with device_lock("usb-1", lambda text: print(text, flush=True)):
        print("held", flush=True)
        input()
    """)


def holder(home: Path, temporary: Path, **environment: str) -> subprocess.Popen[str]:
    """A process that takes the device, with a home and a temporary folder of its own."""
    temporary.mkdir(exist_ok=True)
    given = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    given |= {"HOME": str(home), "TMPDIR": str(temporary), **environment}
    return subprocess.Popen(
        [sys.executable, "-c", HOLD], env=given, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def says(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def lets_go(process: subprocess.Popen[str]) -> None:
    assert process.communicate("\n", timeout=30)
    assert process.returncode == 0


@pytest.fixture
def first(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A run that has the device."""
    process = holder(tmp_path, tmp_path / "a")
    assert says(process) == "held"
    yield process
    process.kill()
    process.communicate()


def test_lock_does_not_depend_on_the_temporary_folder(first: subprocess.Popen[str], tmp_path: Path) -> None:
    """A build server gives each job its own TMPDIR and a login its own XDG_RUNTIME_DIR: the second one waits all the same."""
    second = holder(tmp_path, tmp_path / "b", XDG_RUNTIME_DIR=str(tmp_path / "b"))
    assert says(second) == "waiting for usb-1, which another run is using"
    lets_go(first)
    assert says(second) == "held"
    lets_go(second)


def test_locks_depend_on_the_state_folder(first: subprocess.Popen[str], tmp_path: Path) -> None:
    """XDG_STATE_HOME keeps apart what never meets on a device."""
    apart = holder(tmp_path, tmp_path / "b", XDG_STATE_HOME=str(tmp_path / "state"))
    assert says(apart) == "held"
    lets_go(apart)


def test_locks_are_private_to_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else may look into their folder, or hold a device there."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with device_lock("adb-10.0.0.7-5555", print):
        folder = tmp_path / "edgeworthy" / "locks"
        assert [path.name for path in folder.iterdir()] == ["adb-10.0.0.7-5555.lock"]
        assert folder.stat().st_mode & 0o777 == 0o700


def test_user_without_a_state_folder_gets_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence with the folder and the reason, and the variable that chooses another."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    told = r"locks cannot be kept in .*/file/edgeworthy/locks: Not a directory\nHint: .* set XDG_STATE_HOME"
    with pytest.raises(DeviceError, match=told), device_lock("usb-1", print):
        pass
