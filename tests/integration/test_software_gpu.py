"""LiteRT's GPU accelerator without a GPU: its outputs are judged, and what it leaves or what is missing is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeworthy.datasets.samples import Samples
from edgeworthy.device_schema import RunnerBackend
from edgeworthy.emulator_schema import LitertGpuBackend
from edgeworthy.errors import BackendUnused, NodesLeft
from edgeworthy.records import Artifact
from edgeworthy.runtimes import RUNTIMES
from edgeworthy.targets import software_gpu
from edgeworthy.targets.base import Job
from edgeworthy.targets.host import HostTarget
from edgeworthy.targets.software_gpu import SoftwareGpuTarget

from tests.integration.conftest import Digits, Project
from tests.integration.test_android_target import WEIGHTS, job, of_three_inputs
from tests.tflite_files import linear, reshaping, summing_inside

GPU = "gpu:swiftshader"


def emulated(**keys: Any) -> SoftwareGpuTarget:
    return SoftwareGpuTarget("gpu", "swiftshader", LitertGpuBackend.model_validate({"emulator": "litert_gpu", **keys}))


@pytest.fixture
def gpu() -> Iterator[SoftwareGpuTarget]:
    with closing(emulated()) as target:
        if target.driver is None:
            pytest.skip("no software driver of Vulkan: make accelerators")
        yield target


def file_job(folder: Path, path: Path, shape: tuple[int, ...]) -> Job:
    np.save(folder / "x.npy", np.ones(shape, np.float32))
    return Job(Artifact("key", path, "fp32", RUNTIMES["litert"], "nhwc", 1, 1), Samples(folder / "x.npy"), 60)


def flat_job(folder: Path, *, quantized: bool) -> Job:
    asked = job(folder, quantized, count=40)
    path = linear(folder / "flat.tflite", WEIGHTS, quantized, flat=True)
    return replace(asked, artifact=replace(asked.artifact, path=path))


@pytest.mark.parametrize(
    "made",
    [
        lambda folder: flat_job(folder, quantized=False),
        lambda folder: flat_job(folder, quantized=True),
        lambda folder: of_three_inputs(folder)[0],
    ],
    ids=["float", "int8", "three inputs, two outputs"],
)
def test_outputs_are_the_processors_but_for_rounding(
    gpu: SoftwareGpuTarget, tmp_path: Path, made: Callable[[Path], Job]
) -> None:
    """Every node is the GPU's, and the adapter is named as the evidence."""
    asked = made(tmp_path)
    found = gpu.outputs(asked)
    with closing(HostTarget("host", "cpu", RunnerBackend())) as host:
        expected = host.outputs(asked)
    assert found.shapes == expected.shapes
    largest = np.abs(expected.values).max()
    np.testing.assert_allclose(found.values, expected.values, atol=largest / 60)
    assert np.abs(found.values).max() > largest / 2
    assert found.delegation is not None
    assert found.delegation.taken == found.delegation.total > 0
    assert found.delegation.delegate.startswith("SwiftShader")
    assert "adapterType=CPU" in found.delegation.proof


def test_ops_that_it_leaves_are_an_error_or_counted(gpu: SoftwareGpuTarget, tmp_path: Path) -> None:
    """With LiteRT's own reason; a share below 100 % lets the processor take part."""
    asked = file_job(tmp_path, summing_inside(tmp_path / "inside.tflite"), (3, 4))
    with pytest.raises(NodesLeft, match=r"ASSIGN_VARIABLE: Operation is not supported.*remaining 4 operations"):
        gpu.outputs(asked)
    with closing(emulated(min_delegated_percent=20)) as sharing:
        found = sharing.outputs(asked)
    assert np.all(found.values == 1)
    assert found.delegation is not None
    assert (found.delegation.taken, found.delegation.total) == (2, 6)
    with pytest.raises(NodesLeft, match=r"RESHAPE: Tensor type\(INT64\) is not supported"):
        gpu.outputs(file_job(tmp_path, reshaping(tmp_path / "wide.tflite", "int64"), (3, 2, 2, 1)))


