"""``edgeworthy devices`` says of each device that it cannot use why, and what to do, and then checks the others all the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.commands import Ended, edgeworthy
from tests.lab.board import Board, make_key
from tests.lab.machine import free_port
from tests.lab.phone import Phone
from tests.waiting import GUARD_S

HOST = {"kind": "host", "backends": {"cpu": {"threads": 1}}}


@pytest.fixture
def folder(tmp_path: Path, phone: Phone, pi: Board) -> Path:
    """A devices.yaml of this machine and of devices that cannot be used, each for a reason of its own."""
    absent = {"port": free_port()}
    make_key(tmp_path / "other_host")
    kind, key, *_ = (tmp_path / "other_host.pub").read_text().split()
    (tmp_path / "known_hosts").write_text(f"[{pi.address}]:{pi.port} {kind} {key}\n")
    entries = {
        "here": HOST,
        "absent-phone": phone.devices_entry(**absent),
        "absent-board": pi.devices_entry(**absent),
        "spare-phone": phone.devices_entry(**absent, required=False),
        "refusing-board": pi.devices_entry(key=str(pi.stranger)),
        "other-board": pi.devices_entry(known_hosts=str(tmp_path / "known_hosts")),
    }
    (tmp_path / "devices.yaml").write_text(yaml.safe_dump({"version": 1, "devices": entries}))
    return tmp_path


def devices(folder: Path, *arguments: str) -> Ended:
    return edgeworthy("devices", *arguments, cwd=folder, timeout=GUARD_S)


#: Of each device: why it cannot be used, and how the next step begins.
SAID = {
    "absent-phone": ("nothing listens there", "run 'adb tcpip 5555' once"),
    "absent-board": ("nothing listens on port", ""),
    "spare-phone": ("nothing listens there", "run 'adb tcpip 5555' once"),
    "refusing-board": ("does not accept the key", "ssh-copy-id -i"),
    "other-board": ("is not the one in", ""),
}


def test_each_unusable_device_has_a_message_and_a_hint(folder: Path, phone: Phone) -> None:
    """Absent, refusing and another one than is known; the one that works works; a required one that fails is status 1."""
    done = devices(folder, "--json")
    assert done.returncode == 1, done.stderr
    reports: dict[str, dict[str, Any]] = {report["device"]: report for report in json.loads(done.stdout)}
    assert [backend["works"] for backend in reports.pop("here")["backends"]] == [True, True]
    assert reports.keys() == SAID.keys()
    for name, (why, what_to_do) in SAID.items():
        assert why in reports[name]["problem"], name
        assert reports[name]["hint"].startswith(what_to_do), name
        assert reports[name]["hint"], name
    assert not reports["spare-phone"]["required"]


def test_table_is_printed_line_by_line(folder: Path) -> None:
    """A required device that fails is an error; one that is not required is absent, and alone no reason to fail."""
    done = devices(folder, "--only", "absent-phone", "--only", "refusing-board", "--only", "spare-phone")
    assert done.returncode == 1
    required, refusing, spare = (done.stdout.index(name) for name in ("absent-phone", "refusing-board", "spare-phone"))
    assert "  error absent-phone" in done.stdout[required:refusing]
    assert "    hint: run 'adb tcpip 5555' once" in done.stdout[required:refusing]
    assert "does not accept the key" in done.stdout[refusing:spare]
    assert "    hint: ssh-copy-id -i" in done.stdout[refusing:spare]
    assert "  absent spare-phone" in done.stdout[spare:]
    alone = devices(folder, "--only", "spare-phone", "--only", "here")
    assert alone.returncode == 0, alone.stdout
