"""OpenVINO as a runtime: its variants of the digits' CNN and of graphs with several ends, judged in one run."""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path

import numpy as np
import pytest
from edgeworthy.cells import CellId
from edgeworthy.records import Outputs, Timing
from edgeworthy.runs.run import Run

from tests.integration.conftest import Digits, Project, make_project
from tests.integration.test_several_inputs import arrays, less_model, model, text_model, without

pytestmark = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("openvino", "nncf"))), reason="openvino is not installed: make accelerators"
)

CNN = {"factory": "edgeworthy.variants.zoo.cnn:build", "weights": "edgeworthy:weights/cnn.pt"}
VARIANTS = {
    "ov_fp32": {},
    "ort_fp32": {},
    "ov_fp16": {},
    "ov_int8": {},
    "ov_chosen": {
        "recipe": "ov_int8",
        "options": {
            "preset": "mixed",
            "fast_bias_correction": False,
            "float_ops": ["MatMul"],
            "calibration_samples": 20,
        },
    },
    "ov_absent": {"recipe": "ov_int8", "options": {"float_ops": ["MatMull"]}},
    "ov_broken": {},
}
#: The float graph with its last weights the other way round.
BROKEN = """
import numpy as np, onnx
from edgeworthy import recipe
from edgeworthy.variants.recipes import openvino as recipes
from onnx import numpy_helper

@recipe("ov_broken", runtime="openvino", packages=("openvino",))
def ov_broken(source, out):
    import openvino
    given = onnx.load(source.onnx_file())
    last = [tensor for tensor in given.graph.initializer if len(tensor.dims) == 2][-1]
    last.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(last), last.name))
    onnx.save(given, source.scratch / "broken.onnx")
    return recipes._write(source, openvino.convert_model(source.scratch / "broken.onnx"), out)
"""


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, digits: Digits, shared_store: Path) -> Project:
    """One run of the CNN, whose reference and canary are OpenVINO's, and of two graphs with several inputs."""
    project = make_project(tmp_path_factory.mktemp("openvino"), digits, shared_store)
    folder = project.root / "benchmarks"
    project.add_recipes(BROKEN)
    text_model(folder / "text.onnx")
    np.savez(folder / "text.npz", **without("image", arrays()))
    less_model(folder / "less.onnx", ("z.in:0", "a/in-x"))
    sides = np.random.default_rng(4).normal(size=(2, 90, 6)).astype(np.float32)
    splits = {"evaluation": slice(60), "calibration": slice(60, None)}
    named = {
        f"{split}_{name}": each[rows] for split, rows in splits.items() for name, each in zip("az", sides, strict=True)
    }
    np.savez(folder / "sides.npz", **named)
    project.models["datasets"] = {"quick": {"kind": "digits", "classes": 10}} | {
        name: {"kind": "npz", "path": f"{name}.npz"} for name in ("text", "sides")
    }
    both = {"ort_fp32": {}, "ov_fp32": {}, "ov_int8": {}}
    project.models["models"] = {
        "cnn": {"source": CNN, "dataset": "quick", "reference": "ov_fp32", "variants": VARIANTS},
        "text": model({"path": "text.onnx"}, "text", both, inputs={"ids": "ids", "mask": "mask", "rate": 16000}),
        "less": model({"path": "less.onnx"}, "sides", both, inputs={"z.in:0": "z", "a/in-x": "a"}),
    }
    project.devices["devices"]["host"]["backends"]["two"] = {"threads": 2, "runtimes": ["openvino"]}
    project.run()
    return project


def test_its_variants_pass_the_gate_and_a_broken_one_does_not(judged: Project) -> None:
    """On one thread and on two, by all axes; the canary, NNCF's own with a wrong calibration, is rejected."""
    found = judged.statuses()
    for variant in ("ov_fp32", "ov_fp16", "ov_int8", "ov_chosen"):
        for target in ("host:cpu", "host:two"):
            assert found[f"cnn/{variant}/{target}"] == "pass", judged.message(variant, "cnn", target)
    assert found["cnn/ov_broken/host:cpu"] == "fail"
    assert found["cnn/canary/host:cpu"] == "rejected"
    assert "int8 calibrated on inputs 1000 times too wide" in judged.message("canary", "cnn")
    cells = judged.result().cells.query("target == 'host:cpu' and model == 'cnn'").set_index("variant")
    assert cells.size_kb["ov_int8"] < 0.7 * cells.size_kb["ov_fp32"]
    assert cells.size_kb["ov_fp16"] < 0.7 * cells.size_kb["ov_fp32"]
    assert cells.runtime["ov_int8"].startswith("openvino 20")


def test_an_op_that_is_not_there_cannot_be_left_in_float(judged: Project) -> None:
    """The refusal has the nearest name."""
    assert judged.statuses()["cnn/ov_absent/host:cpu"] == "refused"
    assert "no op 'MatMull'; did you mean 'MatMul'?" in judged.message("ov_absent", "cnn")


def test_several_inputs_are_given_by_their_names(judged: Project) -> None:
    """Float graphs have ONNX Runtime's outputs, in float32 on every processor; int8 ones go with them."""
    for name in ("text", "less"):
        expected = outputs(judged, name, "ort_fp32")
        np.testing.assert_allclose(outputs(judged, name, "ov_fp32"), expected, atol=1e-5)
        quantized = outputs(judged, name, "ov_int8")
        assert 0.8 < np.corrcoef(quantized.ravel(), expected.ravel())[0, 1] < 0.99999, name
    np.testing.assert_allclose(outputs(judged, "cnn", "ov_fp32"), outputs(judged, "cnn", "ort_fp32"), atol=1e-4)


def test_the_executed_graph_is_the_evidence(judged: Project) -> None:
    """All kernels are the CPU plugin's, and those of int8 variants compute in 8 bits."""
    whole = {}
    for variant in ("ov_fp32", "ov_int8"):
        timing = Run.open(judged.root / "results" / "latest").journal.find(Timing, CellId("cnn", variant, "host:cpu"))
        assert timing is not None
        assert timing.delegation is not None
        assert timing.delegation.taken == timing.delegation.total > 5
        whole[variant] = int(timing.delegation.proof.split(", ")[1].split()[0])
    assert whole["ov_fp32"] == 0
    assert whole["ov_int8"] >= 5


def test_the_file_is_what_openvino_reads(judged: Project) -> None:
    """A zip of the two files of OpenVINO's own format, which name no folder of the machine that made them."""
    made = [path for path in judged.store.rglob("artifact.openvino.zip") if "artifacts" in path.parts]
    assert made
    for path in made:
        with zipfile.ZipFile(path) as archive:
            assert archive.namelist() == ["model.bin", "model.xml"]
            assert str(judged.root.parent).encode() not in archive.read("model.xml")


def outputs(judged: Project, name: str, variant: str) -> np.ndarray:
    found = Run.open(judged.root / "results" / "latest").journal.find(Outputs, CellId(name, variant, "host:cpu"))
    assert found is not None, judged.message(variant, name)
    return found.values
