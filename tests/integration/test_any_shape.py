"""Models of inputs that are no images and of several outputs, judged with and without labels, and files of old converters."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from edgeworthy.cells import CellId
from edgeworthy.records import Outputs
from edgeworthy.runs.run import Run
from onnx import TensorProto, helper, numpy_helper

from tests.integration.conftest import Digits, Project, linear_tflite, make_project
from tests.onnx_files import onnx_file
from tests.tflite_files import old_tflite

#: Everything that a source of any framework can become without training.
LITERT = {"fp32": {}, "weight_only_int8": {}, "int8_float_io": {}, "float16": {}}
#: Of a .tflite, or of a model that has a tensor of 1,024 weights; of smaller ones TFLiteConverter leaves all in float.
DYNAMIC = {"dynamic_int8": {}}
#: Without VNNI, products of 8 bits saturate.
ORT = {"ort_fp32": {}, "ort_dynamic": {}, "ort_int8_minmax": {"options": {"reduce_range": True}}}
TORCH = {"torch_fp32": {}, "torch_int8": {}}
TOKENS, WORDS = 12, 50

FACTORY = """
import torch
from torch import nn


def table():
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.boxes, self.scores = nn.Conv2d(8, 4, 1), nn.Conv2d(8, 2, 1)

    def forward(self, images):
        found = self.body(images)
        return {"scores": self.scores(found).flatten(2), "boxes": 50 * self.boxes(found).flatten(2)}


def detector():
    return Detector()


def sound():
    return nn.Sequential(nn.Conv1d(4, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 5))
"""
#: Written where TensorFlow and torch are at home: never in this process.
KERAS = """
import sys, keras
keras.utils.set_random_seed(0)
inputs = keras.Input((40, 4))
x = keras.layers.Conv1D(8, 5, activation="relu")(inputs)
x = keras.layers.GlobalAveragePooling1D()(x)
keras.Model(inputs, keras.layers.Dense(5)(x)).save(sys.argv[1])
loudness = keras.layers.Rescaling(100, name="loudness")(keras.layers.Dense(1)(x))
ends = {"kind": keras.layers.Dense(5, name="kind")(x), "loudness": loudness}
keras.Model(inputs, ends).save(sys.argv[1].replace("sound", "two"))
"""
TORCH_WEIGHTS = """
import sys, torch
sys.path.insert(0, sys.argv[1])
import nets
torch.manual_seed(0)
for name in ("table", "sound", "detector"):
    torch.save(getattr(nets, name)().state_dict(), f"{sys.argv[1]}/{name}.pt")
"""


#: A filter that remembers its last output in a resource variable.
STATE = """
import sys, os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf


class Filter(tf.Module):
    def __init__(self):
        self.last = tf.Variable(tf.zeros((1, 4)))

    @tf.function(input_signature=[tf.TensorSpec((1, 4), tf.float32, name="step")])
    def __call__(self, step):
        self.last.assign(0.5 * self.last + step)
        return {"smooth": self.last.read_value()}


