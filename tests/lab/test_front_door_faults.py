"""What goes wrong with one device while ``pytest benchmarks/`` runs: its cells end as they should, all others are green."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.integration.conftest import Project
from tests.lab.board import Board, runners
from tests.lab.machine import ADDRESS, free_port
from tests.lab.phone import Phone
from tests.lab.runs import GREEN, HOST, LIMIT_S, PHONE, PI, device, of_target, run, started, working
from tests.waiting import until, when, whenever


def pushed(folder: Path) -> dict[str, int]:
    """Every file that a phone keeps, by its sha256, and the inode that it has until it is pushed again."""
    return {
        path.name: path.stat().st_ino for kept in ("tools", "models", "samples") for path in (folder / kept).iterdir()
    }


@pytest.mark.parametrize("required", [True, False])
def test_an_absent_device(lab_project: Project, required: bool) -> None:
    """Required: its cells are errors and the run is red. Not required: they are absent, and the run is green."""
    device(lab_project, "phone").update(port=free_port(), required=required)
    done = run(lab_project, *PHONE, *HOST)
    assert done.returncode == int(required), done.stdout
    wanted = "error" if required else "absent"
    assert of_target(lab_project, "phone:cpu")["fp32"] == wanted
    assert of_target(lab_project, "host:cpu") == GREEN


def test_only_absent_devices_are_no_evidence(lab_project: Project) -> None:
    """A run in which every device was absent is red, required or not."""
    device(lab_project, "phone").update(port=free_port(), required=False)
    done = run(lab_project, *PHONE)
    assert done.returncode == 1
    assert "no cell was judged" in done.stdout


def test_a_device_that_never_cools(lab_project: Project, phone: Phone) -> None:
    """After the time that hygiene allows, its timing is an error that says how hot it is; accuracy is judged."""
    device(lab_project, "phone")["hygiene"] = {"max_temperature_c": 30, "settle_s": 1, "poll_s": 0.2}
    with phone.telemetry.saying(skin_c=51.0):
        done = run(lab_project, *PHONE, *HOST)
    assert done.returncode == 1
    assert "waiting for phone: cooling: 51.0 C, at most 30 C wanted" in done.stdout
    assert of_target(lab_project, "phone:cpu") == {"fp32": "error", "canary": "rejected"}
    assert "after 1 s of waiting" in lab_project.message("fp32", "lite", "phone:cpu")
    assert of_target(lab_project, "host:cpu") == GREEN


def test_a_device_that_throttles_while_it_is_timed(lab_project: Project, phone: Phone) -> None:
    """Its numbers are not comparable, which is red, and its accuracy is judged all the same."""
    device(lab_project, "phone")["hygiene"] = {"remeasure": 0, "settle_s": 60, "poll_s": 0.2}
    with (
        phone.telemetry.saying(thermal_status=0),
        when(working(phone), lambda: phone.telemetry.set(thermal_status=3)),
    ):
        done = run(lab_project, *PHONE, "-k", "latency")
    assert done.returncode == 1
    assert of_target(lab_project, "phone:cpu")["fp32"] == "not comparable"
    assert "throttled while it was measured" in lab_project.message("fp32", "lite", "phone:cpu")


def test_the_daemon_is_killed_while_the_phone_works(lab_project: Project, phone: Phone) -> None:
    """The job on the phone goes on; once the daemon is back its answers are fetched, and the run is green."""
    with when(working(phone), phone.restart):
        done = run(lab_project, *PHONE, *HOST)
    assert done.returncode == 0, done.stdout
    assert of_target(lab_project, "phone:cpu") == GREEN


def test_the_phone_reboots_while_it_works(lab_project: Project, phone: Phone) -> None:
    """Its boot id tells; the cell is measured once more, and the run is green."""
    with when(working(phone), phone.reboot):
        done = run(lab_project, *PHONE, *HOST)
    assert done.returncode == 0, done.stdout
    assert of_target(lab_project, "phone:cpu") == GREEN


def test_a_delegate_that_the_build_lacks_is_no_slow_pass(lab_project: Project) -> None:
    """NNAPI is asked for and the tool ignores the flag: red, with the line that proves it; the processor's cells are green."""
    device(lab_project, "phone")["backends"]["nnapi"] = {"delegate": "nnapi"}
    done = run(lab_project, *PHONE)
    assert done.returncode == 1
    assert of_target(lab_project, "phone:nnapi")["fp32"] == "error"
    assert "Unconsumed cmdline flags" in lab_project.message("fp32", "lite", "phone:nnapi")
    assert of_target(lab_project, "phone:cpu") == GREEN


