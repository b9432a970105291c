"""The Android target on the lab's phone, with the stand-in and with TFLite's own tool."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from harness.config import LatencyPlan
from harness.device_schema import AnyAndroidBackend, CpuBackend, NnapiBackend, RunnerBackend
from harness.errors import BackendUnused
from harness.records import Artifact
from harness.sources.samples import Samples
from harness.targets.android.target import AndroidTarget
from harness.targets.base import Job
from harness.targets.host import HostTarget
from harness.targets.links.adb import AdbLink
from harness.targets.links.adb_transport import TcpConnection
from tests.lab.cnn import cnn
from tests.lab.phone import Phone

PLAN = LatencyPlan(loads=3, samples_per_load=10, min_load_ms=0, warmup=1)
TOOLS = ["stand_in", "real"]
Open = Callable[[AnyAndroidBackend, str], AndroidTarget]


@pytest.fixture
def opened(phone: Phone, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens a target of the phone with one of the two tools."""
    with contextlib.ExitStack() as open_links:

        def target(backend: AnyAndroidBackend, tool: str) -> AndroidTarget:
            if tool == "real":
                request.getfixturevalue("tflite_tool")
            file = phone.tflite_benchmark_model if tool == "real" else phone.benchmark_model
            link = AdbLink("phone", TcpConnection(phone.address, phone.port), phone.key)
            open_links.enter_context(contextlib.closing(link))
            return AndroidTarget(
                "phone", "cpu", backend, link, work_folder=f"{phone.disk}/edgegate", tool={"x86_64": file}
            )

        yield target


def job(folder: Path, quantized: bool) -> Job:
    path = cnn(folder / "model.tflite", quantized)
    values = np.random.default_rng(2).integers(0, 256, (70, 32, 32, 1)).astype(np.uint8)
    np.save(folder / "samples.npy", values)
    artifact = Artifact("abc", path, "int8" if quantized else "fp32", "litert", "nhwc", path.stat().st_size, 1)
    return Job(artifact, Samples(folder / "samples.npy", (1 / 255,), (0.0,)), 120)


def on_host(asked: Job, delegate: bool) -> np.ndarray:
    with contextlib.closing(HostTarget("host", "cpu", RunnerBackend(delegate=delegate))) as host:
        return host.outputs(asked).values


@pytest.mark.parametrize("quantized", [False, True], ids=["float", "int8"])
@pytest.mark.parametrize("xnnpack", [True, False], ids=["xnnpack", "plain"])
def test_phones_answers_are_the_hosts(opened: Open, tmp_path: Path, xnnpack: bool, quantized: bool) -> None:
    """Sample by sample and bit by bit, in batches, through a real adbd."""
    asked = job(tmp_path, quantized)
    found = opened(CpuBackend(delegate="cpu", xnnpack=xnnpack), "stand_in").outputs(asked)
    assert found.batch > 1
    assert found.values.tobytes() == on_host(asked, xnnpack).tobytes()


@pytest.mark.parametrize("quantized", [False, True], ids=["float", "int8"])
def test_real_tools_answers_are_the_hosts(opened: Open, tmp_path: Path, quantized: bool) -> None:
    """TFLite's own tool gives the same int8 answers, and float ones within rounding; every answer's class is the same."""
    asked = job(tmp_path, quantized)
    found = opened(CpuBackend(delegate="cpu", xnnpack=False), "real").outputs(asked).values
    expected = on_host(asked, delegate=False)
    assert np.array_equal(found.argmax(1), expected.argmax(1))
    assert np.abs(found - expected).max() <= (0 if quantized else 1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("tool", TOOLS)
def test_phone_times_single_inferences(opened: Open, tmp_path: Path, tool: str) -> None:
    """Three loads in fresh processes, each with its first inference and memory."""
    timing = opened(CpuBackend(delegate="cpu", xnnpack=False), tool).timing(job(tmp_path, quantized=True), PLAN)
    assert timing.load_of.tolist() == [0, 1, 2]
    assert (timing.samples_ns > 0).all()
    assert (timing.first_ns > 0).all()


@pytest.mark.parametrize("tool", TOOLS)
def test_backend_that_the_build_ignores_is_no_measurement(opened: Open, tmp_path: Path, tool: str) -> None:
    """A build without NNAPI runs on the processor and exits with 0; the phone's cell fails all the same."""
    target = opened(NnapiBackend(delegate="nnapi"), tool)
    with pytest.raises(BackendUnused, match="use_nnapi"):
        target.timing(job(tmp_path, quantized=True), PLAN)


def test_second_run_pushes_nothing(opened: Open, tmp_path: Path) -> None:
    """Tool, model and samples lie on the phone by their content."""
    asked, backend = job(tmp_path, quantized=True), CpuBackend(delegate="cpu")
    opened(backend, "stand_in").outputs(asked)
    again = opened(backend, "stand_in")
    again.outputs(asked)
    assert again.files.pushed_bytes == 0
