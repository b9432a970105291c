"""A phone's target on a real adbd with Android's shell: LiteRT behind the tool's command line, and TFLite's own tool."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from edgeworthy.config import LatencyPlan
from edgeworthy.device_schema import AnyAndroidBackend, CpuBackend, NnapiBackend, RunnerBackend
from edgeworthy.errors import BackendUnused, ToolUnusable
from edgeworthy.targets.android.target import AndroidTarget
from edgeworthy.targets.base import Job, Side
from edgeworthy.targets.host import HostTarget
from edgeworthy.targets.links.adb import AdbLink
from edgeworthy.targets.links.adb_transport import TcpConnection

from tests.integration.test_android_target import artifact, job, samples
from tests.lab.phone import Phone
from tests.unit.test_device_jobs import HOSTILE
from tests.waiting import when, within

WORK = "/data/local/tmp/target"
PLAN = LatencyPlan(loads=3, samples_per_load=5, min_load_ms=0, warmup=1)
PLAIN, XNNPACK = CpuBackend(delegate="cpu", xnnpack=False), CpuBackend(delegate="cpu")
REAL, STAND_IN = "TFLite's own", "the stand-in"


@pytest.fixture(params=[STAND_IN, REAL])
def tool(request: pytest.FixtureRequest, phone: Phone) -> str:
    if request.param == REAL:
        request.getfixturevalue("tflite_tool")
    return request.param


@pytest.fixture
def link(phone: Phone) -> Iterator[AdbLink]:
    with contextlib.closing(AdbLink("phone", TcpConnection(phone.address, phone.port), phone.key)) as made:
        yield made


def target_on(phone: Phone, link: AdbLink, tool: str, backend: AnyAndroidBackend, work: str = WORK) -> AndroidTarget:
    given = phone.tflite_benchmark_model if tool == REAL else phone.benchmark_model
    assert given is not None
    return AndroidTarget("phone", "cpu", backend, link, work_folder=work, tool={"x86_64": given})


@pytest.mark.parametrize("quantized", [False, True])
def test_outputs_equal_the_hosts_sample_by_sample(
    phone: Phone, link: AdbLink, tool: str, tmp_path: Path, quantized: bool
) -> None:
    """The same bits where the kernels are the same (int8 everywhere, float with the same build), the same labels always."""
    asked = job(tmp_path, quantized)
    host = HostTarget("host", "reference", RunnerBackend(delegate=False))
    found, expected = target_on(phone, link, tool, PLAIN).outputs(asked), host.outputs(asked)
    host.close()
    assert found.batch == 32
    assert (found.values.argmax(axis=1) == expected.values.argmax(axis=1)).all()
    if quantized or tool == STAND_IN:
        assert found.values.tobytes() == expected.values.tobytes()
    assert np.abs(found.values - expected.values).max() < 1e-5


def test_times_and_conditions_are_the_phones(phone: Phone, link: AdbLink, tool: str, tmp_path: Path) -> None:
    """TFLite 2.14 tells means, newer builds medians; identity and readings are what the phone says of itself."""
    timing = target_on(phone, link, tool, PLAIN).timing(job(tmp_path, ending="long"), PLAN)
    assert timing.statistic == ("mean" if tool == REAL else "median")
    assert (timing.samples_ns > 0).all()
    assert timing.conditions.fingerprint["model"] == "Lab Phone"
    assert timing.conditions.fingerprint["abi"] == "x86_64"
    assert timing.conditions.before["battery_percent"] == 84
    assert timing.conditions.before["temperature_c"] == 38.5
    assert timing.conditions.before["throttled"] == 0


def test_two_artifacts_run_interleaved(phone: Phone, link: AdbLink, tool: str, tmp_path: Path) -> None:
    """In processes of their own."""
    sides = Side(artifact(tmp_path)), Side(artifact(tmp_path, quantized=True))
    medians = (
        target_on(phone, link, tool, PLAIN).interleaved(*sides, samples(tmp_path), rounds=2, timeout_s=60).medians_ns
    )
    assert medians.shape == (2, 2)
    assert (medians > 0).all()


def test_warm_run_pushes_nothing(phone: Phone, link: AdbLink, tool: str, tmp_path: Path) -> None:
    """Tool, model and samples lie there since the first run, of another process as it were."""
    asked = job(tmp_path, True)
    target_on(phone, link, tool, PLAIN).outputs(asked)
    again = target_on(phone, link, tool, PLAIN)
    again.outputs(asked)
    assert again.pushed_bytes == 0


def test_backend_is_proved_or_an_error(phone: Phone, link: AdbLink, tool: str, tmp_path: Path) -> None:
    """The stand-in has XNNPACK and says what it took; Debian's build has none and says that it does not know the flag."""
    asked = job(tmp_path)
    with pytest.raises(BackendUnused, match="does not know --use_nnapi"):
        target_on(phone, link, tool, NnapiBackend(delegate="nnapi")).timing(asked, PLAN)
    xnnpack = target_on(phone, link, tool, XNNPACK)
    if tool == REAL:
        with pytest.raises(BackendUnused, match="does not know --use_xnnpack"):
            xnnpack.timing(asked, PLAN)
    else:
        taken = xnnpack.timing(asked, PLAN).delegation
        assert taken is not None
        assert (taken.taken, taken.total) == (1, 1)