module = Filter()
converter = tf.lite.TFLiteConverter.from_concrete_functions([module.__call__.get_concrete_function()], module)
converter.experimental_enable_resource_variables = True
open(sys.argv[1], "wb").write(converter.convert())
"""


def token_model(path: Path) -> None:
    """int32 (batch, TOKENS) -> the mean of embeddings -> (batch, 3); its bias has two axes, its names end in numbers."""
    random = np.random.default_rng(0)
    weights = {
        "table": random.normal(size=(WORDS, 16)).astype(np.float32),
        "dense": random.normal(size=(16, 16)).astype(np.float32),
        "dense2": random.normal(size=(16, 3)).astype(np.float32),
        "bias": random.normal(size=(1, 3)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["words"]),
        helper.make_node("ReduceMean", ["words"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["mean", "dense"], ["mean2"]),
        helper.make_node("Gemm", ["mean2", "dense2", "bias"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tokens",
        [helper.make_tensor_value_info("ids", TensorProto.INT32, ["batch", TOKENS])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def one_row_model(path: Path) -> None:
    """(batch, 4) -> three boxes and six scores, by reshapes that put the boxes and scores of all samples into one row."""
    weights = {
        "dense": np.random.default_rng(3).normal(size=(4, 12)).astype(np.float32),
        "boxes_shape": np.array([1, -1, 4], np.int64),
        "scores_shape": np.array([1, -1, 2], np.int64),
    }
    nodes = [helper.make_node("MatMul", ["x", "dense"], ["all"])]
    nodes += [helper.make_node("Reshape", ["all", f"{name}_shape"], [name]) for name in ("boxes", "scores")]
    onnx_file(path, nodes, {"x": ["batch", 4]}, {"boxes": [1, "boxes", 4], "scores": [1, "scores", 2]}, weights)


def write_arrays(folder: Path, digits: Digits) -> None:
    """Samples of each shape; only those of the table have labels."""
    random = np.random.default_rng(1)
    table = {name: each.reshape(len(each), 64) if name.endswith("_x") else each for name, each in digits.arrays.items()}
    np.savez(folder / "table.npz", **table)
    sound = random.normal(size=(90, 40, 4)).cumsum(axis=1).astype(np.float32) / 8
    np.savez(folder / "sound.npz", evaluation_x=sound[:60], calibration_x=sound[60:])
    kinds = np.arange(60) % 5
    np.savez(folder / "labelled.npz", evaluation_x=sound[:60], evaluation_y=kinds)
    turned = sound.transpose(0, 2, 1)
    np.savez(folder / "channels_first.npz", evaluation_x=turned[:60], calibration_x=turned[60:])
    ids = random.integers(0, WORDS, (90, TOKENS)).astype(np.int32)
    np.savez(folder / "ids.npz", evaluation_x=ids[:60], calibration_x=ids[60:])


def model(source: dict[str, Any], dataset: str, variants: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"source": source, "dataset": dataset, "variants": variants, "reference": next(iter(variants)), **more}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, digits: Digits, shared_store: Path) -> Project:
    """One run of all the models."""
    project = make_project(tmp_path_factory.mktemp("shapes"), digits, shared_store)
    folder = project.root / "benchmarks"
    write_arrays(folder, digits)
    (folder / "nets.py").write_text(FACTORY)
    for code, where in ((KERAS, folder / "sound.keras"), (TORCH_WEIGHTS, folder), (STATE, folder / "state.tflite")):
        subprocess.run([sys.executable, "-c", code, str(where)], check=True, capture_output=True, timeout=300)
    token_model(folder / "tokens.onnx")
    one_row_model(folder / "one_row.onnx")
    (folder / "old.tflite").write_bytes(old_tflite(linear_tflite(digits.weights, digits.bias)))
    np.savez(folder / "steps.npz", evaluation_x=np.random.default_rng(2).normal(size=(40, 4)).astype(np.float32))
    names = ("labelled", "steps", "table", "sound", "channels_first", "ids")
    project.models["datasets"] |= {name: {"kind": "npz", "path": f"{name}.npz"} for name in names}
    project.models["datasets"]["ids"]["classes"] = 3
    unlabelled = {"metric": "fidelity"}
    project.models["models"] = {
        "table": model(
            {"factory": "nets.py:table", "weights": "table.pt"}, "table", ORT | LITERT | DYNAMIC | TORCH, **unlabelled
        ),
        "conv": model({"factory": "nets.py:sound", "weights": "sound.pt"}, "channels_first", ORT | TORCH, **unlabelled),
        "keras": model({"path": "sound.keras"}, "sound", LITERT | ORT, **unlabelled),
        "tokens": model({"path": "tokens.onnx"}, "ids", ORT | {"fp32": {}, "weight_only_int8": {}}, **unlabelled),
        "old": model({"path": "old.tflite"}, "digits", LITERT | DYNAMIC),
        "detector": model(
            {"factory": "nets.py:detector", "weights": "detector.pt"},
            "digits",
            ORT | LITERT | {"torch_fp32": {}},
            **unlabelled,
        ),
        "two": model({"path": "two.keras"}, "sound", LITERT | ORT, **unlabelled),
        "unchosen": model({"path": "two.keras"}, "labelled", {"fp32": {}}),
        "one_row": model({"path": "one_row.onnx"}, "steps", {"ort_fp32": {}, "ort_dynamic": {}}, **unlabelled),
        "state": model({"path": "state.tflite"}, "steps", {"fp32": {}}, **unlabelled),
        "needs_labels": model({"path": "tokens.onnx"}, "ids", {"ort_fp32": {}}),
    }
    del project.models["budgets"]
    result = project.run("-k", "accuracy or canary")
    assert result.returncode == 1, result.stdout
    return project


def test_every_shape_is_quantized_and_judged(judged: Project) -> None:
    """Rows, sound and tokens become every variant; nothing is refused, and each canary is rejected."""
    statuses = judged.statuses()
    others = {cell: status for cell, status in statuses.items() if not cell.startswith(("needs_labels/", "unchosen/"))}
    assert {cell for cell, status in others.items() if status != "pass"} == {
        f"{name}/canary/host:cpu"
        for name in ("table", "conv", "keras", "tokens", "old", "state", "detector", "two", "one_row")
    }
    assert {status for cell, status in others.items() if "/canary/" in cell} == {"rejected"}


def test_fidelity_is_the_error_against_the_reference(judged: Project) -> None:
    """Without labels the normalized error is judged, agreement where there are classes, and accuracy nowhere."""
    cells = judged.result().cells.set_index(["model", "variant"])
    row = cells.loc[("tokens", "ort_int8_minmax")]
    assert 0 < row.nmse < 0.1
    assert row.nmse_low < row.nmse < row.nmse_high
    assert row.agreement_percent > 90
    assert row.metric == "fidelity"
    assert np.isnan(row.top1_percent)
    assert "against no targets" in row.message
    assert cells.loc[("table", "ort_fp32")].nmse == 0


def test_an_old_files_weights_are_quantized(judged: Project) -> None:
    """Op codes of 8 bits and float16 weights hid them from the quantizer, which then left everything as it was."""
    cells = judged.result().cells.set_index(["model", "variant"])
    assert cells.loc[("old", "fp32")].sqnr_db == np.inf
    for name in ("weight_only_int8", "dynamic_int8", "int8_float_io"):
        assert 10 < cells.loc[("old", name)].sqnr_db < 80


def test_several_outputs_are_judged_each_by_itself(judged: Project) -> None:
    """The worst decides and is named; in every runtime they stand in the order of the source's."""
    journal = Run.open((judged.root / "results" / "latest").resolve()).journal
    cells = judged.result().cells.set_index(["model", "variant"])
    for name, shapes in {"detector": {(2, 16), (4, 16)}, "two": {(5,), (1,)}}.items():
        truth = journal.truth(name)
        assert truth
        assert set(truth.outputs.values()) == shapes
        assert "of 2 outputs" in cells.loc[(name, "ort_int8_minmax")].message
        for variant in ("fp32", "ort_fp32"):
            outputs = journal.find(Outputs, CellId(name, variant, "host:cpu"))
            assert outputs
            assert list(map(tuple, outputs.shapes)) == list(truth.outputs.values())
            np.testing.assert_allclose(outputs.values, truth.reference, rtol=1e-3, atol=1e-3)


