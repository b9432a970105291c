"""A board over a real sshd, as a target: the host's answers, its own timings, and what becomes of faults."""

from __future__ import annotations

import os
import signal
import sys
import time
import venv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeworthy.config import LatencyPlan
from edgeworthy.datasets.samples import Samples
from edgeworthy.device_schema import DevicesFile
from edgeworthy.errors import (
    ArtifactUnusable,
    BackendUnused,
    CommandFailed,
    DeviceAbsent,
    DeviceRebooted,
    InputMismatch,
    ProfileUnavailable,
    RunnerCrashed,
    RunnerTimeout,
    RuntimeMissing,
)
from edgeworthy.records import Artifact
from edgeworthy.runners.python_runner.texts import fingerprints, text_numbers
from edgeworthy.runtimes import RUNTIMES
from edgeworthy.source_schema import OwnRuntime
from edgeworthy.storage import file_digest
from edgeworthy.targets.base import Job, Side
from edgeworthy.targets.links import patience
from edgeworthy.targets.linux.target import LinuxTarget
from edgeworthy.targets.op_times import INTERVALS
from edgeworthy.targets.open_targets import Targets
from edgeworthy.tensors import in_a_row
from edgeworthy.user_code.own_runtimes import own_runtime
from onnx import helper

from tests.integration.conftest import Digits, Project, linear_model, linear_tflite
from tests.lab.board import Board, runners
from tests.onnx_files import onnx_file
from tests.tflite_files import summing_inside
from tests.unit.test_device_jobs import HOSTILE
from tests.waiting import until, when, within

PLAN = LatencyPlan(loads=3, samples_per_load=5, min_load_ms=0, warmup=1)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The board's work folder, with a hostile name."""
    return tmp_path_factory.mktemp("board") / HOSTILE.replace("/", "")


@pytest.fixture
def entry(pi: Board, work: Path) -> dict[str, Any]:
    """The board in devices.yaml, with this environment's Python and its runtimes."""
    backends: dict[str, Any] = {
        "cpu": {},
        "reference": {"delegate": False},
        "compiled": {"compiled_model": {"accelerator": "cpu"}},
        "npu": {"compiled_model": {"accelerator": "npu"}},
    }
    return pi.devices_entry(work_folder=str(work), python=sys.executable, backends=backends)


def opened(entry: dict[str, Any]) -> Targets:
    devices = {"host": {"kind": "host", "backends": {"cpu": {}}}, "pi": entry}
    return Targets(DevicesFile.model_validate({"version": 1, "devices": devices}), Path("/"))


@pytest.fixture
def targets(entry: dict[str, Any]) -> Iterator[Targets]:
    made = opened(entry)
    yield made
    made.close()


@pytest.fixture
def target(targets: Targets) -> LinuxTarget:
    found = targets["pi:cpu"]
    assert isinstance(found, LinuxTarget)
    return found


def artifact(path: Path, runtime: str, layout: Any) -> Artifact:
    size = path.stat().st_size
    return Artifact(file_digest(path), path, "fp32", RUNTIMES[runtime], layout, size, size)


@pytest.fixture(scope="module")
def onnx(tmp_path_factory: pytest.TempPathFactory, digits: Digits) -> Artifact:
    path = tmp_path_factory.mktemp("onnx") / "linear;$(touch pwned).onnx"
    linear_model(path, digits.weights, digits.bias)
    return artifact(path, "onnxruntime", "nchw")


@pytest.fixture(scope="module")
def tflite(tmp_path_factory: pytest.TempPathFactory, digits: Digits) -> Artifact:
    path = tmp_path_factory.mktemp("tflite") / "linear.tflite"
    path.write_bytes(linear_tflite(digits.weights, digits.bias))
    return artifact(path, "litert", "nhwc")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory, digits: Digits) -> Samples:
    path = tmp_path_factory.mktemp("samples") / "x.npy"
    np.save(path, np.rint(digits.arrays["evaluation_x"] * 16).astype(np.uint8))
    return Samples(path, (("divide", (16.0,)),))