def test_a_precision_that_the_driver_has_not_is_refused(gpu: SoftwareGpuTarget, tmp_path: Path) -> None:
    """LiteRT goes on in float32 and says nothing of it."""
    with (
        closing(emulated(precision="float16")) as half,
        pytest.raises(BackendUnused, match=r"SwiftShader.* has no float16"),
    ):
        half.outputs(job(tmp_path, count=4))


def test_a_timed_backend_takes_no_software_driver(
    gpu: SoftwareGpuTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host whose only adapter is software has no GPU, whatever LiteRT says."""
    for name, value in gpu.environment().items():
        monkeypatch.setenv(name, value)
    backend = RunnerBackend.model_validate({"compiled_model": {"accelerator": "gpu"}})
    with (
        closing(HostTarget("host", "gpu", backend)) as host,
        pytest.raises(BackendUnused, match="there is no GPU: Swift"),
    ):
        host.outputs(job(tmp_path, count=4))


def test_a_run_judges_it_and_rejects_what_it_computes_wrongly(
    gpu: SoftwareGpuTarget, project: Project, digits: Digits
) -> None:
    """LiteRT 2.3 takes a FULLY_CONNECTED of an image that nothing flattened, wholly, and computes something else without a word.

    Accuracy, fidelity and the share of nodes are judged as everywhere; the cells have no times.
    """
    benchmarks = project.root / "benchmarks"
    linear(benchmarks / "flat.tflite", digits.weights, flat=True)
    linear(benchmarks / "image.tflite", digits.weights)
    entry = {**project.models["models"].pop("linear"), "reference": "fp32", "variants": {"fp32": {}}}
    project.models["models"] = {name: {**entry, "source": {"path": f"{name}.tflite"}} for name in ("flat", "image")}
    project.devices["devices"]["gpu"] = {"kind": "emulated", "backends": {"swiftshader": {"emulator": "litert_gpu"}}}
    done = project.run()
    assert done.returncode == 1, done.stdout + done.stderr
    assert list(project.unsound()) == [f"image/fp32/{GPU}"]
    cells = (
        project.result()
        .cells.set_index(["model", "variant", "target"])
        .loc[[("flat", "fp32", GPU), ("image", "fp32", GPU)]]
    )
    assert list(cells.status) == ["pass", "fail"]
    assert list(cells.emulated) == ["litert_gpu"] * 2
    assert list(cells.delegated_percent) == [100, 100]
    assert cells.p50_ms.isna().all()
    diagnosed = project.edgeworthy("diagnose", "image", "fp32", "--target", GPU)
    assert diagnosed.returncode == 0, diagnosed.stderr
    assert f"FULLY_CONNECTED scores is the first op that goes wrong on {GPU}" in " ".join(diagnosed.stdout.split())


def test_a_driver_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that is named, or any: with how to get it."""
    with closing(emulated(vulkan_driver="/nowhere/libvk.so")) as named, pytest.raises(BackendUnused) as raised:
        named.outputs(job(tmp_path, count=4))
    assert "gpu:swiftshader: /nowhere/libvk.so is not there" in raised.value.message
    assert "apt-get install chromium-common" in raised.value.hint
    monkeypatch.setattr(software_gpu, "_PLACES", ())
    monkeypatch.setenv("HOME", str(tmp_path))
    with closing(emulated()) as nothing, pytest.raises(BackendUnused, match=r"no libvk_swiftshader\.so was found"):
        nothing.environment()
    place = tmp_path / ".cache/ms-playwright/chromium-1200/chrome-linux"
    place.mkdir(parents=True)
    (place / "libvk_swiftshader.so").touch()
    assert emulated().driver == place / "libvk_swiftshader.so"
