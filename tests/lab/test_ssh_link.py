"""The SSH link against a real sshd: what it carries, whom it trusts, and what it says when the board misbehaves."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from edgeworthy.errors import CommandFailed, CommandTimeout, DeviceAbsent, DeviceFull, DeviceRefuses, LinkLost
from edgeworthy.targets.device_files import DeviceFiles
from edgeworthy.targets.device_jobs import job_folder, run_detached
from edgeworthy.targets.links.ssh import SshLink
from edgeworthy.targets.links.ssh_connection import SshAddress

from tests.lab.board import Board, make_key
from tests.unit.test_device_jobs import HOSTILE, marked, nothing_left
from tests.waiting import when, within


@pytest.fixture
def link(pi: Board) -> Iterator[SshLink]:
    made = link_to(pi)
    yield made
    made.close()


def link_to(pi: Board, **changes: Any) -> SshLink:
    """A way in that the board accepts, but for the changes."""
    to = SshAddress("pi", pi.address, pi.port, pi.user, pi.key, pi.known_hosts)
    return SshLink(dataclasses.replace(to, **changes))


# -- what it carries ------------------------------------------------------------------------------------------


def test_status_stdout_and_stderr_are_separate(link: SshLink) -> None:
    """Any exit status is an answer, bytes are bytes, and a signal is 128 + its number."""
    done = link.run(["sh", "-c", "printf 'a\\377'; echo b >&2; exit 7"], 10)
    assert (done.status, done.stdout, done.stderr) == (7, b"a\xff", b"b\n")
    assert link.run(["sh", "-c", "kill -s TERM $$"], 10).status == 143
    assert link.run(["cat"], 10).stdout == b""
    assert link.run(["no-such-program"], 10).status == 127


def test_arguments_are_quoted(pi: Board, link: SshLink, tmp_path: Path) -> None:
    """Names with quotes, ``;``, ``$()`` and newlines reach the program as they are, and do nothing."""
    folder = tmp_path / HOSTILE.replace("/", "")
    assert link.run(["mkdir", str(folder)], 10).status == 0
    assert link.run(["printf", "%s", HOSTILE], 10).stdout.decode() == HOSTILE
    local, back, remote = tmp_path / "local", tmp_path / "back", folder / "x;$(touch pwned)'\"\n"
    local.write_bytes(os.urandom(100_000))
    link.push(local, str(remote))
    link.pull(str(remote), back)
    assert back.read_bytes() == local.read_bytes()
    assert list(folder.iterdir()) == [remote]
    assert not (pi.home / "pwned").exists()


def test_time_limit_kills_on_the_board(link: SshLink) -> None:
    """CommandTimeout within 20 s of the limit, and nothing is left running there."""
    mark = os.urandom(8).hex()
    with (
        within(21),
        pytest.raises(CommandTimeout, match=r"pi: env .* did not finish within 1 s and was killed there"),
    ):
        link.run(["env", f"MARK={mark}", "sh", "-c", "trap '' TERM; sleep 60; sleep 60"], 1)
    assert nothing_left(mark)
    assert link.run(["true"], 10).status == 0


def test_missing_files_and_folders_are_reported(link: SshLink, tmp_path: Path) -> None:
    """Nothing to pull leaves nothing here; no folder to push to, and a folder in the way, leave nothing there."""
    with pytest.raises(CommandFailed, match=r"pi: pulling /no/such failed: No such file"):
        link.pull("/no/such", tmp_path / "got")
    local = tmp_path / "local"
    local.write_text("x")
    with pytest.raises(CommandFailed, match=r"pi: pushing local to /no/such/folder/x failed: No such file"):
        link.push(local, "/no/such/folder/x")
    (tmp_path / "there" / "x").mkdir(parents=True)
    with pytest.raises(CommandFailed, match=r"pushing local to .*/there/x failed"):
        link.push(local, str(tmp_path / "there" / "x"))
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob(".*part")) + list((tmp_path / "there").glob("*part"))


# -- whom it trusts -------------------------------------------------------------------------------------------


def test_unknown_host_key_is_refused_with_its_fingerprint(pi: Board) -> None:
    """Never taken on trust: which key it showed, how to compare it, how to add it; also without any known_hosts."""
    shown = subprocess.run(["ssh-keygen", "-lf", pi.known_hosts], capture_output=True, text=True, check=True).stdout
    try:
        for write in (lambda: pi.known_hosts.write_text(""), pi.known_hosts.unlink):
            write()
            with pytest.raises(
                DeviceRefuses, match=r"is not in .*known_hosts\nHint: compare it .*ssh-keyscan"
            ) as raised:
                link_to(pi).run(["true"], 10)
            assert shown.split()[1] in str(raised.value)
    finally:
        pi.trust()


def test_changed_host_key_is_refused(pi: Board) -> None:
    """Another key than the known one: what it may mean, and both remedies."""
    pi.change_host_key()
    try:
        with pytest.raises(DeviceRefuses, match=r"is not the one in .*or another machine has its address") as raised:
            link_to(pi).run(["true"], 10)
    finally:
        pi.trust()
    assert "ssh-keygen -R" in raised.value.hint
    assert "ssh-keyscan" in raised.value.hint


def test_unauthorized_missing_and_invalid_keys_are_distinguished(
    pi: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each way of not getting in has its own sentence and remedy."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    other = make_key(tmp_path / "other")
    with pytest.raises(DeviceRefuses, match=r"does not accept the key .*other\nHint: ssh-copy-id -i"):
        link_to(pi, key=other).run(["true"], 10)
    with pytest.raises(DeviceRefuses, match=r"there is no private key .*absent, and no ssh-agent\nHint: ssh-keygen"):
        link_to(pi, key=tmp_path / "absent").run(["true"], 10)
    other.write_text("rubbish")
    with pytest.raises(DeviceRefuses, match=r"the private key .*other cannot be used"):
        link_to(pi, key=other).run(["true"], 10)


# -- what breaks ----------------------------------------------------------------------------------------------


def test_missing_server_is_absent(pi: Board) -> None:
    """Not listening, and a name that no network can know, are DeviceAbsent: within 30 s."""
    said = rf"pi \(.*@127.0.0.1:{pi.port}\): nothing listens on port"
    with pi.unplugged(), within(30), pytest.raises(DeviceAbsent, match=said):
        link_to(pi).run(["true"], 10)
    with pytest.raises(DeviceAbsent, match=r"\(.*@no name.*\): no such host"):
        link_to(pi, address="no name").run(["true"], 10)


def test_silent_server_is_offline(pi: Board) -> None:
    """A server that takes the connection and says nothing is DeviceAbsent: within 30 s."""
    with pi.frozen(), within(30), pytest.raises(DeviceAbsent, match="offline: no answer within 10 s"):
        link_to(pi).run(["true"], 10)


def test_server_killed_during_a_command_is_lost_at_once(pi: Board, link: SshLink) -> None:
    """LinkLost within 30 s, and not when the command would end; the next call connects again by itself."""
    mark = os.urandom(8).hex()
    try:
        with (
            within(30),
            when(lambda: marked(mark), pi.kill),
            pytest.raises(LinkLost, match="pi: the link was lost while running env"),
        ):
            link.run(["env", f"MARK={mark}", "sleep", "100"], 100)
    finally:
        pi.start()
    assert link.run(["echo", "back"], 10).text == "back"


def test_frozen_peer_is_lost_within_seconds(pi: Board, link: SshLink) -> None:
    """A peer that says nothing any more, with its connection open, is noticed: within 30 s; the next call connects again."""
    mark = os.urandom(8).hex()
    with (
        contextlib.ExitStack() as until_noticed,
        within(30),
        when(lambda: marked(mark), lambda: until_noticed.enter_context(pi.frozen())),
        pytest.raises(LinkLost),
    ):
        link.run(["env", f"MARK={mark}", "sleep", "100"], 100)
    assert link.run(["echo", "back"], 10).text == "back"


def test_broken_push_is_repeated(pi: Board, link: SshLink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server dies in the middle of a push and comes back: the file is there, whole, and nothing else is."""
    local = tmp_path / "model.tflite"
    local.write_bytes(os.urandom(1_000_000) * 40)
    put = asyncssh.SFTPClient.put
    arrived: list[int] = []

    def die_once(source: bytes, there: bytes, done: int, whole: int) -> None:
        if not arrived:
            arrived.append(done)
            pi.restart()

    async def dying(files: asyncssh.SFTPClient, *paths: str) -> None:
        await put(files, *paths, progress_handler=die_once)

    monkeypatch.setattr(asyncssh.SFTPClient, "put", dying)
    files = DeviceFiles(link, str(tmp_path / "work"))
    assert Path(files.put(local)).read_bytes() == local.read_bytes()
    assert 0 < arrived[0] < local.stat().st_size
    assert files.pushed_bytes == 2 * local.stat().st_size