# -- what it measures -----------------------------------------------------------------------------------------


def test_outputs_equal_the_hosts_bit_for_bit(
    targets: Targets, onnx: Artifact, tflite: Artifact, samples: Samples
) -> None:
    """The same runner on the same processor answers the same, in both runtimes."""
    for made in (onnx, tflite):
        job = Job(made, samples, 60)
        here, there = targets["host:cpu"].outputs(job), targets["pi:cpu"].outputs(job)
        assert np.array_equal(here.values, there.values)
        assert here.batch == there.batch
        assert there.conditions.fingerprint["runtime"] == here.conditions.fingerprint["runtime"]
        assert there.conditions.before["load_1min"] >= 0
        assert there.conditions.before["memory_available_mb"] > 100


def test_a_compiled_model_runs_there_and_says_why_it_does_not(
    targets: Targets, tflite: Artifact, samples: Samples
) -> None:
    """The same outputs; an accelerator that the board has not is an error with the reason that its log has."""
    job = Job(tflite, samples, 60)
    there = targets["pi:compiled"].outputs(job)
    assert np.array_equal(targets["host:cpu"].outputs(job).values, there.values)
    with pytest.raises(BackendUnused, match=r"LiteRT's NPU accelerator does not run it: .*could not be loaded"):
        targets["pi:npu"].outputs(job)


OWN_RUNTIME = """
import numpy as np
from layers import dense

class Linear:
    def __init__(self, path, threads):
        with np.load(path) as stored:
            self.weights, self.bias = stored["weights"], stored["bias"]

    def run(self, samples):
        return dense(samples, self.weights, self.bias)
"""


