"""Core ML: what can be known of its packages without a Mac, and that nothing passes that nobody ran."""

from __future__ import annotations

import importlib.util
import json
import platform
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.integration.conftest import Digits, Project, make_project
from tests.integration.test_several_inputs import FACTORY, TORCH_WEIGHTS, arrays, model, without

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("coremltools") is None, reason="coremltools is not installed: make accelerators"
    ),
    pytest.mark.skipif(platform.system() == "Darwin", reason="a Mac predicts"),
]

CNN = {"factory": "edgeworthy.variants.zoo.cnn:build", "weights": "edgeworthy:weights/cnn.pt"}
VARIANTS = ("coreml_fp16", "coreml_w8", "coreml_palettized")


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, digits: Digits, shared_store: Path) -> Project:
    """One run of the CNN and of a small module of two inputs."""
    project = make_project(tmp_path_factory.mktemp("coreml"), digits, shared_store)
    folder = project.root / "benchmarks"
    (folder / "nets.py").write_text(FACTORY)
    subprocess.run([sys.executable, "-c", TORCH_WEIGHTS, str(folder)], check=True, capture_output=True, timeout=300)
    np.savez(folder / "pair.npz", **without("mask", arrays()))
    project.models["datasets"] |= {
        "quick": {"kind": "digits", "classes": 10},
        "pair": {"kind": "npz", "path": "pair.npz"},
    }
    pair = {"factory": "nets.py:pair", "weights": "pair.pt"}
    project.models["models"] = {
        "cnn": {"source": CNN, "dataset": "quick", "reference": "torch_fp32"}
        | {"variants": {name: {} for name in ("torch_fp32", *VARIANTS)}},
        "pair": model(pair, "pair", {"torch_fp32": {}, "coreml_fp16": {}, "coreml_w8": {}}),
        "linear": model({"path": "linear.onnx"}, "digits", {"ort_fp32": {}, "coreml_fp16": {}}),
    }
    done = project.run("-k", "accuracy or footprint")
    assert done.returncode == 1, done.stdout
    return project


def test_no_package_passes_where_nobody_ran_it(judged: Project) -> None:
    """Each is an error that says why, and how large the file is that was made."""
    cells = judged.result().cells.set_index(["model", "variant"])
    for name, variant in [("cnn", each) for each in VARIANTS] + [("pair", "coreml_fp16")]:
        cell = cells.loc[name, variant]
        assert cell.status == "error", (name, variant, cell.message)
        assert f"cannot be run here: coreml runs on macOS alone, not on {platform.system()}" in cell.message
        assert " KB was converted and checked" in cell.hint


def test_what_it_cannot_take_is_refused_in_a_sentence(judged: Project) -> None:
    """A source without a module, and a module whose weights coremltools would leave as they are."""
    assert judged.statuses()["linear/coreml_fp16/host:cpu"] == "refused"
    assert "an ONNX file has no PyTorch module" in judged.message("coreml_fp16")
    assert judged.statuses()["pair/coreml_w8/host:cpu"] == "refused"
    assert "no layer of this model has the 2,048 weights" in judged.message("coreml_w8", "pair")


def test_the_packages_are_of_the_sizes_that_their_names_say(judged: Project) -> None:
    """Of the CNN: less with 8 bits than with 16, less with 4 than with 8; a zip holds one package."""
    sizes = {}
    for path in judged.store.rglob("artifact.mlpackage.zip"):
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            assert "model.mlpackage/Manifest.json" in names
            weights = archive.getinfo("model.mlpackage/Data/com.apple.CoreML/weights/weight.bin").file_size
        made_from = json.loads((path.parent / "artifact.json").read_text())["made_from"]
        sizes[made_from["model"], made_from["recipe"]] = weights
    float16, int8, palettized = (sizes["cnn", name] for name in VARIANTS)
    assert float16 > 1.5 * int8 > 1.5 * palettized