def test_a_graph_that_puts_a_batch_into_one_row_is_run_one_by_one(judged: Project) -> None:
    """What it gives has the shape of one sample, not of as many as could be run at a time."""
    journal = Run.open((judged.root / "results" / "latest").resolve()).journal
    outputs = journal.find(Outputs, CellId("one_row", "ort_fp32", "host:cpu"))
    assert outputs
    assert (outputs.batch, list(map(tuple, outputs.shapes))) == (1, [(3, 4), (6, 2)])


def test_accuracy_needs_one_output(judged: Project) -> None:
    message = judged.message("fp32", "unchosen")
    assert "the model 'unchosen' has 2 outputs: kind, loudness, and none is chosen" in message


def test_a_model_with_state_begins_anew_with_each_sample(judged: Project) -> None:
    """LiteRT cannot reset resource variables: without a load for each sample, outputs would depend on their order."""
    steps = np.load(judged.root / "benchmarks" / "steps.npz")["evaluation_x"]
    journal = Run.open((judged.root / "results" / "latest").resolve()).journal
    outputs = journal.find(Outputs, CellId("state", "fp32", "host:cpu"))
    assert outputs
    np.testing.assert_array_equal(outputs.values, steps)


def test_a_metric_that_needs_targets_says_so(judged: Project) -> None:
    message = judged.message("ort_fp32", "needs_labels")
    assert message == "dataset 'ids' lacks 'evaluation_y', which the metric top1 needs"


