"""The lab is what it says: real daemons on loopback, and faults that really happen."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from edgeworthy.device_schema import AndroidDevice, LinuxDevice

from tests.lab.board import Board
from tests.lab.machine import free_port, listens
from tests.lab.phone import Phone
from tests.lab.sandbox import Program
from tests.waiting import until

Ran = subprocess.CompletedProcess[str]


def run(*command: str, timeout_s: float = 60) -> Ran:
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)


@pytest.fixture(scope="module")
def adb(phone: Phone, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Ran]:
    """Debian's adb client on the phone, with a server and a home of its own."""
    home = tmp_path_factory.mktemp("adb")
    environment = {**os.environ, "HOME": str(home), "ANDROID_ADB_SERVER_PORT": str(free_port())}

    def client(*arguments: str) -> Ran:
        where = ["-s", f"{phone.address}:{phone.port}"] if "connect" not in arguments[0] else []
        command = ["adb", *where, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)

    def connect() -> None:
        assert "connected to" in client("connect", f"{phone.address}:{phone.port}").stdout

    connect()
    yield client
    client("kill-server")
    server = [process for process in psutil.process_iter(["name", "environ"]) if _serves(process, environment)]
    psutil.wait_procs(server, timeout=5)


def _serves(process: psutil.Process, environment: dict[str, str]) -> bool:
    key = "ANDROID_ADB_SERVER_PORT"
    return process.info["name"] == "adb" and (process.info["environ"] or {}).get(key) == environment[key]


def test_phone_is_androids_shell_and_tools_as_the_shell_user(adb: Callable[..., Ran]) -> None:
    """`adb shell` ends in mksh with toybox, as user 2000, and brings the exit status back."""
    done = adb("shell", "echo $KSH_VERSION; id -u; which timeout; echo lost >&2; exit 7")
    assert done.returncode == 7
    assert done.stderr == "lost\n"
    shell, user, tool = done.stdout.splitlines()
    assert "MIRBSD KSH" in shell
    assert (user, tool) == ("2000", "/system/bin/timeout")


def test_phone_keeps_what_is_pushed(phone: Phone, adb: Callable[..., Ran], tmp_path: Path) -> None:
    """A pushed file is on the phone with its bytes, is pulled as it was, and cannot be put anywhere else."""
    file, back = tmp_path / "a file", tmp_path / "back"
    file.write_bytes(os.urandom(3_000_001))
    assert adb("push", str(file), "/data/local/tmp/a file").returncode == 0
    assert adb("pull", "/data/local/tmp/a file", str(back)).returncode == 0
    assert back.read_bytes() == (phone.work / "a file").read_bytes() == file.read_bytes()
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert adb("shell", "sha256sum '/data/local/tmp/a file'").stdout.startswith(digest)
    assert adb("push", str(file), "/system/bin/").returncode != 0


def test_phone_listens_on_loopback_only(phone: Phone) -> None:
    """adbd, which listens everywhere by itself, is reached at 127.0.0.1 and nowhere else."""
    listening = [each for each in psutil.net_connections("tcp") if each.status == "LISTEN" and each.pid]
    assert {each.laddr.ip for each in listening if each.laddr.port == phone.port} == {"::ffff:127.0.0.1"}


def test_phone_reports_the_values_that_a_test_sets(phone: Phone, adb: Callable[..., Ran]) -> None:
    """Battery, temperature, throttling and screen are those that the test set; properties are Android's."""
    phone.telemetry.set(level_percent=17, battery_c=41.5, skin_c=78.0, thermal_status=3, screen_on=True)
    try:
        battery = adb("shell", "dumpsys battery").stdout
        assert "  level: 17\n" in battery
        assert "  temperature: 415\n" in battery
        thermal = adb("shell", "dumpsys thermalservice").stdout
        assert "Thermal Status: 3\n" in thermal
        assert "Temperature{mValue=78.0, mType=3, mName=SKIN, mStatus=3}" in thermal
        assert "Display Power: state=ON" in adb("shell", "dumpsys power").stdout
    finally:
        phone.telemetry.set(level_percent=84, battery_c=32.6, skin_c=38.5, thermal_status=0, screen_on=False)
    assert adb("shell", "getprop ro.product.cpu.abi").stdout == "x86_64\n"
    assert adb("shell", "getprop no.such.property").stdout == "\n"
    assert adb("shell", "cmd power set-fixed-performance-mode-enabled true").returncode == 0
    assert phone.fixed_performance_mode() == "true"
    assert adb("shell", "cmd nothing there").returncode == 20


def test_phones_disk_can_be_full_read_only_and_without_programs(phone: Phone, adb: Callable[..., Ran]) -> None:
    """The three faults of a disk are the kernel's own, and gone afterwards."""
    write = "cd /data/local/tmp && dd if=/dev/zero of=big bs=1024 count=200 2>&1 && rm big"
    script = "cd /data/local/tmp && echo 'echo ran' > tool && chmod 755 tool"
    assert adb("shell", script).returncode == 0
    with phone.full_disk(free_kb=64):
        assert "No space left" in adb("shell", write).stdout
    with phone.read_only():
        assert "read-only" in adb("shell", "echo x > /data/local/tmp/x").stderr.lower()
    with phone.no_exec():
        assert adb("shell", "/data/local/tmp/tool").returncode == 126
    assert adb("shell", "/data/local/tmp/tool").stdout == "ran\n"
    assert adb("shell", write).returncode == 0