def test_real_profile_is_a_table_of_nodes(phone: Phone, link: AdbLink, tflite_tool: Path, tmp_path: Path) -> None:
    """As TFLite's own tool writes it."""
    frame = target_on(phone, link, REAL, PLAIN).profile(job(tmp_path, ending="twice"))
    assert frame[frame["part"] == "inference"]["node_type"].tolist() == ["FULLY_CONNECTED", "ADD"]


@pytest.mark.parametrize("fault", ["unplugged", "rebooted"])
def test_measurement_survives_the_phones_absence(phone: Phone, link: AdbLink, tmp_path: Path, fault: str) -> None:
    """Unplugged meanwhile, the processes go on; rebooted, they are run once more. Either way the numbers are whole."""
    plan = LatencyPlan(loads=3, samples_per_load=5, min_load_ms=1500, warmup=1)
    target = target_on(phone, link, STAND_IN, PLAIN)
    asked = job(tmp_path)
    target.outputs(asked)  # everything lies there

    def unplug() -> None:
        with phone.unplugged():
            time.sleep(1)

    act = unplug if fault == "unplugged" else lambda: phone.reboot(off_s=1)
    with when(lambda: list((phone.work / "target" / "jobs").glob("*/pid")), act):
        timing = target.timing(asked, plan)
    assert len(timing.samples_ns) == 3


def test_folder_names_are_quoted(phone: Phone, link: AdbLink, tmp_path: Path) -> None:
    """Spaces, quotes, semicolons, substitutions and newlines in the work folder are only its name."""
    work = f"{WORK} {HOSTILE}".replace("/data/local/tmp/", "").replace("/", "")
    found = target_on(phone, link, STAND_IN, PLAIN, f"/data/local/tmp/{work}").outputs(job(tmp_path))
    assert found.values.shape == (70, 10)
    assert not list(phone.work.rglob("pwned"))


def test_binary_of_another_abi_is_recognized(phone: Phone, link: AdbLink, tmp_path: Path) -> None:
    """One that lies on the phone is named by its ABI, and so is the phone's; one that may not be run is said so within 60 s."""
    arm = tmp_path / "arm"
    arm.write_bytes(b"\x7fELF\x02\x01\x01" + b"\0" * 11 + (183).to_bytes(2, "little") + b"\0" * 200)
    there = "/data/local/tmp/arm_tool"
    link.push(arm, there)
    link.run(["chmod", "755", there], 10)
    target = AndroidTarget("phone", "cpu", PLAIN, link, work_folder=WORK, tool=there)
    with pytest.raises(ToolUnusable, match=r"arm_tool cannot be run there: it is for arm64-v8a, the phone is x86_64"):
        target.timing(Job(artifact(tmp_path), samples(tmp_path), 60), PLAN)
    with phone.no_exec(), within(60), pytest.raises(ToolUnusable, match="cannot be run there"):
        target_on(phone, link, STAND_IN, PLAIN).timing(job(tmp_path), PLAN)