def test_a_tool_for_another_processor(lab_project: Project, tmp_path: Path) -> None:
    """It is refused before it is pushed, with both ABIs."""
    arm = tmp_path / "benchmark_model"
    arm.write_bytes(b"\x7fELF\x02\x01\x01".ljust(18, b"\0") + (183).to_bytes(2, "little") + bytes(64))
    device(lab_project, "phone")["benchmark_model"] = {"x86_64": str(arm)}
    done = run(lab_project, *PHONE, *HOST)
    assert done.returncode == 1
    assert "is for arm64-v8a, the phone is x86_64" in lab_project.message("fp32", "lite", "phone:cpu")
    assert of_target(lab_project, "host:cpu") == GREEN


def test_changed_host_key_is_refused(lab_project: Project, pi: Board) -> None:
    """Somebody else answers at the board's address: its cells are errors, the others are green."""
    pi.change_host_key()
    try:
        done = run(lab_project, *PI, *HOST)
    finally:
        pi.trust()
    assert done.returncode == 1
    assert "host key" in lab_project.message("fp32", "lite", "pi:cpu")
    assert of_target(lab_project, "host:cpu") == GREEN


def test_a_second_run_pushes_nothing(lab_project: Project, phone: Phone) -> None:
    """What is on the phone is verified there by its sha256 and not pushed again."""
    assert run(lab_project, *PHONE).returncode == 0
    folder = phone.work / "edgeworthy"
    before = pushed(folder)
    assert before
    assert run(lab_project, *PHONE).returncode == 0
    assert pushed(folder) == before


#: Held up between the push of the samples and the first job.
HELD_UP = """
import pathlib, time
from edgeworthy.targets.links.adb import AdbLink

push, pushed, go_on = AdbLink.push, pathlib.Path({pushed!r}), pathlib.Path({go_on!r})

def held_up(link, local, remote):
    push(link, local, remote)
    if "/samples/" in remote:
        pushed.touch()
    while pushed.exists() and not go_on.exists():
        time.sleep(0.01)

AdbLink.push = held_up
"""


@contextlib.contextmanager
def conftest(project: Project, code: str) -> Iterator[None]:
    """The runs of the project begin with this code."""
    path = project.root / "benchmarks" / "conftest.py"
    path.write_text(code)
    try:
        yield
    finally:
        path.unlink()


def test_the_phone_is_unplugged_between_push_and_run(lab_project: Project, phone: Phone, tmp_path: Path) -> None:
    """The samples are there, no job has begun, and the phone is gone for two seconds: it is waited for, the run is green."""
    there = phone.work / "fresh"
    device(lab_project, "phone")["work_folder"] = f"{phone.disk}/fresh"
    pushed, go_on = tmp_path / "pushed", tmp_path / "go-on"

    def unplug() -> None:
        assert [path.suffix for path in there.glob("samples/*")] == [".bin"]
        assert not list(there.glob("jobs/*"))
        with phone.unplugged():
            go_on.touch()
            time.sleep(2)

    held_up = conftest(lab_project, HELD_UP.format(pushed=str(pushed), go_on=str(go_on)))
    with held_up, when(pushed.exists, unplug):
        done = run(lab_project, *PHONE, *HOST)
    assert done.returncode == 0, done.stdout
    assert of_target(lab_project, "phone:cpu") == GREEN


def test_a_full_disk(lab_project: Project, phone: Phone) -> None:
    """What is needed and what there is; the host's cells are green."""
    with phone.full_disk(free_kb=64):
        done = run(lab_project, *PHONE, *HOST)
    assert done.returncode == 1
    assert "no space in /data/local/tmp/edgeworthy" in lab_project.message("fp32", "lite", "phone:cpu")
    assert of_target(lab_project, "host:cpu") == GREEN


HELP = "#!/bin/sh\ncase $* in *--help*) echo --input_layer_value_files --output_filepath; exit ;; esac\n"
#: Half of what a real one says, cut in the middle of a number.
TRUNCATED = "INFO: count=1 first=3084 curr=3084 min=3084 max=3084 avg=3084 std=0\nINFO: count=50 first=3084 cu"


@pytest.mark.parametrize("said", ["\\0377\\0000\\0001 count=three", TRUNCATED])
def test_tool_without_output(lab_project: Project, tmp_path: Path, said: str) -> None:
    """Garbage and half a transcript, of a tool that ends well, are no measurement; the host's cells are green."""
    tool = tmp_path / "benchmark_model"
    tool.write_text(f"{HELP}printf '%b' '{said}'\n")
    device(lab_project, "phone")["benchmark_model"] = {"x86_64": str(tool)}
    done = run(lab_project, *PHONE, *HOST)
    assert done.returncode == 1
    assert of_target(lab_project, "phone:cpu")["fp32"] == "error"
    assert "benchmark_model" in lab_project.message("fp32", "lite", "phone:cpu")
    assert of_target(lab_project, "host:cpu") == GREEN


