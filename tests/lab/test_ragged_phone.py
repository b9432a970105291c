"""Samples and sequences of different sizes on a real adbd: by the tool's stand-in and by TFLite's own tool, and a whole run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from edgeworthy.cells import CellId
from edgeworthy.device_schema import RunnerBackend
from edgeworthy.records import Outputs
from edgeworthy.runs.run import Run
from edgeworthy.targets.host import HostTarget

from tests import tflite_files
from tests.integration.conftest import Digits, make_project
from tests.integration.test_ragged import model, pixels_model, write_datasets
from tests.integration.test_ragged_phone import of_pixels, of_sequences
from tests.lab.phone import Phone
from tests.lab.test_phone_target import PLAIN, link, target_on, tool

__all__ = ["link", "tool"]
WEIGHTS = np.random.default_rng(0).normal(size=(3, 3, 3, 2)).astype(np.float32)
#: Another file than the source: one of its three scores is another one's.
RECIPE = """
import shutil
from pathlib import Path
from edgeworthy import recipe

@recipe("off", runtime="litert", packages=())
def off(source, out):
    shutil.copyfile(Path(__file__).with_name("off.tflite"), out)
    return "nhwc"
"""


@pytest.fixture
def reference() -> Iterator[HostTarget]:
    with contextlib.closing(HostTarget("host", "reference", RunnerBackend(delegate=False))) as found:
        yield found


@pytest.mark.parametrize("asked_of", [of_pixels, lambda folder: of_sequences(folder)[0]], ids=["images", "sequences"])
def test_outputs_equal_the_hosts_in_their_own_sizes(
    phone: Phone, link: object, tool: str, reference: HostTarget, tmp_path: Path, asked_of: object
) -> None:
    """Each sample in its own shape, each sequence over its own steps."""
    asked = asked_of(tmp_path)
    found, expected = target_on(phone, link, tool, PLAIN).outputs(asked), reference.outputs(asked)
    assert found.sizes is not None
    np.testing.assert_array_equal(found.sizes, expected.sizes)
    np.testing.assert_allclose(found.values, expected.values, atol=1e-5)


def test_a_run_judges_samples_of_different_sizes_on_the_phone(
    tmp_path_factory: pytest.TempPathFactory, digits: Digits, shared_store: Path, phone: Phone
) -> None:
    """What is right passes on the phone as on the host, with its mean IoU; another file fails, and a canary is rejected."""
    project = make_project(tmp_path_factory.mktemp("ragged_lab"), digits, shared_store)
    folder = project.root / "benchmarks"
    pixels_model(folder / "pixels.onnx")
    write_datasets(folder)
    tflite_files.pixels(folder / "pixels.tflite", WEIGHTS)
    tflite_files.pixels(folder / "off.tflite", WEIGHTS[[0, 0, 2]])
    project.add_recipes(RECIPE)
    project.models["datasets"] = {"masks": {"kind": "npz", "path": "masks.npz", "count": 8}}
    entry = model("pixels.tflite", "masks", {"fp32": {}, "off": {}}, task="segmentation", metric="miou")
    project.models["models"] = {"pixels": entry | {"expect_weak_reference": True}}
    entry = phone.devices_entry()
    project.devices["devices"]["phone"] = entry | {"backends": {"cpu": entry["backends"]["cpu"]}}
    project.run("-k", "accuracy or canary or latency")
    statuses = {cell.partition("/")[2]: status for cell, status in project.statuses().items()}
    for target in ("phone:cpu", "host:cpu"):
        found = [statuses[f"{variant}/{target}"] for variant in ("fp32", "off", "canary")]
        assert found == ["pass", "fail", "rejected"], project.message("fp32", "pixels", target)
    journal = Run.open(project.root / "results" / "latest").journal
    there, host = (journal.find(Outputs, CellId("pixels", "fp32", f"{each}:cpu")) for each in ("phone", "host"))
    assert there is not None
    assert host is not None
    np.testing.assert_array_equal(there.sizes, host.sizes)
    np.testing.assert_allclose(there.values, host.values, atol=1e-5)
