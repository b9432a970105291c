"""The link to Android on a real adbd, with Android's own shell and tools."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from edgeworthy.errors import CommandFailed, CommandTimeout, DeviceAbsent, DeviceFull, LinkLost
from edgeworthy.targets.device_files import DeviceFiles
from edgeworthy.targets.device_jobs import job_folder, run_detached
from edgeworthy.targets.links.adb import AdbLink
from edgeworthy.targets.links.adb_transport import TcpConnection, TcpTransport

from tests.lab.hostile_names import HOSTILE_NAMES
from tests.lab.phone import Phone
from tests.unit.test_device_jobs import marked
from tests.waiting import until, when, within

WORK = "/data/local/tmp"
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def link(phone: Phone) -> Iterator[AdbLink]:
    with contextlib.closing(AdbLink("phone", TcpConnection(phone.address, phone.port), phone.key)) as link:
        yield link


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "here"
    path.write_bytes(os.urandom(3_000_000))
    return path


def once_sent(monkeypatch: pytest.MonkeyPatch, megabytes: int, act: Callable[[], object]) -> None:
    """Do ``act`` as soon as so much has been sent over a link, before more is."""
    sent, write = 0, TcpTransport.bulk_write

    def counted(transport: TcpTransport, data: bytes, timeout_s: float | None) -> int:
        nonlocal sent
        before, sent = sent, sent + len(data)
        if before < megabytes * 1_000_000 <= sent:
            act()
        return write(transport, data, timeout_s)

    monkeypatch.setattr(TcpTransport, "bulk_write", counted)


def test_arguments_are_quoted(link: AdbLink) -> None:
    """Android's shell hands every word on unchanged."""
    words = ["", *HOSTILE_NAMES]
    done = link.run(["printf", "%s\\0", *words], 10)
    assert done.stdout == b"".join(word.encode() + b"\0" for word in words)
    assert link.run(["ls", "-A", "/"], 10).text.count("pwned") == 0


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_file_names_are_quoted(link: AdbLink, phone: Phone, file: Path, tmp_path: Path, name: str) -> None:
    """There and back, whatever the name; nothing in it is run."""
    remote = f"{WORK}/{name}/{name}"
    link.push(file, remote)
    assert link.run(["sha256sum", remote], 10).status == 0
    link.pull(remote, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == file.read_bytes()
    assert [path.name for path in (phone.work / name).iterdir()] == [name]
    assert link.run(["rm", "-r", "--", f"{WORK}/{name}"], 10).status == 0
    assert not list(phone.work.glob("**/*pwned"))


def test_status_is_the_commands_own_every_time(link: AdbLink) -> None:
    """Also of short commands of toybox, which its timeout alone now and then gives 127."""
    assert {link.run(["touch", f"{WORK}/it"], 10).status for _ in range(60)} == {0}
    assert {link.run(["sh", "-c", "exit 3"], 10).status for _ in range(20)} == {3}


def test_stdout_and_stderr_are_separate(link: AdbLink) -> None:
    """And binary."""
    done = link.run(["sh", "-c", "printf '\\0\\r\\n\\377'; echo err >&2; exit 7"], 10)
    assert (done.status, done.stdout, done.stderr) == (7, b"\0\r\n\xff", b"err\n")


def test_command_that_runs_on_is_killed_on_the_phone(link: AdbLink) -> None:
    """With what it has started: within 20 s."""
    with within(20), pytest.raises(CommandTimeout, match=r"did not end within 0\.5 s and was killed there"):
        link.run(["sh", "-c", "sleep 4321 & sleep 4321"], 0.5)
    until(lambda: "4321" not in link.run(["ps", "-A", "-o", "ARGS"], 10).text)


def test_command_killed_by_the_phone(link: AdbLink) -> None:
    """Status 137, and no time-out."""
    assert link.run(["sh", "-c", "kill -9 $$"], 20).status == 137


def test_missing_and_forbidden_programs(link: AdbLink, phone: Phone, file: Path) -> None:
    """127 and 126, with the reason on stderr: within 30 s."""
    with within(30):
        missing = link.run(["no such program"], 10)
    assert (missing.status, b"not found" in missing.stderr) == (127, True)
    link.push(file, f"{WORK}/tool")
    with phone.no_exec(), within(30):
        forbidden = link.run([f"{WORK}/tool"], 10)
    assert (forbidden.status, b"Permission denied" in forbidden.stderr) == (126, True)


def test_no_space(link: AdbLink, phone: Phone, file: Path) -> None:
    """The numbers are the phone's own: within 20 s, and nothing is left."""
    with phone.full_disk(free_kb=1024):
        said = rf"phone: no space on {WORK}: needs 3\.0 MB, has 1\.0 MB"
        with within(20), pytest.raises(DeviceFull, match=said):
            link.push(file, f"{WORK}/there")
        assert link.run(["ls", "-A", WORK], 10).text == ""


def test_space_that_runs_out_during_a_push(
    link: AdbLink, phone: Phone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device's own reason comes through adbd: within 20 s, and the half is removed."""
    with (tmp_path / "here").open("wb") as file:
        file.truncate(40_000_000)
    with phone.full_disk(free_kb=48_000):
        fill = phone.sandbox.command("dd", "if=/dev/zero", f"of={WORK}/fill", "bs=1M", "count=40")
        once_sent(monkeypatch, 5, lambda: subprocess.run(fill, capture_output=True, check=False))
        with within(20), pytest.raises(DeviceFull, match=r"needs 40\.0 MB, has "):
            link.push(tmp_path / "here", f"{WORK}/there")
        assert link.run(["ls", "-A", WORK], 10).text == "fill"


def test_read_only(link: AdbLink, phone: Phone, file: Path) -> None:
    """Said as such: within 30 s."""
    with (
        phone.read_only(),
        within(30),
        pytest.raises(CommandFailed, match=f"cannot write '{WORK}/there'.*Read-only file system"),
    ):
        link.push(file, f"{WORK}/there")
    with pytest.raises(CommandFailed, match=r"cannot write '/system/there'.*Read-only file system"):
        link.push(file, "/system/there")


def test_folder_of_that_name(link: AdbLink, file: Path) -> None:
    """Said as such."""
    with pytest.raises(CommandFailed, match="it is a folder"):
        link.push(file, WORK)


def test_file_to_pull_is_missing(link: AdbLink, tmp_path: Path) -> None:
    """Said, and nothing is made here."""
    with pytest.raises(CommandFailed, match=f"cannot read '{WORK}/nothing': .*No such file"):
        link.pull(f"{WORK}/nothing", tmp_path / "back")
    assert not list(tmp_path.iterdir())


def test_daemon_killed_during_a_command(link: AdbLink, phone: Phone) -> None:
    """Noticed within 10 s, and not when the command would end; when it is back, the next call works."""
    mark = os.urandom(8).hex()
    killed: list[float] = []
    try:
        with (
            when(lambda: marked(mark), lambda: (phone.kill(), killed.append(time.monotonic()))),
            pytest.raises(LinkLost, match="ended the connection"),
        ):
            link.run(["env", f"MARK={mark}", "sleep", "100"], 100)
        assert time.monotonic() - killed[0] < 10
        with pytest.raises(DeviceAbsent, match="nothing listens there"):
            link.run(["true"], 5)
    finally:
        phone.start()
    assert link.run(["true"], 5).status == 0


def test_daemon_killed_during_a_push(
    link: AdbLink, phone: Phone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file's name stays free, and the next push is whole."""
    (tmp_path / "here").write_bytes(os.urandom(16_000_000))
    remote = phone.work / "there"
    remote.unlink(missing_ok=True)
    once_sent(monkeypatch, 8, phone.kill)
    try:
        with pytest.raises(LinkLost):
            link.push(tmp_path / "here", f"{WORK}/there")
        assert not remote.exists()
    finally:
        phone.start()
    link.push(tmp_path / "here", f"{WORK}/there")
    assert remote.read_bytes() == (tmp_path / "here").read_bytes()
    link.run(["sh", "-c", f"rm {WORK}/there*"], 10)


def test_broken_push_is_repeated(link: AdbLink, phone: Phone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon dies in the middle and comes back: the file is there, whole, after two pushes."""
    (tmp_path / "model.tflite").write_bytes(os.urandom(16_000_000))
    once_sent(monkeypatch, 8, phone.restart)
    files = DeviceFiles(link, f"{WORK}/edge gate")
    remote = files.put(tmp_path / "model.tflite")
    assert (phone.work / remote.removeprefix(WORK + "/")).read_bytes() == (tmp_path / "model.tflite").read_bytes()
    assert files.pushed_bytes == 2 * 16_000_000
    assert DeviceFiles(link, f"{WORK}/edge gate").put(tmp_path / "model.tflite") == remote
    link.run(["rm", "-r", f"{WORK}/edge gate"], 10)


def test_job_goes_on_while_the_phone_is_unplugged(link: AdbLink, phone: Phone) -> None:
    """It ran once, and its answer is there."""
    mark = os.urandom(8).hex()
    with job_folder(link, f"{WORK}/edge gate") as folder, when(lambda: marked(mark), phone.restart):
        words = ["sh", "-c", "echo ran >>ran; sleep 2; cat ran; exit 3"]
        finished = run_detached(link, words, folder, 60, env={"MARK": mark})
    assert (finished.status, finished.log) == (3, "ran\n")


@pytest.mark.parametrize("limit_s", [1, 100])
def test_frozen_phone(link: AdbLink, phone: Phone, limit_s: float) -> None:
    """A half-dead link ends within 30 s, however long the command may take; afterwards all is well."""
    assert link.run(["true"], 5).status == 0
    with phone.frozen(), within(30), pytest.raises(LinkLost, match="fell silent"):
        link.run(["true"], limit_s)
    assert link.run(["true"], 5).status == 0


def test_silent_command_is_no_dead_link(link: AdbLink) -> None:
    """A phone that is alive is waited for: signs of life are asked of it, and do not disturb the answer."""
    assert link.run(["sh", "-c", "sleep 6; echo done"], 20).stdout == b"done\n"


def test_reboot(link: AdbLink, phone: Phone) -> None:
    """During a command the connection is lost; the next one is to another boot."""
    boot = ["cat", "/proc/sys/kernel/random/boot_id"]
    before = link.run(boot, 5).text
    mark = os.urandom(8).hex()
    with when(lambda: marked(mark), phone.reboot), pytest.raises(LinkLost):
        link.run(["env", f"MARK={mark}", "sleep", "100"], 100)
    after = link.run(boot, 5).text
    phone.reboot()
    assert len({before, after, link.run(boot, 5).text}) == 3


def test_small_packets(phone: Phone, tmp_path: Path) -> None:
    """20 MB at an MTU of 1500 do not hang, as they do where a short send is taken for a whole one: within 60 s."""
    (tmp_path / "here").write_bytes(os.urandom(20_000_000))
    command = [sys.executable, "-m", "tests.lab.small_packets", str(tmp_path)]
    subprocess.run(["unshare", "-n", *command], check=True, timeout=60, cwd=REPOSITORY)
    assert (tmp_path / "back").read_bytes() == (tmp_path / "here").read_bytes()
