"""Whatever goes wrong on the way to a phone ends in an error of its own, within a stated time, and the next call works."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from edgeworthy.errors import (
    CommandFailed,
    CommandTimeout,
    DeviceAbsent,
    DeviceError,
    DeviceFull,
    DeviceRefuses,
    LinkLost,
)
from edgeworthy.targets.links.adb import AdbLink
from edgeworthy.targets.links.adb_keys import load_key
from edgeworthy.targets.links.adb_transport import TcpConnection, TcpTransport

from tests.lab.adb_daemon import SHELL_V1, AdbDaemon, Connection, Dropped, Fault, Packet, adb_daemon
from tests.lab.hostile_names import HOSTILE_NAMES
from tests.waiting import until, when, within

REPOSITORY = Path(__file__).parents[2]
SLEEP = ["sleep", "20"]


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "adbkey"
    load_key(path)
    return path


@pytest.fixture
def daemon() -> Iterator[AdbDaemon]:
    with adb_daemon() as listening:
        yield listening


@pytest.fixture
def link(daemon: AdbDaemon, key: Path) -> Iterator[AdbLink]:
    with contextlib.closing(AdbLink("phone", TcpConnection("127.0.0.1", daemon.port), key)) as link:
        yield link


def fails(error: type[DeviceError], says: str, call: Callable[[], object]) -> None:
    """The call ends in exactly this error, which names the device and has a next step."""
    with pytest.raises(error, match=re.escape(says)) as caught:
        call()
    assert type(caught.value) is error
    assert caught.value.message.startswith("phone")
    assert caught.value.hint


def asked(daemon: AdbDaemon, command: bytes) -> Callable[[], bool]:
    """Whether the daemon has been asked for the command."""
    return lambda: any(packet.command == b"OPEN" and command in packet.data for packet in list(daemon.received))


def works(link: AdbLink) -> None:
    """The next call makes a new connection where it must."""
    assert link.run(["echo", "fine"], 5).text == "fine"


def at(command: bytes, fault: Callable[[Connection], None], after: int = 0) -> Fault:
    """A fault once, at the packet of this kind that comes ``after`` others of it."""
    seen = 0

    def watch(connection: Connection, packet: Packet) -> None:
        nonlocal seen
        if packet.command == command:
            seen += 1
            if seen == after + 1:
                fault(connection)

    return watch


def drop(connection: Connection) -> None:
    raise Dropped


def stall(connection: Connection) -> None:
    """Keep the connection and do nothing any more."""
    while connection.socket.recv(1 << 16):
        pass
    raise Dropped


def say(data: bytes) -> Callable[[Connection], None]:
    """Send these bytes, and only then what is asked for."""
    return lambda connection: connection.send_bytes(data)


# Reaching the device


def test_nothing_listens(key: Path) -> None:
    """Asked again for a while, then absent: within 4 s."""
    link = AdbLink("phone", TcpConnection("127.0.0.1", 1), key)
    with within(4):
        fails(DeviceAbsent, "phone (127.0.0.1:1): nothing listens there", lambda: link.run(["true"], 5))


def test_unknown_host(key: Path) -> None:
    """A name that no network can know is not asked for again and again: within 30 s."""
    link = AdbLink("phone", TcpConnection("no name"), key)
    with within(30):
        fails(DeviceAbsent, "cannot be reached", lambda: link.run(["true"], 5))


def test_offline(link: AdbLink, daemon: AdbDaemon) -> None:
    """A daemon that takes the connection and never answers is offline: within 7 s."""
    daemon.fault = at(b"CNXN", stall)
    with within(7):
        fails(DeviceAbsent, "offline", lambda: link.run(["true"], 5))
    works(link)


def test_connection_ended_at_once(link: AdbLink, daemon: AdbDaemon) -> None:
    """A daemon that hangs up: within 3 s."""
    daemon.fault = at(b"CNXN", drop)
    with within(3):
        fails(DeviceAbsent, "ends the connection at once", lambda: link.run(["true"], 5))
    works(link)


@pytest.mark.parametrize("garbage", [b"SSH-2.0-OpenSSH_9.2p1 Debian-2", bytes(64), os.urandom(400)])
def test_something_else_listens(link: AdbLink, daemon: AdbDaemon, garbage: bytes) -> None:
    """What is no ADB is said to be none: within 3 s."""
    daemon.fault = at(b"CNXN", say(garbage))
    with within(3):
        fails(DeviceAbsent, "not an ADB daemon", lambda: link.run(["true"], 5))
    works(link)


def test_greeting_cut_off(link: AdbLink, daemon: AdbDaemon) -> None:
    """Half a packet and no more: within 3 s."""

    def half(connection: Connection) -> None:
        connection.send_bytes(Packet(b"CNXN", 0x01000000, 4096, b"device::").packed()[:20])
        raise Dropped

    daemon.fault = at(b"CNXN", half)
    with within(3):
        fails(DeviceAbsent, "ends the connection", lambda: link.run(["true"], 5))
    works(link)


def test_wireless_debugging(link: AdbLink, daemon: AdbDaemon) -> None:
    """A device that wants TLS is refused with what to do instead: within 3 s."""
    daemon.fault = at(b"CNXN", say(Packet(b"STLS", 0x01000000).packed()))
    with within(3), pytest.raises(DeviceRefuses, match="wants TLS") as caught:
        link.run(["true"], 5)
    assert "adb tcpip 5555" in caught.value.hint


# Being let in


def test_known_key_is_accepted(link: AdbLink, daemon: AdbDaemon, key: Path) -> None:
    """The signature is enough; the public key is not even sent."""
    daemon.known_keys = [load_key(key).signer.GetPublicKey().encode()]
    works(link)
    assert [packet.arg0 for packet in daemon.received if packet.command == b"AUTH"] == [2]


def test_unknown_key_is_accepted_after_confirmation(link: AdbLink, daemon: AdbDaemon) -> None:
    """And is known from then on."""
    daemon.known_keys, daemon.person_says_yes = [], True
    works(link)
    link.close()
    daemon.person_says_yes = False
    works(link)


def test_unknown_key(link: AdbLink, daemon: AdbDaemon, key: Path) -> None:
    """Nobody says yes: the error names the key and the screen, within 12 s."""
    daemon.known_keys = []
    with within(12):
        fails(DeviceRefuses, f"does not know the key {key}", lambda: link.run(["true"], 5))
    daemon.person_says_yes = True
    works(link)


def test_no_key(daemon: AdbDaemon, tmp_path: Path) -> None:
    """Where there was no key, that is what the error says; also where the device hangs up: within 3 s."""
    daemon.known_keys = []
    daemon.fault = at(b"AUTH", drop, after=1)
    link = AdbLink("phone", TcpConnection("127.0.0.1", daemon.port), tmp_path / "adbkey")
    with within(3):
        fails(DeviceRefuses, f"there was none, and {tmp_path}/adbkey has just been made", lambda: link.run(["true"], 5))


# Commands


def test_connection_lost_during_a_command(link: AdbLink, daemon: AdbDaemon) -> None:
    """The cable is pulled, the daemon killed: noticed within 10 s, and not when the command would end."""
    works(link)
    with within(10), when(asked(daemon, b"sleep"), daemon.drop_all):
        fails(LinkLost, "during 'sleep 20': the device ended the connection", lambda: link.run(SLEEP, 20))
    works(link)


def test_long_command_is_shown_on_one_line(link: AdbLink, daemon: AdbDaemon) -> None:
    """A script does not fill the screen."""
    daemon.fault = at(b"OPEN", drop)
    with pytest.raises(LinkLost) as caught:
        link.run(["sh", "-c", "echo a\n" * 100], 5)
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 250


def test_half_dead_link(link: AdbLink, daemon: AdbDaemon) -> None:
    """A device that falls silent during a command: within 10 s, however long the command may take."""
    daemon.fault = at(b"OPEN", stall)
    with within(10):
        fails(LinkLost, "fell silent", lambda: link.run(["true"], 60))
    works(link)


def test_service_refused(link: AdbLink, daemon: AdbDaemon) -> None:
    """A device that closes the stream instead of opening it: within 3 s."""
    daemon.fault = at(b"OPEN", say(Packet(b"CLSE", 0, 1).packed()))
    with within(3):
        fails(LinkLost, "closed the stream", lambda: link.run(["true"], 5))
    works(link)


@pytest.mark.parametrize(
    "garbage",
    [b"what is this? It is no packet.", Packet(b"WRTE", 1, 1, b"ab").packed()[:-2] + b"xy"],
    ids=["no packet", "wrong checksum"],
)
def test_garbage_during_a_command(link: AdbLink, daemon: AdbDaemon, garbage: bytes) -> None:
    """Nothing is made of it: within 3 s."""
    daemon.fault = at(b"OPEN", say(garbage))
    with within(3):
        fails(LinkLost, "garbled", lambda: link.run(["true"], 5))
    works(link)


def test_packet_cut_off(link: AdbLink, daemon: AdbDaemon) -> None:
    """Half a packet, then the end: within 3 s."""

    def half(connection: Connection) -> None:
        connection.send_bytes(Packet(b"WRTE", 1, 1, b"all of the output").packed()[:30])
        raise Dropped

    daemon.fault = at(b"OPEN", half)
    with within(3):
        fails(LinkLost, "ended the connection", lambda: link.run(["true"], 5))
    works(link)


def test_stream_that_ends_without_a_status(link: AdbLink, daemon: AdbDaemon) -> None:
    """No status is made up: within 3 s."""

    def cut(connection: Connection) -> None:
        connection.send(Packet(b"OKAY", 9, 1))
        connection.send(Packet(b"CLSE", 9, 1))

    daemon.fault = at(b"OPEN", cut)
    with within(3):
        fails(LinkLost, "without an exit status", lambda: link.run(["true"], 5))
    works(link)


def test_packet_that_stops_in_the_middle(link: AdbLink, daemon: AdbDaemon) -> None:
    """Half a packet and no more, of a command that has a minute: within 10 s."""

    def half(connection: Connection) -> None:
        connection.send_bytes(Packet(b"WRTE", 1, 1, b"all of the output").packed()[:30])
        stall(connection)

    daemon.fault = at(b"OPEN", half)
    with within(10):
        fails(LinkLost, "fell silent", lambda: link.run(["true"], 60))
    works(link)


@pytest.mark.parametrize("features", ["shell_v2,cmd", SHELL_V1])
def test_command_that_runs_on_is_killed_on_the_device(
    link: AdbLink, daemon: AdbDaemon, tmp_path: Path, features: str
) -> None:
    """At its time limit, itself and what it has started: within 20 s."""
    daemon.features = features
    script = 'echo $$ >"$1"; sleep 100 & echo $! >>"$1"; wait'
    with within(20):
        fails(
            CommandTimeout,
            "did not end within 0.5 s and was killed there",
            lambda: link.run(["sh", "-c", script, "sh", str(tmp_path / "pids")], 0.5),
        )
    pids = (tmp_path / "pids").read_text().split()
    assert len(pids) == 2
    until(lambda: not [pid for pid in pids if _runs(pid)])
    works(link)


def _runs(pid: str) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    return False


@pytest.mark.parametrize("features", ["shell_v2,cmd", SHELL_V1])
def test_command_killed_by_the_device(link: AdbLink, daemon: AdbDaemon, features: str) -> None:
    """The low-memory killer's work is status 137, no time-out: within 20 s."""
    daemon.features = features
    with within(20):
        assert link.run(["sh", "-c", "kill -9 $$"], 100).status == 137
    works(link)