@pytest.mark.parametrize("name", ["phone", "pi"])
def test_an_interrupted_run_leaves_nothing_running(
    lab_project: Project, phone: Phone, pi: Board, tmp_path: Path, name: str
) -> None:
    """After ctrl-C the job is ended on the device: within 60 s."""
    work = phone.work / "edgeworthy" if name == "phone" else pi.home / ".cache" / "edgeworthy"
    lab_project.models["latency"]["min_load_ms"] = 20_000
    log = tmp_path / "log"
    with started(lab_project, log, "--edge-target", f"{name}:*", "-k", "latency") as process:
        until(lambda: list(work.glob("jobs/*/pid")) or process.poll() is not None, LIMIT_S)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 2, log.read_text()
    assert not list(work.glob("jobs/*"))


# -- beside another device ------------------------------------------------------------------------------------


@contextlib.contextmanager
def unauthorized(project: Project, phone: Phone, pi: Board) -> Iterator[None]:
    device(project, "pi")["key"] = str(pi.stranger)
    yield


@contextlib.contextmanager
def offline(project: Project, phone: Phone, pi: Board) -> Iterator[None]:
    """Connections are taken and nothing answers."""
    with socket.create_server((ADDRESS, 0)) as silent:
        device(project, "phone")["port"] = silent.getsockname()[1]
        yield


@contextlib.contextmanager
def half_dead(project: Project, phone: Phone, pi: Board) -> Iterator[None]:
    """For longer than a link needs to notice it."""

    def freeze() -> None:
        with phone.frozen():
            time.sleep(12)

    with when(working(phone), freeze):
        yield


def killed(project: Project, phone: Phone, pi: Board) -> contextlib.AbstractContextManager[None]:
    """Every runner, since the first one may only try how many samples go together, where a crash means no."""
    work = pi.home / ".cache" / "edgeworthy"

    def kill() -> None:
        for runner in runners(work):
            with contextlib.suppress(psutil.NoSuchProcess):
                runner.kill()

    return whenever(lambda: runners(work), kill)


@contextlib.contextmanager
def too_slow(project: Project, phone: Phone, pi: Board) -> Iterator[None]:
    """The tool runs on; the host has the same time limit."""
    tool = project.root / "slow_tool"
    tool.write_text(f"{HELP}sleep 600\n")
    device(project, "phone")["benchmark_model"] = {"x86_64": str(tool)}
    project.models["timeouts"] = {"cell_s": 15}
    yield


def read_only(project: Project, phone: Phone, pi: Board) -> contextlib.AbstractContextManager[None]:
    return phone.read_only()


@contextlib.contextmanager
def gone(project: Project, phone: Phone, pi: Board) -> Iterator[None]:
    """Unplugged in the middle and never back; the run's patience is cut to seconds."""
    with conftest(project, "from edgeworthy.targets.links import patience\n\npatience.PATIENCE_S = 5\n"):
        try:
            with when(working(phone), phone.kill):
                yield
        finally:
            phone.start()


FAULTS: dict[Callable[[Project, Phone, Board], contextlib.AbstractContextManager[None]], tuple[str, str, str]] = {
    unauthorized: ("pi:cpu", "error", "does not accept the key"),
    offline: ("phone:cpu", "error", "offline"),
    half_dead: ("phone:cpu", "pass", ""),
    killed: ("pi:cpu", "error", "was killed by the device (low memory?)"),
    too_slow: ("phone:cpu", "error", "did not finish within"),
    read_only: ("phone:cpu", "error", "Read-only file system"),
    gone: ("phone:cpu", "error", "connecting again for 5 s did not help"),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_other_devices_are_not_affected(
    lab_project: Project,
    phone: Phone,
    pi: Board,
    fault: Callable[[Project, Phone, Board], contextlib.AbstractContextManager[None]],
) -> None:
    """Whatever is wrong with one device ends in its own cell's status and sentence; the other's cell is green."""
    target, status, words = FAULTS[fault]
    with fault(lab_project, phone, pi):
        done = run(lab_project, "--edge-target", target, *HOST, "-k", "accuracy")
    assert of_target(lab_project, target)["fp32"] == status, done.stdout
    assert words in lab_project.message("fp32", "lite", target)
    assert of_target(lab_project, "host:cpu")["fp32"] == "pass"
    assert done.returncode == (0 if status == "pass" else 1)
