"""A device that answers nothing, half of it, or garbage has failed: its own error, in one sentence."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from edgeworthy.device_schema import HostDevice, LinuxDevice
from edgeworthy.errors import CommandFailed, LinkLost
from edgeworthy.measurements.probe import probe
from edgeworthy.targets.android import processes
from edgeworthy.targets.android.processes import Processes, Side
from edgeworthy.targets.device_jobs import job_folder, run_detached
from edgeworthy.targets.links.adb import AdbLink
from edgeworthy.targets.links.adb_transport import TcpConnection
from edgeworthy.targets.links.base import Done
from edgeworthy.targets.linux.board import Board

from tests.local_link import LocalLink
from tests.unit.test_device_jobs import link

__all__ = ["link"]
HALF = '{"work_folder": "/home/pi/.cache/edgeworthy", "pack'
OTHER = '{"work_folder": 3, "python": "new"}'


def board(link: LocalLink, folder: Path, said: str) -> Board:
    """A board whose Python says the same to whatever it is asked."""
    (folder / "said").write_text(said)
    python = folder / "python"
    python.write_text(f'#!/bin/sh\ncat "{folder}/said"\n')
    python.chmod(0o755)
    entry = {"kind": "linux", "address": "pi", "user": "pi", "python": str(python), "backends": {"cpu": {}}}
    return Board("pi", LinuxDevice.model_validate(entry), link)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("", "printed nothing"),
        (HALF, r"printed what cannot be read: '\{\"work_folder\""),
        (OTHER, "printed what cannot be read"),
        ("\x00\x1b[?25h", "printed what cannot be read"),
        ("3", "printed what cannot be read: '3'"),
        (f"{HALF}\n{HALF}\n", "its login shell prints"),
    ],
)
def test_python_that_prints_nothing_is_named(link: LocalLink, tmp_path: Path, said: str, told: str) -> None:
    """Nothing, half a line, another line, garbage: the device, its Python, what it said, and the next step."""
    with pytest.raises(CommandFailed, match=rf"^pi: .*{told}(.|\n)*\nHint: "):
        _ = board(link, tmp_path, said).facts


def test_a_link_that_breaks_at_first_contact_is_waited_for(tmp_path: Path) -> None:
    """Asked what it is, the board's link breaks: it is asked again."""
    here = LocalLink(tmp_path)

    def breaks(words: Sequence[str]) -> None:
        here.before = lambda words: None
        raise LinkLost("pi: the link was lost", hint="run again")

    here.before = breaks
    entry = {"kind": "linux", "address": "pi", "user": "pi", "python": sys.executable, "backends": {"cpu": {}}}
    found = Board("pi", LinuxDevice.model_validate(entry), here)
    assert found.facts.python == sys.version_info[:2]


@pytest.mark.parametrize("said", [b"", b"12 4096 7\n", b"many of 4096\n"])
def test_unparsable_free_space_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    """A phone whose stat is another one."""
    phone = AdbLink("phone", TcpConnection("127.0.0.1", 1), tmp_path / "key")
    monkeypatch.setattr(phone, "run", lambda words, timeout_s: Done(0, said, b""))
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(
        CommandFailed, match=r"^phone: 'stat -f' of '/data/file' printed .*\nHint: run it on the device"
    ):
        phone.push(tmp_path / "file", "/data/file")


@pytest.mark.parametrize(("said", "told"), [("echo many", "cannot be read: 'many"), ("exit 0", "printed nothing")])
def test_unparsable_file_size_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, told: str) -> None:
    """What the tool printed cannot be told apart."""
    monkeypatch.setattr(processes, "_SAID", said)
    (tmp_path / "sample").write_bytes(b"x")
    side = Side("graph", ((1,),), (str(tmp_path / "sample"),))
    with pytest.raises(CommandFailed, match=rf"^here: 'stat -c %s' and 'cat' of what was printed .*{told}"):
        Processes(LocalLink(tmp_path), str(tmp_path / "work")).interleaved(["true"], [0], (side, side), 30)


def test_missing_boot_id_is_named(tmp_path: Path) -> None:
    """The command that starts a job ends well and says nothing."""
    here = LocalLink(tmp_path)
    with job_folder(here, str(tmp_path)) as folder:
        here.run = lambda words, timeout_s: Done(0, b"", b"")  # type: ignore[method-assign]
        with pytest.raises(CommandFailed, match=r"^here: .*boot_id' printed nothing"):
            run_detached(here, ["true"], folder, 20)


class Defective:
    """Targets of a device whose code has a defect."""

    def __getitem__(self, name: str) -> object:
        raise ZeroDivisionError("no such luck")


def test_unexpected_error_is_reported_for_its_device() -> None:
    """`edgeworthy devices` looks at the others, too: no traceback, but where it was."""
    entry = HostDevice.model_validate({"kind": "host", "backends": {"cpu": {}}})
    report = probe("odd", entry, Defective(), print)  # type: ignore[arg-type]
    assert report.problem.startswith("ZeroDivisionError in test_unreadable_replies.py, line ")
    assert report.problem.endswith(": no such luck")
    assert "defect of edgeworthy" in report.hint