@pytest.mark.parametrize("features", ["shell_v2,cmd", SHELL_V1])
def test_status_and_outputs(link: AdbLink, daemon: AdbDaemon, features: str) -> None:
    """Apart and whole, with shell v2 and without."""
    daemon.features = features
    done = link.run(["sh", "-c", "echo out; echo err >&2; exit 7"], 5)
    assert (done.status, done.stdout.strip(), done.stderr.strip()) == (7, b"out", b"err")
    binary = "printf '\\0\\r\\n\\377'"
    assert link.run(["sh", "-c", binary], 5).stdout == b"\0\r\n\xff"


def test_argument_with_nul(link: AdbLink) -> None:
    """Said, not sent."""
    with pytest.raises(CommandFailed, match="has a NUL in it"):
        link.run(["echo", "a\0b"], 5)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, also in the background job of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_interrupted_command_does_not_spoil_the_next(link: AdbLink, daemon: AdbDaemon) -> None:
    """After ctrl-C, what was asked before does not answer later: within 20 s."""
    interrupt = when(asked(daemon, b"late"), lambda: os.kill(os.getpid(), signal.SIGINT))
    with within(20), interrupt, pytest.raises(KeyboardInterrupt):
        link.run(["sh", "-c", "sleep 3; echo late"], 30)
    works(link)


