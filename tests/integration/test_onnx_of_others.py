"""ONNX files as other exporters write them: their names, sizes that the graph computes, and what is quantized already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from onnx import helper
from onnxruntime.quantization import quantize_dynamic

from tests.onnx_files import onnx_file

if TYPE_CHECKING:
    from tests.integration.conftest import Project

SIDE = 32
VARIANTS = {"ort_fp32": {}, "fp32": {}, "ort_dynamic": {}}


def from_tensorflow(path: Path, random: np.random.Generator) -> None:
    """As tf2onnx writes them: images are NHWC, and names have a colon."""
    nodes = [
        helper.make_node("Transpose", ["input:0"], ["x:0"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["x:0", "kernel"], ["y:0"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["y:0"], ["z:0"]),
        helper.make_node("GlobalAveragePool", ["z:0"], ["pooled:0"]),
        helper.make_node("Flatten", ["pooled:0"], ["outputs:0"]),
    ]
    weights = {"kernel": random.normal(size=(8, 3, 3, 3)).astype(np.float32)}
    onnx_file(path, nodes, {"input:0": ("unk__1", SIDE, SIDE, 3)}, {"outputs:0": ("unk__2", 8)}, weights)


def detector(path: Path, random: np.random.Generator) -> None:
    """As YOLO of any size is exported: two scales, each flattened by the sizes that it has, one after the other."""
    nodes = []
    for scale, stride in (("fine", 4), ("coarse", 8)):
        nodes += [
            helper.make_node(
                "Conv", ["images", f"{scale}_kernel"], [scale], strides=[stride, stride], pads=[1, 1, 1, 1]
            ),
            helper.make_node("Shape", [scale], [f"{scale}_sizes"]),
            helper.make_node("Gather", [f"{scale}_sizes", "height"], [f"{scale}_height"]),
            helper.make_node("Gather", [f"{scale}_sizes", "width"], [f"{scale}_width"]),
            helper.make_node("Mul", [f"{scale}_height", f"{scale}_width"], [f"{scale}_places"]),
            helper.make_node("Concat", ["first", f"{scale}_places"], [f"{scale}_flat"], axis=0),
            helper.make_node("Reshape", [scale, f"{scale}_flat"], [f"{scale}_rows"]),
        ]
    nodes.append(helper.make_node("Concat", ["fine_rows", "coarse_rows"], ["output0"], axis=2))
    weights = {
        **{f"{scale}_kernel": random.normal(size=(22, 3, 3, 3)).astype(np.float32) for scale in ("fine", "coarse")},
        "height": np.array([2], np.int64),
        "width": np.array([3], np.int64),
        "first": np.array([-1, 22], np.int64),
    }
    onnx_file(path, nodes, {"images": ("batch", 3, "height", "width")}, {"output0": ("batch", 22, "places")}, weights)


def quantized(path: Path, random: np.random.Generator) -> None:
    """A recurrent model that its maker has quantized, in an op of ONNX Runtime's own."""
    weights = {
        "w": random.normal(size=(1, 64, 6)).astype(np.float32),
        "r": random.normal(size=(1, 64, 16)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Transpose", ["x"], ["steps"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["steps", "w", "r"], ["", "last"], hidden_size=16),
        helper.make_node("Reshape", ["last", "tail"], ["y"]),
    ]
    weights["tail"] = np.array([-1, 16], np.int64)
    float_model = path.with_suffix(".float.onnx")
    onnx_file(float_model, nodes, {"x": ("n", 5, 6)}, {"y": ("n", 16)}, weights)
    quantize_dynamic(float_model, path)


@pytest.fixture
def ended_project(project: Project) -> Project:
    """The three models, judged by how near their outputs stay to those of the file as it is."""
    folder, random = project.root / "benchmarks", np.random.default_rng(0)
    images = random.random((48, SIDE, SIDE, 3)).astype(np.float32)
    steps = random.normal(size=(48, 5, 6)).astype(np.float32)
    for name, values in {"images": images, "steps": steps}.items():
        np.savez(folder / f"{name}.npz", evaluation_x=values[:32], calibration_x=values[32:])
    made = {"from_tensorflow": from_tensorflow, "detector": detector, "quantized": quantized}
    for name, write in made.items():
        write(folder / f"{name}.onnx", random)
    project.models["datasets"] = {name: {"kind": "npz", "path": f"{name}.npz"} for name in ("images", "steps")}
    project.models["models"] = {
        name: {
            "source": {"path": f"{name}.onnx"},
            "dataset": "steps" if name == "quantized" else "images",
            "reference": "ort_fp32",
            "metric": "fidelity",
            "variants": VARIANTS,
        }
        for name in made
    }
    project.models["budgets"] = [{"max_nmse": 0.05}]
    done = project.run("-k", "accuracy or canary")
    assert done.returncode == 0, done.stdout + done.stderr
    return project


def test_files_of_other_exporters_are_judged_or_refused_with_the_reason(ended_project: Project) -> None:
    """Nothing of a name, a layout or an open size keeps a model from LiteRT; a second quantization is no variant."""
    statuses = ended_project.statuses()
    for model in ("from_tensorflow", "detector"):
        assert {variant: statuses[f"{model}/{variant}/host:cpu"] for variant in VARIANTS} == dict.fromkeys(
            VARIANTS, "pass"
        )
    assert statuses["quantized/ort_fp32/host:cpu"] == "pass"
    assert statuses["quantized/canary/host:cpu"] == "rejected"
    assert ended_project.message("fp32", "quantized") == "onnx2tf does not know the op DynamicQuantizeLSTM"
    assert ended_project.message("ort_dynamic", "quantized").endswith(
        "quantized.onnx is quantized already, and ONNX Runtime's quantizer found nothing in it that is not"
    )