def test_a_limit_that_a_constant_output_keeps_is_refused(project: Project) -> None:
    project.models["models"]["linear"] |= {"metric": "fidelity", "variants": {"ort_fp32": {}}}
    project.models["budgets"] = [{"max_nmse": 1.0}]
    project.run("-k", "accuracy")
    assert "max_nmse: 1 cannot fail: an output that is the same for every sample has 1" in project.message("ort_fp32")


def branching(path: Path) -> None:
    """(batch, 6) times one matrix or another, by the sign of the first value: all that has weights lies in the branches."""
    result = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 4])
    random = np.random.default_rng(0)
    branches = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node("MatMul", ["x", f"{name} matrix"], ["scores"])],
            name,
            [],
            [result],
            [numpy_helper.from_array(random.normal(size=(6, 4)).astype(np.float32), f"{name} matrix")],
        )
        for name in ("then", "else")
    }
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["largest"], keepdims=0),
        helper.make_node("Cast", ["largest"], ["which"], to=TensorProto.BOOL),
        helper.make_node("If", ["which"], ["scores"], **branches),
    ]
    onnx_file(path, nodes, {"x": ["batch", 6]}, {"scores": ["batch", 4]}, {})


def small(path: Path) -> None:
    """(batch, 6) times a matrix, and what is positive of it: 24 weights in all."""
    matrix = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["x", "matrix"], ["raw"]), helper.make_node("Relu", ["raw"], ["scores"])]
    onnx_file(path, nodes, {"x": ["batch", 6]}, {"scores": ["batch", 4]}, {"matrix": matrix})


def weightless(path: Path) -> None:
    """What is positive of (batch, 6)."""
    nodes = [helper.make_node("Relu", ["x"], ["scores"])]
    onnx_file(path, nodes, {"x": ["batch", 6]}, {"scores": ["batch", 6]}, {})


def test_what_stays_in_float_is_not_called_int8(project: Project) -> None:
    """The quantizers of ONNX Runtime leave branches as they are, those of LiteRT small weights, and they say nothing."""
    folder = project.root / "benchmarks"
    branching(folder / "branching.onnx")
    small(folder / "small.onnx")
    weightless(folder / "weightless.onnx")
    values = np.random.default_rng(1).normal(size=(40, 6)).astype(np.float32)
    np.savez(folder / "rows.npz", evaluation_x=values[:30], calibration_x=values[30:])
    project.models["datasets"]["rows"] = {"kind": "npz", "path": "rows.npz"}
    litert = {name: {} for name in ("fp32", "dynamic_int8", "weight_only_int8", "float16", "int8_float_io")}
    project.models["models"] = {
        name: model({"path": f"{name}.onnx"}, "rows", variants, metric="fidelity")
        for name, variants in {"branching": ORT, "small": litert, "weightless": litert}.items()
    }
    project.run("-k", "accuracy")
    statuses = {cell: status for cell, status in project.statuses().items() if "/canary/" not in cell}
    refused = [cell for cell, status in statuses.items() if status == "refused"]
    assert {status for cell, status in statuses.items() if cell not in refused} == {"pass"}
    assert set(refused) == {
        *(f"branching/{variant}/host:cpu" for variant in ("ort_dynamic", "ort_int8_minmax")),
        "small/dynamic_int8/host:cpu",
        *(f"weightless/{variant}/host:cpu" for variant in ("dynamic_int8", "weight_only_int8", "float16")),
    }
    for name, variant, _ in (cell.split("/") for cell in refused):
        assert project.message(variant, name).endswith("all would stay float")
    assert "no weights of fewer than 1,024 values" in project.message("dynamic_int8", "small")
    cells = project.result().cells.set_index(["model", "variant"])
    assert "use weight_only_int8" in cells.loc[("small", "dynamic_int8")].hint
