"""The SSH link against a real sshd: what it carries, whom it trusts, and what it says when the board misbehaves."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import CommandFailed, CommandTimeout, DeviceAbsent, DeviceFull, DeviceRefuses, LinkLost
from harness.targets.device_files import DeviceFiles
from harness.targets.device_jobs import job_folder, run_detached
from harness.targets.links.ssh import SshLink
from tests.sshd import Sshd
from tests.unit.test_device_jobs import HOSTILE, marked, nothing_left


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    server = Sshd(tmp_path)
    yield server
    server.kill()


@pytest.fixture
def link(sshd: Sshd) -> Iterator[SshLink]:
    made = sshd.link()
    yield made
    made.close()


def later(seconds: float, act: object) -> threading.Timer:
    timer = threading.Timer(seconds, act)  # type: ignore[arg-type]
    timer.start()
    return timer


# -- what it carries ------------------------------------------------------------------------------------------


def test_status_and_both_streams_come_apart(link: SshLink) -> None:
    """Any exit status is an answer, bytes are bytes, and a signal is 128 + its number."""
    done = link.run(["sh", "-c", "printf 'a\\377'; echo b >&2; exit 7"], 10)
    assert (done.status, done.stdout, done.stderr) == (7, b"a\xff", b"b\n")
    assert link.run(["sh", "-c", "kill -s TERM $$"], 10).status == 143
    assert link.run(["cat"], 10).stdout == b""
    assert link.run(["no-such-program"], 10).status == 127


def test_words_are_words(link: SshLink, tmp_path: Path) -> None:
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
    assert not (Path.home() / "pwned").exists()


def test_time_limit_kills_on_the_board(link: SshLink) -> None:
    """CommandTimeout within the limit and a second, and nothing is left running there."""
    mark, start = os.urandom(8).hex(), time.monotonic()
    with pytest.raises(CommandTimeout, match=r"pi: env .* did not finish within 1 s and was killed there"):
        link.run(["env", f"MARK={mark}", "sh", "-c", "trap '' TERM; sleep 60; sleep 60"], 1)
    assert time.monotonic() - start < 3
    assert nothing_left(mark)
    assert link.run(["true"], 10).status == 0


def test_missing_files_and_folders_are_said(link: SshLink, tmp_path: Path) -> None:
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


def test_unknown_host_key_is_refused_with_its_fingerprint(sshd: Sshd) -> None:
    """Never taken on trust: which key it showed, how to compare it, how to add it; also without any known_hosts."""
    shown = subprocess.run(["ssh-keygen", "-lf", sshd.host_key], capture_output=True, text=True, check=True).stdout
    for write in (lambda: sshd.known_hosts.write_text(""), sshd.known_hosts.unlink):
        write()
        with pytest.raises(
            DeviceRefuses, match=r"is not in .*known_hosts\nNext: compare it .*ssh-keyscan -p"
        ) as raised:
            sshd.link().run(["true"], 10)
        assert shown.split()[1] in str(raised.value)


def test_changed_host_key_is_refused(sshd: Sshd) -> None:
    """Another key than the known one: what it may mean, and both remedies."""
    sshd.kill()
    sshd.make_key(sshd.host_key)
    sshd.start()
    with pytest.raises(
        DeviceRefuses, match=r"is not the one in .*or something else answers.*\n.*ssh-keygen -R .*ssh-keyscan"
    ):
        sshd.link().run(["true"], 10)


def test_unauthorized_key_missing_key_and_no_key_are_told_apart(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each way of not getting in has its own sentence and remedy."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    other = tmp_path / "other"
    sshd.make_key(other)
    with pytest.raises(DeviceRefuses, match=r"does not accept the key .*other\nNext: ssh-copy-id -i"):
        SshLink(dataclasses.replace(sshd.address(), key=other)).run(["true"], 10)
    with pytest.raises(DeviceRefuses, match=r"there is no private key .*absent, and no ssh-agent\nNext: ssh-keygen"):
        SshLink(dataclasses.replace(sshd.address(), key=tmp_path / "absent")).run(["true"], 10)
    other.write_text("rubbish")
    with pytest.raises(DeviceRefuses, match=r"the private key .*other cannot be used"):
        SshLink(dataclasses.replace(sshd.address(), key=other)).run(["true"], 10)


# -- what breaks ----------------------------------------------------------------------------------------------


def test_nothing_there_is_absent(sshd: Sshd) -> None:
    """Not listening, and no such host, are DeviceAbsent within a few seconds."""
    sshd.kill()
    start = time.monotonic()
    with pytest.raises(DeviceAbsent, match=rf"pi \(.*@127.0.0.1:{sshd.port}\): nothing listens on port"):
        sshd.link().run(["true"], 10)
    with pytest.raises(DeviceAbsent, match="no such host"):
        SshLink(dataclasses.replace(sshd.address(), address="no-such-host.invalid")).run(["true"], 10)
    assert time.monotonic() - start < 10


def test_server_killed_during_a_command_is_lost_at_once(sshd: Sshd, link: SshLink) -> None:
    """LinkLost within a second of the kill; the next call connects again by itself."""
    assert link.run(["true"], 10).status == 0
    killing = later(0.3, sshd.kill)
    start = time.monotonic()
    with pytest.raises(LinkLost, match="pi: the link was lost while running sleep"):
        link.run(["sleep", "30"], 60)
    assert time.monotonic() - start < 1.5
    killing.join()
    sshd.start()
    assert link.run(["echo", "back"], 10).text == "back"


def test_frozen_peer_is_lost_within_seconds(sshd: Sshd, link: SshLink) -> None:
    """A peer that says nothing any more, with its connection open, is noticed; the next call connects again."""
    assert link.run(["true"], 10).status == 0
    freezing = later(0.2, lambda: sshd.signal(signal.SIGSTOP))
    start = time.monotonic()
    with pytest.raises(LinkLost):
        link.run(["sleep", "60"], 100)
    assert time.monotonic() - start < 9
    freezing.join()
    sshd.signal(signal.SIGCONT)
    assert link.run(["echo", "back"], 10).text == "back"


def test_broken_push_is_repeated(sshd: Sshd, link: SshLink, tmp_path: Path) -> None:
    """The server dies in the middle of a push and comes back: the file is there, whole, and nothing else is."""
    local = tmp_path / "model.tflite"
    local.write_bytes(os.urandom(30_000_000))
    push = link.push

    def dying(local: Path, remote: str) -> None:
        link.push = push  # type: ignore[method-assign]
        killing = later(0.1, sshd.kill)
        try:
            push(local, remote)
        finally:
            killing.join()
            later(0.3, sshd.start)

    link.run(["true"], 10)
    link.push = dying  # type: ignore[method-assign]
    files = DeviceFiles(link, str(tmp_path / "work"))
    assert Path(files.put(local)).read_bytes() == local.read_bytes()
    assert files.pushed_bytes == 2 * local.stat().st_size


def test_job_goes_on_while_the_link_is_down(sshd: Sshd, link: SshLink, tmp_path: Path) -> None:
    """The server dies while a job runs and comes back: the job ran once, and its answer is there."""
    mark = os.urandom(8).hex()
    with job_folder(link, str(tmp_path / "work")) as folder:
        killing, starting = later(0.5, sshd.kill), later(1.2, sshd.start)
        finished = run_detached(
            link, ["sh", "-c", "echo ran >>ran; sleep 2.5; cat ran"], folder, 20, env={"MARK": mark}
        )
        killing.join()
        starting.join()
    assert finished.log == "ran\n"
    assert not marked(mark)


@pytest.mark.skipif(os.getuid() != 0, reason="mounting a small disk needs root")
def test_full_disk_says_needs_and_has(sshd: Sshd, link: SshLink, tmp_path: Path) -> None:
    """A file that does not fit is refused before; a disk that fills meanwhile is told too; no half file is left."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], check=True)
    try:
        local = tmp_path / "model"
        local.write_bytes(os.urandom(5_000_000))
        with pytest.raises(DeviceFull, match=r"pi: no space in .*disk: needs 5\.0 MB, has 4\.2 MB"):
            link.push(local, str(disk / "model"))
        original = link._require_space
        calls = []

        async def fills(*arguments: object) -> None:
            calls.append(arguments)
            if len(calls) > 1:
                await original(*arguments)  # type: ignore[arg-type]

        link._require_space = fills  # type: ignore[method-assign]
        with pytest.raises(DeviceFull, match=r"needs 5\.0 MB, has 4\.2 MB"):
            link.push(local, str(disk / "model"))
        assert not list(disk.iterdir())
    finally:
        subprocess.run(["umount", disk], check=True)