def test_job_goes_on_while_the_link_is_down(pi: Board, link: SshLink, tmp_path: Path) -> None:
    """The server dies while a job runs and comes back: the job ran once, and its answer is there."""
    mark = os.urandom(8).hex()

    def drop() -> None:
        with pi.unplugged():
            time.sleep(0.7)

    with job_folder(link, str(tmp_path / "work")) as folder, when(lambda: marked(mark), drop):
        words = ["sh", "-c", "echo ran >>ran; sleep 2.5; cat ran"]
        finished = run_detached(link, words, folder, 60, env={"MARK": mark})
    assert finished.log == "ran\n"
    assert nothing_left(mark)


def test_full_disk_reports_needed_and_available(pi: Board, link: SshLink, tmp_path: Path) -> None:
    """A file that does not fit is refused before; a disk that fills meanwhile is told too; no half file is left."""
    local = tmp_path / "model"
    local.write_bytes(os.urandom(5_000_000))
    before = link._require_space
    calls = 0

    async def filled_meanwhile(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > 1:
            await before(*arguments)

    with pi.full_disk(free_kb=4096):
        for require in (before, filled_meanwhile):
            link._require_space = require  # type: ignore[method-assign]
            with pytest.raises(DeviceFull, match=r"pi: no space in .*cache: needs 5\.0 MB, has 4\.2 MB"):
                link.push(local, f"{pi.disk}/model")
            assert link.run(["ls", "-A", pi.disk], 10).text == ""


def test_read_only_folder_is_reported(pi: Board, link: SshLink, tmp_path: Path) -> None:
    """The board's own words, and the key to change: within 30 s."""
    (tmp_path / "model").write_text("x")
    with pi.read_only(), within(30):
        with pytest.raises(CommandFailed, match=r"Read-only file system[^\n]*\nHint: set work_folder in devices\.yaml"):
            DeviceFiles(link, f"{pi.disk}/edgeworthy").put(tmp_path / "model")
        with pytest.raises(CommandFailed, match=r"pi: pushing model to .*cache/model failed: "):
            link.push(tmp_path / "model", f"{pi.disk}/model")
