"""What goes wrong with one device while ``pytest benchmarks/`` runs: its cells end as they should, all others are green."""

from __future__ import annotations

import contextlib
import copy
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Project
from tests.lab.board import Board
from tests.lab.machine import free_port
from tests.lab.phone import Phone

LITE = ("--edge-model", "lite")
HOST, PHONE, PI = ("--edge-target", "host:cpu"), ("--edge-target", "phone:*"), ("--edge-target", "pi:*")
#: Every run here must have ended by then, faults and waiting included.
LIMIT_S = 120


@pytest.fixture
def quick(lab_project: Project) -> Iterator[Project]:
    """The lab's project; what a test changes in devices.yaml is undone."""
    devices = copy.deepcopy(lab_project.devices)
    yield lab_project
    lab_project.devices.clear()
    lab_project.devices.update(devices)


def device(project: Project, name: str) -> dict[str, Any]:
    entry: dict[str, Any] = project.devices["devices"][name]
    return entry


def run(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    return project.run(*LITE, "-k", "accuracy or latency or canary", *arguments, timeout=LIMIT_S)


def of_target(project: Project, target: str) -> dict[str, str]:
    """Variant -> status of the newest run's cells on a target."""
    return {
        cell.split("/")[1]: status for cell, status in project.statuses().items() if cell.rpartition("/")[2] == target
    }


GREEN = {"fp32": "pass", "canary": "rejected"}


@contextlib.contextmanager
def when(condition: Callable[[], bool], act: Callable[[], None]) -> Iterator[None]:
    """Do ``act`` once, as soon as ``condition`` holds, beside the block. Fails where it never did."""
    done, over = threading.Event(), threading.Event()

    def watch() -> None:
        while not over.is_set():
            if condition():
                act()
                done.set()
                return
            time.sleep(0.005)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert done.is_set(), "what should have been waited for never came"


def working(phone: Phone) -> Callable[[], bool]:
    """Whether a job runs on the phone."""
    jobs = phone.work / "edgegate" / "jobs"
    return lambda: any(jobs.glob("*/pid"))


def pushed(folder: Path) -> dict[str, int]:
    """Every file that a phone keeps, by its sha256, and the inode that it has until it is pushed again."""
    return {
        path.name: path.stat().st_ino for kept in ("tools", "models", "samples") for path in (folder / kept).iterdir()
    }


@pytest.mark.parametrize("required", [True, False])
def test_an_absent_device(quick: Project, required: bool) -> None:
    """Required: its cells are errors and the run is red. Not required: they are absent, and the run is green."""
    device(quick, "phone").update(port=free_port(), required=required)
    done = run(quick, *PHONE, *HOST)
    assert done.returncode == int(required), done.stdout
    wanted = "error" if required else "absent"
    assert of_target(quick, "phone:cpu")["fp32"] == wanted
    assert of_target(quick, "host:cpu") == GREEN


def test_only_absent_devices_are_no_evidence(quick: Project) -> None:
    """A run in which every device was absent is red, required or not."""
    device(quick, "phone").update(port=free_port(), required=False)
    done = run(quick, *PHONE)
    assert done.returncode == 1
    assert "no cell was judged" in done.stdout


def test_a_device_that_never_cools(quick: Project, phone: Phone) -> None:
    """After the time that hygiene allows, its timing is an error that says how hot it is; accuracy is judged."""
    device(quick, "phone")["hygiene"] = {"max_temperature_c": 30, "settle_s": 1, "poll_s": 0.2}
    phone.telemetry.set(skin_c=51.0)
    done = run(quick, *PHONE, *HOST)
    phone.telemetry.set(skin_c=38.5)
    assert done.returncode == 1
    assert "waiting for phone: cooling: 51.0 C, at most 30 C wanted" in done.stdout
    assert of_target(quick, "phone:cpu") == {"fp32": "error", "canary": "rejected"}
    assert "after 1 s of waiting" in quick.sentence("fp32", "lite", "phone:cpu")
    assert of_target(quick, "host:cpu") == GREEN


def test_a_device_that_throttles_while_it_is_timed(quick: Project, phone: Phone) -> None:
    """Its numbers are not comparable, which is red, and its accuracy is judged all the same."""
    device(quick, "phone")["hygiene"] = {"remeasure": 0, "settle_s": 60, "poll_s": 0.2}
    with when(working(phone), lambda: phone.telemetry.set(thermal_status=3)):
        done = run(quick, *PHONE, "-k", "latency")
    phone.telemetry.set(thermal_status=0)
    assert done.returncode == 1
    assert of_target(quick, "phone:cpu")["fp32"] == "not comparable"
    assert "throttled while it was measured" in quick.sentence("fp32", "lite", "phone:cpu")


def test_the_daemon_is_killed_while_the_phone_works(quick: Project, phone: Phone) -> None:
    """The job on the phone goes on; once the daemon is back its answers are fetched, and the run is green."""
    with when(working(phone), phone.restart):
        done = run(quick, *PHONE, *HOST)
    assert done.returncode == 0, done.stdout
    assert of_target(quick, "phone:cpu") == GREEN


def test_the_phone_reboots_while_it_works(quick: Project, phone: Phone) -> None:
    """Its boot id tells; the cell is measured once more, and the run is green."""
    with when(working(phone), phone.reboot):
        done = run(quick, *PHONE, *HOST)
    assert done.returncode == 0, done.stdout
    assert of_target(quick, "phone:cpu") == GREEN


def test_two_runs_at_once_take_turns(quick: Project) -> None:
    """Two runs want one phone: both come to their end, green, since each waits for the other's cells."""
    quick.write()
    runs = [
        subprocess.Popen(
            quick.command(*LITE, *PHONE, "-o", f"edge_results=results{index}"),
            cwd=quick.root,
            env=quick.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for index in range(2)
    ]
    for process in runs:
        said, _ = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 0, said


def test_a_delegate_that_the_build_lacks_is_no_slow_pass(quick: Project) -> None:
    """NNAPI is asked for and the tool ignores the flag: red, with the line that proves it; the processor's cells are green."""
    device(quick, "phone")["backends"]["nnapi"] = {"delegate": "nnapi"}
    done = run(quick, *PHONE)
    assert done.returncode == 1
    assert of_target(quick, "phone:nnapi")["fp32"] == "error"
    assert "Unconsumed cmdline flags" in quick.sentence("fp32", "lite", "phone:nnapi")
    assert of_target(quick, "phone:cpu") == GREEN


def test_a_tool_for_another_processor(quick: Project, tmp_path: Path) -> None:
    """It is refused before it is pushed, with both ABIs."""
    arm = tmp_path / "benchmark_model"
    arm.write_bytes(b"\x7fELF\x02\x01\x01".ljust(18, b"\0") + (183).to_bytes(2, "little") + bytes(64))
    device(quick, "phone")["benchmark_model"] = {"x86_64": str(arm)}
    done = run(quick, *PHONE, *HOST)
    assert done.returncode == 1
    assert "is for arm64-v8a, the phone is x86_64" in quick.sentence("fp32", "lite", "phone:cpu")
    assert of_target(quick, "host:cpu") == GREEN


def test_a_changed_host_key_is_not_taken(quick: Project, pi: Board) -> None:
    """Somebody else answers at the board's address: its cells are errors, the others are green."""
    pi.change_host_key()
    done = run(quick, *PI, *HOST)
    pi.trust()
    assert done.returncode == 1
    assert "host key" in quick.sentence("fp32", "lite", "pi:cpu")
    assert of_target(quick, "host:cpu") == GREEN


def test_a_second_run_pushes_nothing(quick: Project, phone: Phone) -> None:
    """What is on the phone is verified there by its sha256 and not pushed again."""
    assert run(quick, *PHONE).returncode == 0
    folder = phone.work / "edgegate"
    before = pushed(folder)
    assert before
    assert run(quick, *PHONE).returncode == 0
    assert pushed(folder) == before


def test_the_phone_is_unplugged_between_push_and_run(quick: Project, phone: Phone) -> None:
    """The samples are there and the phone is gone for two seconds: it is waited for, and the run is green."""
    folder = phone.work / "fresh"
    device(quick, "phone")["work_folder"] = f"{phone.disk}/fresh"

    def unplug() -> None:
        with phone.unplugged():
            time.sleep(2)

    with when(lambda: any(folder.glob("samples/*")), unplug):
        done = run(quick, *PHONE, *HOST)
    assert done.returncode == 0, done.stdout
    assert of_target(quick, "phone:cpu") == GREEN


def test_a_full_disk(quick: Project, phone: Phone) -> None:
    """What is needed and what there is; the host's cells are green."""
    with phone.full_disk(free_kb=64):
        done = run(quick, *PHONE, *HOST)
    assert done.returncode == 1
    assert "no space in /data/local/tmp/edgegate" in quick.sentence("fp32", "lite", "phone:cpu")
    assert of_target(quick, "host:cpu") == GREEN


HELP = "#!/bin/sh\ncase $* in *--help*) echo --input_layer_value_files --output_filepath; exit ;; esac\n"
#: Half of what a real one says, cut in the middle of a number.
TRUNCATED = "INFO: count=1 first=3084 curr=3084 min=3084 max=3084 avg=3084 std=0\nINFO: count=50 first=3084 cu"


@pytest.mark.parametrize("said", ["\\0377\\0000\\0001 count=three", TRUNCATED])
def test_a_tool_whose_output_is_none(quick: Project, tmp_path: Path, said: str) -> None:
    """Garbage and half a transcript, of a tool that ends well, are no measurement; the host's cells are green."""
    tool = tmp_path / "benchmark_model"
    tool.write_text(f"{HELP}printf '%b' '{said}'\n")
    device(quick, "phone")["benchmark_model"] = {"x86_64": str(tool)}
    done = run(quick, *PHONE, *HOST)
    assert done.returncode == 1
    assert of_target(quick, "phone:cpu")["fp32"] == "error"
    assert "benchmark_model" in quick.sentence("fp32", "lite", "phone:cpu")
    assert of_target(quick, "host:cpu") == GREEN


@pytest.mark.parametrize("name", ["phone", "pi"])
def test_an_interrupted_run_leaves_nothing_running(quick: Project, phone: Phone, pi: Board, name: str) -> None:
    """After ctrl-C the job is ended on the device: within 20 s."""
    work = phone.work / "edgegate" if name == "phone" else pi.home / ".cache" / "edgegate"
    latency = dict(quick.models["latency"])
    quick.models["latency"]["min_load_ms"] = 20_000
    quick.write()
    quick.models["latency"] = latency
    process = subprocess.Popen(
        quick.command(*LITE, "--edge-target", f"{name}:*", "-k", "latency"),
        cwd=quick.root,
        env=quick.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    limit = time.monotonic() + LIMIT_S
    while not list(work.glob("jobs/*/pid")) and time.monotonic() < limit:
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=20)
    assert process.returncode == 2, said
    assert not list(work.glob("jobs/*"))