def test_a_runtime_of_the_users_is_sent_with_what_it_imports(
    targets: Targets, samples: Samples, digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The board gives the host's outputs, its own times, and names the line where the class fails."""
    # numpy chooses its kernels by it, and a board has its own environment.
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    (tmp_path / "linear.py").write_text(OWN_RUNTIME)
    (tmp_path / "layers.py").write_text(
        "def dense(x, weights, bias):\n    return x.reshape(len(x), -1) @ weights + bias\n"
    )
    path = tmp_path / "linear.npz"
    np.savez(path, weights=digits.weights.astype(np.float32), bias=digits.bias.astype(np.float32))
    entry = OwnRuntime.model_validate({"class": "linear.py:Linear", "suffix": ".npz", "packages": ["numpy"]})
    made = Artifact(file_digest(path), path, "own", own_runtime("numpy_linear", entry, tmp_path), "nhwc", 1, 1)
    job = Job(made, samples, 60)
    here, there = targets["host:cpu"].outputs(job), targets["pi:cpu"].outputs(job)
    assert np.array_equal(here.values, there.values)
    assert there.conditions.fingerprint["runtime"] == here.conditions.fingerprint["runtime"]
    assert f"numpy {np.__version__}" in there.conditions.fingerprint["runtime"]
    assert len(targets["pi:cpu"].timing(job, PLAN).samples_ns) >= 15
    (tmp_path / "layers.py").write_text("def dense(x, weights, bias):\n    return x[0][0][0][0][0]\n")
    broken = replace(made, runtime=own_runtime("numpy_linear", entry, tmp_path))
    with pytest.raises(ArtifactUnusable, match=r"raised IndexError: .* \(layers.py:2: return x"):
        targets["pi:cpu"].outputs(Job(broken, samples, 60))


def test_a_state_inside_begins_anew_with_each_sequence(target: LinuxTarget, tmp_path: Path) -> None:
    """As on the host, also where LiteRT itself resets nothing."""
    inside = replace(artifact(summing_inside(tmp_path / "inside.tflite"), "litert", "nhwc"), outputs=("after", "twice"))
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    np.save(tmp_path / "sequences.npy", values.reshape(2, 12))
    [x] = in_a_row({"x": values})
    job = Job(
        replace(inside, inputs={"x": "x"}), Samples(tmp_path / "sequences.npy", (), (replace(x, stepped=True),)), 60
    )
    sums = np.cumsum(values, axis=1).reshape(2, 12)
    np.testing.assert_array_equal(target.outputs(job).values, np.concatenate([sums, 2 * sums], axis=1))


def test_texts_go_in_and_come_out_as_they_are(target: LinuxTarget, tmp_path: Path) -> None:
    texts = np.array([["Tür", ""], ["鳥", "a longer one"]])
    node = helper.make_node("Identity", ["x"], ["y"])
    onnx_file(tmp_path / "same.onnx", [node], {"x": ["b", 2]}, {"y": ["b", 2]}, {}, texts=["x", "y"])
    [x] = in_a_row({"x": texts})
    np.save(tmp_path / "texts.npy", text_numbers(texts, x.width).reshape(2, -1))
    same = replace(artifact(tmp_path / "same.onnx", "onnxruntime", "nhwc"), inputs={"x": "x"})
    found = target.outputs(Job(same, Samples(tmp_path / "texts.npy", (), (x,)), 60))
    np.testing.assert_array_equal(found.values, fingerprints(texts))


def test_timing_and_timing_interleaved(target: LinuxTarget, onnx: Artifact, tflite: Artifact, samples: Samples) -> None:
    """Raw samples of every load with the delegate's share of the graph; two artifacts in turn on the board's own clock."""
    timing = target.timing(Job(tflite, samples, 60), PLAN)
    assert len(timing.load_ns) == 3
    assert len(timing.samples_ns) >= 15
    assert timing.delegation is not None
    assert timing.delegation.percent == 100
    medians = target.interleaved(Side(onnx), Side(onnx, injected_delay_ns=20_000_000), samples, 6, 60).medians_ns
    assert medians.shape == (2, 6)
    assert np.median(medians[1]) > np.median(medians[0])
    assert (medians[1] > 100 * medians[0]).all(), "20 ms of work were added to some 20 us"


def test_ops_are_timed_there_as_on_the_host(
    targets: Targets, onnx: Artifact, tflite: Artifact, samples: Samples
) -> None:
    """The same nodes, with intervals; LiteRT's package has no profiler, there as here."""
    here, there = (targets[name].profile(Job(onnx, samples, 60)) for name in ("host:cpu", "pi:cpu"))
    assert there["name"].tolist() == here["name"].tolist()
    assert (there[list(INTERVALS)] > 0).all(axis=None)
    with pytest.raises(ProfileUnavailable, match="litert gives the runner no times"):
        targets["pi:cpu"].profile(Job(tflite, samples, 60))


def test_second_unchanged_run_pushes_nothing(entry: dict[str, Any], onnx: Artifact, samples: Samples) -> None:
    """Runner, artifact and samples go over once; another process finds them there."""
    pushed = []
    for _ in range(2):
        targets = opened(entry)
        targets["pi:cpu"].outputs(Job(onnx, samples, 60))
        pushed.append(targets.board("pi").files.pushed_bytes)
        targets.close()
    assert pushed[1] == 0


def test_identity_says_what_the_board_is(target: LinuxTarget) -> None:
    """Hardware, system and the backend's options; equal each time it is asked."""
    identity = target.identity()
    assert identity == target.identity()
    assert {"model", "machine", "processor", "processors", "memory_gb", "system", "python", "threads", "cores"} <= {
        *identity
    }
    assert identity["python"] == ".".join(map(str, sys.version_info[:3]))
    assert identity["machine"] == os.uname().machine


def test_digits_on_host_and_board_are_judged_alike(project: Project, entry: dict[str, Any]) -> None:
    """A run of both: every cell is measured and passes, the board's accuracy is the host's, the reports hold both."""
    project.devices["devices"]["pi"] = {**entry, "backends": {"cpu": {}}}
    done = project.run()
    assert done.returncode == 0, done.stdout + done.stderr
    cells = project.result().cells
    cells = cells[cells.variant != "canary"]
    assert set(cells.target) == {"host:cpu", "pi:cpu"}
    assert set(cells.status) == {"pass"}
    accuracy = cells.pivot_table(index="variant", columns="target", values="top1_percent")
    assert (accuracy["host:cpu"] == accuracy["pi:cpu"]).all()
    assert (cells[cells.target == "pi:cpu"].p50_ms > 0).all()


# -- what goes wrong ------------------------------------------------------------------------------------------


def test_errors_of_an_artifact_are_the_hosts(
    target: LinuxTarget, onnx: Artifact, samples: Samples, tmp_path: Path
) -> None:
    """A corrupt file, samples of another shape, and a missing provider are the same errors as on the host."""
    (tmp_path / "corrupt.onnx").write_bytes(b"rubbish")
    with pytest.raises(ArtifactUnusable, match=r"corrupt\.onnx \(fp32\): onnxruntime cannot load it"):
        target.outputs(Job(artifact(tmp_path / "corrupt.onnx", "onnxruntime", "nchw"), samples, 60))
    np.save(tmp_path / "other.npy", np.zeros((2, 9, 9, 1), np.float32))
    with pytest.raises(InputMismatch, match="the model takes 1x8x8"):
        target.outputs(Job(onnx, Samples(tmp_path / "other.npy"), 60))
    target.backend = target.backend.model_copy(update={"providers": ["CUDAExecutionProvider"]})
    with pytest.raises(BackendUnused, match="has no CUDAExecutionProvider there; it has"):
        target.outputs(Job(onnx, samples, 60))


def test_missing_runtime_and_missing_python_say_what_to_do(
    entry: dict[str, Any], onnx: Artifact, samples: Samples, tmp_path: Path
) -> None:
    """A bare Python without numpy, and none at all."""
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    for python, error, words in (
        (
            str(tmp_path / "bare/bin/python"),
            RuntimeMissing,
            "numpy is not installed\nHint: edgeworthy devices setup pi",
        ),
        ("no-such-python", CommandFailed, r"pi: its Python 'no-such-python' cannot be run: .*\nHint: install Python"),
    ):
        targets = opened({**entry, "python": python})
        with pytest.raises(error, match=words):
            targets["pi:cpu"].outputs(Job(onnx, samples, 60))
        targets.close()


def test_shell_that_prints_is_reported(pi: Board, target: LinuxTarget) -> None:
    """A ~/.bashrc that greets everybody would end up in every answer: one sentence within 30 s, not garbage."""
    (pi.home / ".bashrc").write_text("echo welcome\n")
    try:
        with (
            within(30),
            pytest.raises(
                CommandFailed, match=r"pi: its login shell prints 'welcome' .*\nHint: let ~/\.bashrc print nothing"
            ),
        ):
            target.identity()
    finally:
        (pi.home / ".bashrc").unlink()


JUMPING_CLOCK = """
import itertools, time
hours = itertools.count()
time.time = lambda real=time.time: real() - 3600 * next(hours)
time.time_ns = lambda real=time.time_ns: real() - 3600 * 10**9 * next(hours)
"""


def test_clock_that_jumps_changes_no_duration(
    target: LinuxTarget, onnx: Artifact, samples: Samples, work: Path
) -> None:
    """A clock that goes back an hour at every look changes no time: they are of a monotonic clock; within 60 s."""
    packages = Path(target.board.facts.packages)
    packages.mkdir(parents=True, exist_ok=True)
    jumping = packages / "sitecustomize.py"
    jumping.write_text(JUMPING_CLOCK)
    try:
        with within(60):
            found = target.timing(Job(onnx, samples, 60), PLAN)
    finally:
        jumping.unlink()
    for nanoseconds in (found.samples_ns, found.load_ns, found.first_ns):
        assert ((nanoseconds > 0) & (nanoseconds < 60e9)).all()
    assert 0 < found.window_seconds < 60


def slow(onnx: Artifact) -> tuple[Side, Side]:
    """Two sides that take about three seconds in turn."""
    return Side(onnx, injected_delay_ns=10_000_000), Side(onnx, injected_delay_ns=10_000_000)


def jobs_left(work: Path) -> list[Path]:
    return list((work / "jobs").iterdir())


def test_dropped_link_loses_no_measurement(
    pi: Board, target: LinuxTarget, onnx: Artifact, samples: Samples, work: Path
) -> None:
    """The server is killed while the runner works and comes back a second later: the measurement is there."""

    def drop() -> None:
        before = runners(work)
        with pi.unplugged():
            time.sleep(1)
            assert runners(work) == before

    with when(lambda: runners(work), drop):
        assert target.interleaved(*slow(onnx), samples, 12, 60).medians_ns.shape == (2, 12)
    assert jobs_left(work) == []


def test_killed_runner_says_low_memory(target: LinuxTarget, onnx: Artifact, samples: Samples, work: Path) -> None:
    """SIGKILL from the board is RunnerCrashed with the memory that is left; SIGSEGV is called by its name: within 60 s."""
    for fatal, said in (
        (signal.SIGKILL, r"was killed by the device \(low memory\?\); \d+ MB are available"),
        (signal.SIGSEGV, "pi: the runner was killed by SIGSEGV"),
    ):
        with (
            when(lambda: runners(work), lambda fatal=fatal: runners(work)[0].send_signal(fatal)),
            within(60),
            pytest.raises(RunnerCrashed, match=said),
        ):
            target.interleaved(*slow(onnx), samples, 12, 60)
    assert jobs_left(work) == []


def test_time_limit_ends_the_runner_on_the_board(
    target: LinuxTarget, onnx: Artifact, samples: Samples, work: Path
) -> None:
    """RunnerTimeout, and no runner is left."""
    with pytest.raises(RunnerTimeout, match="did not finish within 1 s and was killed there"):
        target.interleaved(*slow(onnx), samples, 500, 1)
    until(lambda: not runners(work))
    assert jobs_left(work) == []


def test_restarted_board_is_measured_once_more(
    pi: Board, target: LinuxTarget, onnx: Artifact, samples: Samples, work: Path
) -> None:
    """All processes die, boot_id changes and the server comes back: the job is done once more; twice is an error."""
    with when(lambda: runners(work), pi.reboot):
        assert target.interleaved(*slow(onnx), samples, 12, 60).medians_ns.shape == (2, 12)

    def twice() -> None:
        pi.reboot()
        until(lambda: runners(work))
        pi.reboot()

    with (
        when(lambda: runners(work), twice),
        pytest.raises(DeviceRebooted, match=r"started anew while it was running .*, twice"),
    ):
        target.interleaved(*slow(onnx), samples, 12, 60)


def test_absent_board_is_one_error_and_the_others_go_on(pi: Board, project: Project, entry: dict[str, Any]) -> None:
    """A board that does not answer fails its cells, and the run does not wait for it; the host's pass."""
    project.devices["devices"]["pi"] = {**entry, "backends": {"cpu": {}}}
    with pi.unplugged():
        done = project.run()
    assert done.returncode == 1, done.stdout + done.stderr
    assert "nothing listens on port" in done.stdout
    statuses = project.statuses()
    assert {status for cell, status in statuses.items() if "host:cpu" in cell} == {"pass", "rejected"}
    assert "pass" not in {status for cell, status in statuses.items() if "pi:cpu" in cell}


def test_board_that_goes_away_for_good_is_absent(
    pi: Board, target: LinuxTarget, onnx: Artifact, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unplugged between two jobs: DeviceAbsent when patience ends."""
    target.outputs(Job(onnx, samples, 60))
    monkeypatch.setattr(patience, "PATIENCE_S", 1)
    pi.kill()
    try:
        with pytest.raises(DeviceAbsent, match=r"nothing listens on port .*; connecting again for 1 s did not help"):
            target.outputs(Job(onnx, samples, 60))
    finally:
        pi.start()