def test_two_threads_take_turns(link: AdbLink) -> None:
    """Each gets its own answer."""

    def ask(word: str) -> str:
        return link.run(["sh", "-c", 'sleep 0.1; echo "$1"', "sh", word], 10).text

    words = [str(number) for number in range(4)]
    with ThreadPoolExecutor(len(words)) as pool:
        assert list(pool.map(ask, words)) == words


def test_device_that_starts_anew(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two calls: refused once, then spoken to again, and no call is lost."""
    with adb_daemon() as before:
        link = AdbLink("phone", TcpConnection("127.0.0.1", before.port), key)
        works(link)
    with contextlib.closing(link), contextlib.ExitStack() as later:
        connect = TcpTransport._connect

        def refused_once(transport: TcpTransport) -> None:
            monkeypatch.undo()
            try:
                connect(transport)
            finally:
                later.enter_context(adb_daemon(before.port))

        monkeypatch.setattr(TcpTransport, "_connect", refused_once)
        works(link)


# Files


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "here"
    path.write_bytes(os.urandom(3_000_000))
    return path


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_file_names_are_quoted(link: AdbLink, file: Path, tmp_path: Path, name: str) -> None:
    """There and back, whatever the name; nothing in it is run."""
    remote = f"{tmp_path}/{name}/{name}"
    link.push(file, remote)
    assert Path(remote).read_bytes() == file.read_bytes()
    assert link.run(["sha256sum", remote], 5).status == 0
    link.pull(remote, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == file.read_bytes()
    assert [path.name for path in Path(remote).parent.iterdir()] == [name]
    assert not list(tmp_path.glob("**/pwned"))
    assert not Path("pwned").exists()


def test_connection_lost_during_a_push(link: AdbLink, daemon: AdbDaemon, file: Path, tmp_path: Path) -> None:
    """Within 3 s; under the file's name stands what stood there before, and the next push is whole."""
    remote = tmp_path / "there"
    remote.write_bytes(b"before")
    works(link)
    daemon.fault = at(b"WRTE", drop, after=4)
    with within(3):
        fails(LinkLost, "during the push", lambda: link.push(file, str(remote)))
    assert remote.read_bytes() == b"before"
    link.push(file, str(remote))
    assert remote.read_bytes() == file.read_bytes()


def test_device_falls_silent_during_a_push(link: AdbLink, daemon: AdbDaemon, file: Path, tmp_path: Path) -> None:
    """Within 12 s, and the next push is whole."""

    def freeze(connection: Connection) -> None:
        time.sleep(12)
        raise Dropped

    daemon.fault = at(b"WRTE", freeze, after=4)
    with within(12):
        fails(LinkLost, "fell silent", lambda: link.push(file, f"{tmp_path}/there"))
    link.push(file, f"{tmp_path}/there")
    assert (tmp_path / "there").read_bytes() == file.read_bytes()


def test_no_space_is_noticed_before_a_push(link: AdbLink, tmp_path: Path) -> None:
    """8 TB are not even begun: within 3 s."""
    with (tmp_path / "huge").open("wb") as huge:
        huge.truncate(8 * 10**12)
    with within(3):
        fails(
            DeviceFull,
            f"no space on {tmp_path}: needs 8000000.0 MB, has ",
            lambda: link.push(tmp_path / "huge", f"{tmp_path}/there"),
        )
    assert not (tmp_path / "there").exists()


def test_no_space_is_seen_while_pushing(link: AdbLink, daemon: AdbDaemon, file: Path, tmp_path: Path) -> None:
    """Somebody else has filled it: within 3 s, with nothing left behind."""
    daemon.room_bytes = 500_000
    with within(3):
        fails(DeviceFull, f"no space on {tmp_path}: needs 3.0 MB, has ", lambda: link.push(file, f"{tmp_path}/there"))
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
    works(link)


def test_name_is_taken_by_a_folder(link: AdbLink, file: Path, tmp_path: Path) -> None:
    """Said as such: within 3 s; nothing is put into the folder."""
    (tmp_path / "there").mkdir()
    with within(3):
        fails(CommandFailed, "it is a folder", lambda: link.push(file, f"{tmp_path}/there"))
    assert not list((tmp_path / "there").iterdir())


def test_folder_cannot_be_made(link: AdbLink, file: Path) -> None:
    """In the device's own words: within 3 s."""
    with within(3):
        fails(CommandFailed, "cannot write '/proc/there/it'", lambda: link.push(file, "/proc/there/it"))


def test_file_to_pull_is_missing(link: AdbLink, tmp_path: Path) -> None:
    """Said, and neither an empty nor a half file is made here: within 3 s."""
    (tmp_path / "back").write_bytes(b"before")
    with within(3):
        fails(CommandFailed, "No such file", lambda: link.pull(f"{tmp_path}/nothing", tmp_path / "back"))
    assert [path.name for path in tmp_path.iterdir()] == ["back"]
    assert (tmp_path / "back").read_bytes() == b"before"
    works(link)


def test_connection_lost_during_a_pull(link: AdbLink, daemon: AdbDaemon, file: Path, tmp_path: Path) -> None:
    """Within 3 s, and no half file is made here."""
    daemon.fault = at(b"OKAY", drop, after=3)
    with within(3):
        fails(LinkLost, "during the pull", lambda: link.pull(str(file), tmp_path / "back"))
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
    link.pull(str(file), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == file.read_bytes()


def test_garbled_file_stream(link: AdbLink, daemon: AdbDaemon, file: Path, tmp_path: Path) -> None:
    """A word that is none of the protocol's: within 3 s."""

    def garble(connection: Connection) -> None:
        connection.send(Packet(b"OKAY", 1, 1))
        connection.send(Packet(b"WRTE", 1, 1, b"WHAT\x04\0\0\0abcd"))

    daemon.fault = at(b"WRTE", garble)
    with within(3):
        fails(LinkLost, "garbled", lambda: link.pull(str(file), tmp_path / "back"))
    works(link)


# Networks


@pytest.mark.skipif(
    subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode != 0,
    reason="a network namespace cannot be made here",
)
def test_small_packets(tmp_path: Path) -> None:
    """20 MB at an MTU of 1500 do not hang, as they do where a short send is taken for a whole one: within 30 s."""
    (tmp_path / "here").write_bytes(os.urandom(20_000_000))
    command = [sys.executable, "-m", "tests.lab.small_packets", str(tmp_path), "double"]
    subprocess.run(["unshare", "-rn", *command], check=True, timeout=30, cwd=REPOSITORY)
    assert (tmp_path / "back").read_bytes() == (tmp_path / "here").read_bytes()
