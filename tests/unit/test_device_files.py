"""Files on a device: pushed once, verified there, the least recently used removed, in a board's and a phone's shell."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from edgeworthy.errors import CommandFailed, DeviceFull, LinkLost
from edgeworthy.targets.device_files import IN_USE, DeviceFiles
from edgeworthy.targets.links import patience

from tests.local_link import LocalLink
from tests.unit.test_device_jobs import HOSTILE, link

__all__ = ["link"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PAUSE_S", 0.02)


def a_file(folder: Path, name: str = "model.tflite", content: bytes = b"weights" * 1000) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def test_second_run_pushes_nothing(link: LocalLink, tmp_path: Path) -> None:
    """The same content goes over once, whatever its local name, also for a DeviceFiles made later."""
    work = str(tmp_path / HOSTILE)
    local = a_file(tmp_path, "model;$(touch pwned).tflite")
    files = DeviceFiles(link, work)
    remote = files.put(local)
    assert Path(remote).name == hashlib.sha256(local.read_bytes()).hexdigest() + ".tflite"
    assert Path(remote).read_bytes() == local.read_bytes()
    assert files.pushed_bytes == local.stat().st_size
    assert files.put(a_file(tmp_path, "copy.tflite")) == remote
    later = DeviceFiles(link, work)
    assert later.put(local) == remote
    assert later.pushed_bytes == 0
    assert len(link.pushes) == 1
    assert not list(tmp_path.rglob("pwned"))


def test_changed_content_is_another_file(link: LocalLink, tmp_path: Path) -> None:
    """A local file that was written anew is seen, also where its size is the same."""
    files = DeviceFiles(link, str(tmp_path / "work"))
    first = files.put(a_file(tmp_path, content=b"one"))
    second = files.put(a_file(tmp_path, content=b"two"))
    assert Path(first).read_bytes(), Path(second).read_bytes() == (b"one", b"two")


def test_damaged_and_shortened_files_are_pushed_again(link: LocalLink, tmp_path: Path) -> None:
    """What is on the device is believed for its content, not for its name."""
    local, work = a_file(tmp_path), str(tmp_path / "work")
    remote = Path(DeviceFiles(link, work).put(local))
    remote.write_bytes(b"W" + local.read_bytes()[1:])
    files = DeviceFiles(link, work)
    assert Path(files.put(local)).read_bytes() == local.read_bytes()
    remote.write_bytes(b"")
    assert Path(files.put(local)).read_bytes() == local.read_bytes()
    assert files.pushed_bytes == 2 * local.stat().st_size


def test_broken_push_is_verified_and_repeated(link: LocalLink, tmp_path: Path) -> None:
    """A link that breaks in the middle of a push, and once more before the file is looked at."""
    faults = ["push", "sh"]

    def breaks(words: Sequence[str]) -> None:
        if faults and words[0] == faults[0] and (faults[0] == "push" or len(faults) == 1):
            faults.pop(0)
            raise LinkLost("here: lost", hint="run again")

    link.before = breaks
    local = a_file(tmp_path)
    assert Path(DeviceFiles(link, str(tmp_path / "work")).put(local)).read_bytes() == local.read_bytes()
    assert not faults


def test_damaging_storage_is_reported(link: LocalLink, tmp_path: Path) -> None:
    """A file that never arrives whole is CommandFailed after three pushes, not an endless loop."""
    push = link.push

    def damaging(local: Path, remote: str) -> None:
        push(local, remote)
        Path(remote).write_bytes(b"other")

    link.push = damaging  # type: ignore[method-assign]
    with pytest.raises(CommandFailed, match=r"model\.tflite arrived damaged in .*, 3 times"):
        DeviceFiles(link, str(tmp_path / "work")).put(a_file(tmp_path))


def test_least_recently_used_files_go_first(link: LocalLink, tmp_path: Path) -> None:
    """Above the limit the files that nobody asked for longest are removed; those of the job at hand never are."""
    work = tmp_path / "work"
    remotes = []
    for index in range(IN_USE + 2):
        local = a_file(tmp_path, content=bytes([index]) * 1000)
        remotes.append(Path(DeviceFiles(link, str(work)).put(local)))
        os.utime(remotes[-1], (1000 + index, 1000 + index))
    files = DeviceFiles(link, str(work), max_bytes=1000 * (IN_USE + 1))
    first = files.put(a_file(tmp_path, content=bytes([0]) * 1000))
    files.put(a_file(tmp_path, content=b"n" * 1000))
    assert Path(first).exists()
    assert [remote.exists() for remote in remotes[1:5]] == [False, False, True, True]
    small = DeviceFiles(link, str(work), max_bytes=1)
    together = [Path(small.put(a_file(tmp_path, content=bytes([100 + index])))) for index in range(3)]
    assert all(remote.exists() for remote in together)
    assert not remotes[-1].exists()


def test_no_space_reports_needed_and_available(link: LocalLink, tmp_path: Path) -> None:
    """DeviceFull before anything is pushed or removed, with both numbers."""
    work = tmp_path / "work"
    kept = Path(DeviceFiles(link, str(work)).put(a_file(tmp_path)))
    huge = tmp_path / "huge.tflite"
    with huge.open("wb") as stream:
        stream.truncate(1 << 42)
    with pytest.raises(DeviceFull, match=r"huge\.tflite needs 4398055 MB, it has \d+ MB"):
        DeviceFiles(link, str(work)).put(huge, sha256="0" * 64)
    assert kept.exists()
    assert len(link.pushes) == 1


def test_unusable_folder_is_reported(link: LocalLink, tmp_path: Path) -> None:
    """A file where the folder should be: the device's own words and the key to change."""
    (tmp_path / "work").write_text("")
    with pytest.raises(CommandFailed, match=r"(?s)work cannot be used: .*(Not a directory|File exists).*work_folder"):
        DeviceFiles(link, str(tmp_path / "work")).put(a_file(tmp_path))
