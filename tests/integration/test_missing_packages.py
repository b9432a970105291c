"""Without a package, what needs it is an error whose hint is the line that installs it; nothing else is affected."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeworthy.measurements import probe
from edgeworthy.variants.conversion import converter_errors

from tests.integration.conversion_jobs import run_jobs, write_job

#: Runs at the start of every process below; what it names cannot be imported there.
SITECUSTOMIZE = """
import os, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in os.environ["BLOCKED"].split():
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
"""
FACTORY = {"factory": "factory.py:build", "weights": "net.pt"}
ONNX, TFLITE = {"path": "tiny.onnx"}, {"path": "tiny.tflite"}
EVERYTHING = (
    "tensorflow keras torch torchvision onnx onnxruntime onnx2tf ai_edge_litert ai_edge_quantizer"
    " openvino nncf executorch torchao coremltools"
)
#: What is missing, the source, the recipe, and the extra that the hint names.
CASES: list[tuple[str, dict[str, str], str, str]] = [
    (EVERYTHING, {"path": "net.keras"}, "fp32", "tensorflow"),
    (EVERYTHING, FACTORY, "torch_fp32", "torch"),
    (EVERYTHING, FACTORY, "fp32", "torch"),
    (EVERYTHING, ONNX, "ort_fp32", "onnx"),
    (EVERYTHING, TFLITE, "fp32", "litert"),
    ("onnx2tf", ONNX, "fp32", "onnx2tf"),
    ("onnxconverter_common", ONNX, "ort_float16", "onnx"),
    ("ai_edge_quantizer", TFLITE, "int8", "quantizer"),
    ("openvino", ONNX, "ov_fp32", "openvino"),
    (EVERYTHING, FACTORY, "et_fp32", "torch"),
    (EVERYTHING, FACTORY, "coreml_fp16", "torch"),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tiny = Path(str(probe.__file__)).with_name("tiny")
    for name in ("tiny.onnx", "tiny.tflite"):
        shutil.copyfile(tiny / name, tmp_path / name)
    (tmp_path / "net.keras").write_text("never opened")
    (tmp_path / "net.pt").write_text("never opened")
    (tmp_path / "factory.py").write_text("def build(): ...\n")
    np.save(tmp_path / "images.npy", np.random.default_rng(0).random((4, 8, 8, 1), dtype=np.float32))
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITECUSTOMIZE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    return tmp_path


def test_an_absent_package_is_named_with_the_line_that_installs_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a conversion misses is a PackageMissing with the extra; the process goes on with the other work."""
    jobs: dict[str, list[Path]] = {}
    for index, (missing, source, recipe, _) in enumerate(CASES):
        outs = {recipe: folder / f"job{index}.out"}
        job = write_job(folder / f"job{index}.json", source, outs, folder / "images.npy", classes=4)
        jobs.setdefault(missing, []).append(job)
    events: dict[str, list[dict[str, Any]]] = {}
    for missing, paths in jobs.items():
        monkeypatch.setenv("BLOCKED", missing)
        events |= run_jobs(paths, folder / "log")
    for index, (missing, _, recipe, extra) in enumerate(CASES):
        failed = events[f"job{index}"][-1]
        assert failed.get("error_type") == "PackageMissing", (missing, recipe, failed)
        assert failed["hint"] == f"pip install 'edgeworthy[{extra}]'", (missing, recipe, failed)
        assert "is not installed" in failed["message"]


def test_python_3_14_is_named_where_tensorflow_has_no_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    """What needs TensorFlow says why the extra does not help, and which Pythons do."""
    monkeypatch.setattr(converter_errors, "NO_TENSORFLOW", (3, 11))
    error = converter_errors.missing_package(ModuleNotFoundError("No module named 'keras'", name="keras"))
    assert "TensorFlow has no wheels for Python 3." in error.message
    assert error.hint == "use Python 3.11 to 3.13 for what needs TensorFlow"
    other = converter_errors.missing_package(ModuleNotFoundError("No module named 'torch'", name="torch"))
    assert other.hint == "pip install 'edgeworthy[torch]'"