def test_phone_comes_back_from_a_reboot_as_another_boot(phone: Phone, adb: Callable[..., Ran]) -> None:
    """A reboot ends every program, changes the boot id and keeps files and port."""
    boot_id = "cat /proc/sys/kernel/random/boot_id"
    assert adb("shell", "sleep 1000 >/dev/null 2>&1 & echo kept > /data/local/tmp/kept").returncode == 0
    done = adb("shell", boot_id)
    before = done.stdout
    phone.reboot(off_s=0.1)
    adb("disconnect")
    assert "connected to" in adb("connect", f"{phone.address}:{phone.port}").stdout
    done = adb("shell", boot_id)
    after = done.stdout
    assert len(after) == 37
    assert before != after
    assert adb("shell", "cat /data/local/tmp/kept; pgrep -f 'slee[p] 1000'").stdout == "kept\n"


def test_daemons_can_be_killed_and_frozen(phone: Phone) -> None:
    """Unplugged, nothing listens; frozen, the kernel takes a connection that is never answered."""
    with phone.unplugged():
        assert not listens(phone.port)
    with phone.frozen():
        assert psutil.Process(phone.program.pid).status() == psutil.STATUS_STOPPED
    assert listens(phone.port)


@pytest.mark.parametrize("name", ["pi", "arm_board"])
def test_board_accepts_only_its_key(name: str, request: pytest.FixtureRequest) -> None:
    """OpenSSH's own client gets in with the board's key, sees its user's empty home, and is refused with another."""
    board: Board = request.getfixturevalue(name)
    done = run(*board.ssh("pwd; vcgencmd measure_temp; uname -m"))
    machine = "aarch64" if name == "arm_board" else os.uname().machine
    assert done.stdout.splitlines() == [str(board.system.home), "temp=42.8'C", machine], done.stderr
    refused = run(*[str(board.stranger) if word == str(board.key) else word for word in board.ssh("true")])
    assert refused.returncode == 255
    assert "Permission denied (publickey)" in refused.stderr


def test_board_with_another_host_key_is_refused(pi: Board) -> None:
    """After a change of the host key the client that knew the old one does not connect."""
    pi.change_host_key()
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in run(*pi.ssh("true")).stderr
    pi.trust()
    assert run(*pi.ssh("true")).returncode == 0


def test_boards_detached_program_outlives_the_daemon(pi: Board) -> None:
    """A program that was started apart goes on while nothing listens, and a frozen daemon answers nobody."""
    assert run(*pi.ssh("setsid sh -c 'sleep 0.5; echo done > ~/detached' >/dev/null 2>&1 &")).returncode == 0
    with pi.unplugged():
        assert run(*pi.ssh("true")).returncode == 255
        time.sleep(0.7)
    assert (pi.home / "detached").read_text() == "done\n"
    with pi.frozen(), pytest.raises(subprocess.TimeoutExpired):
        run(*pi.ssh("true"), timeout_s=1)
    assert run(*pi.ssh("true")).returncode == 0


def test_boards_disk_and_telemetry_are_the_tests(pi: Board) -> None:
    """The disk of the work folder fills up, and the firmware's bits are those that the test set."""
    with pi.full_disk(free_kb=64):
        done = run(*pi.ssh("head -c 200000 /dev/zero > ~/.cache/big"))
    assert "No space left" in done.stderr
    pi.telemetry.set(temperature_c=82.0, throttled=0x50005)
    try:
        assert run(*pi.ssh("vcgencmd get_throttled")).stdout == "throttled=0x50005\n"
    finally:
        pi.telemetry.set()


def test_devices_are_gone_with_the_process_that_started_them(phone: Phone) -> None:
    """What runs in a namespace dies with its first process, so that no daemon is left behind."""
    from tests.lab.sandbox import Sandbox

    sandbox = Sandbox(phone.root, [])
    log = phone.folder / "sleeper.log"
    program = sandbox.start("/usr/bin/sleep", "1000", log=log)
    assert program.running()
    sandbox.close()
    program.kill()
    assert not psutil.pid_exists(program.pid) or psutil.Process(program.pid).status() == psutil.STATUS_ZOMBIE


def test_entries_are_the_schemas(phone: Phone, pi: Board) -> None:
    """What a fixture gives for devices.yaml is accepted by its schema."""
    entry = phone.devices_entry(required=False)
    assert not AndroidDevice.model_validate(entry).required
    assert LinuxDevice.model_validate(pi.devices_entry()).port == pi.port


def test_freezing_does_not_wait_for_a_child_that_has_ended() -> None:
    """A child whose end nobody has collected stays in the list of processes for as long as its parent is frozen."""
    parent = subprocess.Popen([sys.executable, "-c", "import os, time; os.fork() or os._exit(0); time.sleep(60)"])
    try:
        child = until(lambda: psutil.Process(parent.pid).children())[0]
        until(lambda: child.status() == psutil.STATUS_ZOMBIE)
        program = Program(parent, psutil.Process(parent.pid))
        program.freeze()
        assert psutil.Process(parent.pid).status() == psutil.STATUS_STOPPED
        program.thaw()
        until(lambda: psutil.Process(parent.pid).status() == psutil.STATUS_SLEEPING)
    finally:
        parent.kill()
        parent.wait(timeout=10)


def test_signal_is_only_for_the_daemon(pi: Board) -> None:
    """Freezing reaches the daemon's own processes, not what runs under them."""
    runner = subprocess.Popen(pi.ssh("exec sleep 20"), stdin=subprocess.DEVNULL)
    try:
        daemon = psutil.Process(pi.program.pid)
        sleeping = until(lambda: [each for each in daemon.children(recursive=True) if each.name() == "sleep"])[0]
        with pi.frozen():
            assert sleeping.status() == psutil.STATUS_SLEEPING
    finally:
        runner.send_signal(signal.SIGTERM)
        runner.wait(timeout=10)
