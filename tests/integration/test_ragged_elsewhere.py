"""Samples of different sizes, each run in its own size or padded, on targets of the user's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edgeworthy.cells import CellId
from edgeworthy.records import Outputs
from edgeworthy.runs.run import Run

from tests.integration.conftest import Digits, Project, make_project
from tests.integration.test_ragged import LEAST, model, pixels_model, samples, words_model, write_datasets

TARGET = """
import numpy as np
import onnxruntime

class Stand:
    def __init__(self):
        self.begun = 0

    def outputs(self, artifact, given):
        self.begun += 1
        session = onnxruntime.InferenceSession(artifact.path)
        return session.run(None, self.named(session, given))[0]

    def named(self, session, given):
        if isinstance(given, np.ndarray):
            return {session.get_inputs()[0].name: given}
        return {each.name: given[each.name].astype(np.int64) for each in session.get_inputs()}

    def times_ns(self, artifact, given, count):
        shape = given.shape if isinstance(given, np.ndarray) else given["ids"].shape
        return [1000 * int(np.prod(shape[1:])) + number % 7 for number in range(count)]

class Shifts(Stand):
    def outputs(self, artifact, given):
        return np.roll(super().outputs(artifact, given), 1, axis=-1)

class Crops(Stand):
    def outputs(self, artifact, given):
        return super().outputs(artifact, given)[..., :3]

class Remembers(Stand):
    def outputs(self, artifact, given):
        return super().outputs(artifact, given) + self.begun

class Breaks(Stand):
    def outputs(self, artifact, given):
        if given.shape[-1] > 9:
            raise MemoryError("too wide for this stand")
        return super().outputs(artifact, given)
"""


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, digits: Digits, shared_store: Path) -> Project:
    """One run of images and of texts on a right target, and of images on several that are not."""
    project = make_project(tmp_path_factory.mktemp("ragged_elsewhere"), digits, shared_store)
    folder = project.root / "benchmarks"
    pixels_model(folder / "pixels.onnx")
    words_model(folder / "words.onnx")
    write_datasets(folder)
    project.models["datasets"] = {name: {"kind": "npz", "path": f"{name}.npz"} for name in ("images", "masks", "texts")}
    only = {"targets": ["host:*", "stand:*"]}
    project.models["models"] = {
        "pixels": model("pixels.onnx", "images", LEAST),
        "padded": model("pixels.onnx", "images", LEAST, ragged="pad", **only),
        "segmented": model("pixels.onnx", "masks", LEAST, task="segmentation", metric="miou", **only),
        "words": model("words.onnx", "texts", LEAST, inputs={"ids": "words", "mask": "words.mask"}, **only),
    }
    (project.root / "stand.py").write_text(TARGET)
    for name in ("Stand", "Shifts", "Crops", "Remembers", "Breaks"):
        backends = {"cpu": {"runtimes": ["onnxruntime"]}}
        project.devices["devices"][name.lower()] = {"kind": "own", "target": f"stand.py:{name}", "backends": backends}
    project.run("-k", "accuracy or latency")
    return project


@pytest.mark.parametrize("name", ["pixels", "padded", "segmented", "words"])
def test_a_target_of_ones_own_gives_the_hosts_outputs(judged: Project, name: str) -> None:
    """Sample by sample, each in its own size, of images with the channels first too; and the metric of the host."""
    journal = Run.open(judged.root / "results" / "latest").journal
    there, host = (journal.find(Outputs, CellId(name, "ort_fp32", f"{each}:cpu")) for each in ("stand", "host"))
    assert there is not None, judged.message("ort_fp32", name, "stand:cpu")
    assert host is not None
    np.testing.assert_allclose(there.values, host.values, atol=1e-6)
    assert there.shapes == host.shapes
    assert (there.sizes is None) == (name in ("padded", "words"))
    assert there.sizes is None or np.array_equal(there.sizes, host.sizes)
    assert judged.statuses()[f"{name}/ort_fp32/stand:cpu"] == "pass"
    quality = judged.result().cells.query("model == 'segmented' and variant == 'ort_fp32'").miou_percent
    assert quality.notna().all()
    assert quality.nunique() == 1


def test_the_sample_of_median_size_is_timed(judged: Project) -> None:
    areas = [image.size for image in samples(judged, "images")]
    [timed] = (
        judged.result().cells.query("model == 'pixels' and target == 'stand:cpu' and variant == 'ort_fp32'").p50_ms
    )
    assert timed == pytest.approx(sorted(areas)[(len(areas) - 1) // 2] / 1000, abs=1e-4)


def test_what_goes_wrong_there_is_found(judged: Project) -> None:
    """Outputs that are shifted fail; those of another size, or of another run, and what the class raises, are errors."""
    found = {
        name: judged.statuses()[f"pixels/ort_fp32/{name}:cpu"] for name in ("shifts", "crops", "remembers", "breaks")
    }
    assert found == {"shifts": "fail", "crops": "error", "remembers": "error", "breaks": "error"}
    said = {name: judged.message("ort_fp32", "pixels", f"{name}:cpu") for name in found}
    assert "sample 0 has outputs of" in said["crops"]
    assert "run again in reverse order, gave other outputs" in said["remembers"]
    assert "outputs of stand.py:Breaks raised MemoryError: too wide for this stand" in said["breaks"]
