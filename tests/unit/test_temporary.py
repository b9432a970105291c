"""Temporary folders: removed by whoever made them, or by the next process; a full TMPDIR is named."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from edgeworthy import temporary
from edgeworthy.errors import RunnerTimeout, StoreError
from edgeworthy.temporary import temporary_folder
from filelock import FileLock

#: Makes a folder and waits in it.
HOLDER = """
import time
from edgeworthy.interruption import interrupt_on_signals
from edgeworthy.temporary import temporary_folder
interrupt_on_signals()
with temporary_folder() as folder:
    (folder / "file").write_text("")
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A TMPDIR of its own."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def holder() -> tuple[subprocess.Popen[str], Path]:
    """A process that holds a folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # which nohup would have ignored
    )  # fmt: skip
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGKILL"])
def test_folder_of_an_ended_process_is_removed(root: Path, name: str) -> None:
    """By itself on SIGTERM and SIGHUP, by the next process after SIGKILL; one whose process lives stays."""
    living, kept = holder()
    ended, left = holder()
    with living, ended:
        ended.send_signal(getattr(signal, name))
        ended.wait()
        assert left.exists() == (name == "SIGKILL")
        old, young = root / "edgeworthy-old", root / "edgeworthy-young"
        users = root / "edgeworthy-checkout"  # what somebody keeps under such a name is not touched
        for folder in (old, young, users / "results"):
            folder.mkdir(parents=True)
        for folder in (old, users):
            os.utime(folder, (time.time() - 100,) * 2)
        with temporary_folder() as folder:
            assert {path.name for path in root.iterdir()} == {folder.name, kept.name, young.name, users.name}
        living.kill()


def test_folder_that_is_taken_for_a_leftover_is_made_anew(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process may remove leftovers between the moments in which a folder is made and in which its lock is held."""
    removed: list[Path] = []

    class Lock(FileLock):  # type: ignore[misc, valid-type]
        def acquire(self, *given: Any, **named: Any) -> Any:
            if len(removed) == 2:
                return super().acquire(*given, **named)
            removed.append(Path(self.lock_file).parent)
            shutil.rmtree(removed[-1])
            raise FileNotFoundError(2, "No such file or directory", self.lock_file)

    monkeypatch.setattr(temporary, "FileLock", Lock)
    with temporary_folder() as folder:
        (folder / "file").write_text("")
        assert folder not in removed
        assert list(root.iterdir()) == [folder]
    assert not list(root.iterdir())


def test_folder_that_another_process_locks_while_it_is_removed_is_left_to_that_one(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever removes leftovers opens a lock that was there a moment ago, which makes it anew: what was measured is kept."""
    remove = os.rmdir

    def rmdir(path: Any, **named: Any) -> None:
        (Path(path) / ".lock").write_text("")
        remove(path, **named)

    with monkeypatch.context() as meanwhile, temporary_folder() as folder:
        meanwhile.setattr(os, "rmdir", rmdir)
    assert list(root.iterdir()) == [folder]
    temporary._remove_leftovers.cache_clear()
    with temporary_folder() as another:
        assert list(root.iterdir()) == [another]


def test_full_disk_is_named_at_once_and_afterwards(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is begun, and in the place of the timeout or crash that a full disk led to."""
    monkeypatch.setattr(temporary, "SPARE_BYTES", 1 << 62)
    with pytest.raises(StoreError, match=rf"^{root}: no space left .* MB free\)\nHint: .*TMPDIR"), temporary_folder():
        raise AssertionError("it is not begun")
    monkeypatch.setattr(temporary, "SPARE_BYTES", 0)
    with pytest.raises(RunnerTimeout), temporary_folder():
        raise RunnerTimeout("too slow", hint="raise the limit")

    def fill_and_fail() -> None:
        with temporary_folder():
            monkeypatch.setattr(temporary, "SPARE_BYTES", 1 << 62)
            raise RunnerTimeout("too slow", hint="raise the limit")

    with pytest.raises(StoreError, match="no space left"):
        fill_and_fail()
