"""Models that are given back at each step what they gave at the one before: over sequences, from every framework."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from edgeworthy.cells import CellId
from edgeworthy.records import Outputs
from edgeworthy.runs.run import Run
from onnx import TensorProto, helper

from tests.integration.conftest import Digits, Project, make_project
from tests.onnx_files import onnx_file

#: Without VNNI, products of 8 bits saturate.
ORT = {"ort_fp32": {}, "ort_dynamic": {}, "ort_int8_minmax": {"options": {"reduce_range": True}}}
LITERT = {"fp32": {}, "weight_only_int8": {}, "int8_float_io": {}}
SEQUENCES, CALIBRATION, STEPS, WIDTH = 24, 8, 7, 6
CLASSES = 3

NETS = """
import torch
from torch import nn


class Cell(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.last = nn.GRUCell(6, 8), nn.Linear(8, 3)

    def forward(self, x, h):
        h = self.cell(x, h)
        return {"scores": self.last(h), "h": h}


def cell():
    return Cell()
"""
TORCH_OUTPUTS = """
import sys, numpy as np, torch
sys.path.insert(0, sys.argv[1])
import nets
torch.manual_seed(0)
module = nets.cell().eval()
torch.save(module.state_dict(), f"{sys.argv[1]}/cell.pt")
given = torch.tensor(np.load(f"{sys.argv[1]}/sequences.npz")["evaluation_x"])
state, found = torch.full((len(given), 8), 0.5), []
with torch.no_grad():
    for step in range(given.shape[1]):
        given_back = module(given[:, step], state)
        state = given_back["h"]
        found.append(given_back["scores"].numpy())
np.save(f"{sys.argv[1]}/torch.npy", np.stack(found, 1))
"""
KERAS = """
import os, sys, numpy as np
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras, tensorflow as tf
keras.utils.set_random_seed(0)
x, before = keras.Input((6,), name="x"), keras.Input((8,), name="before")
after = keras.layers.Dense(8, activation="tanh", name="after")(keras.layers.Concatenate()([x, before]))
model = keras.Model([x, before], [after, keras.layers.Dense(3, name="scores")(after)])
model.save(f"{sys.argv[1]}/cell.keras")
given = np.load(f"{sys.argv[1]}/sequences.npz")["evaluation_x"]
state, found = np.zeros((len(given), 8), np.float32), []
for step in range(given.shape[1]):
    state, scores = model.predict_on_batch([given[:, step], state])
    found.append(scores)
np.save(f"{sys.argv[1]}/keras.npy", np.stack(found, 1))
model.export(f"{sys.argv[1]}/saved", verbose=False)
open(f"{sys.argv[1]}/cell.tflite", "wb").write(tf.lite.TFLiteConverter.from_saved_model(f"{sys.argv[1]}/saved").convert())
"""


def voice_model(path: Path) -> None:
    """As voice detectors are: (batch, 6), the state (2, batch, 4) of two layers and a rate -> a score and the next state."""
    random = np.random.default_rng(0)
    weights = {
        **{name: random.normal(size=shape).astype(np.float32) / 2
           for name, shape in {"in": (6, 4), "low": (4, 4), "up": (4, 4), "high": (4, 4), "out": (4, 1)}.items()},
        "zero": np.array(0, np.int64), "one": np.array(1, np.int64), "first": np.array([0], np.int64),
    }  # fmt: skip
    steps = [
        ("Gather", ["state", "zero"], "h0"), ("MatMul", ["x", "in"], "seen"), ("MatMul", ["h0", "low"], "kept0"),
        ("Add", ["seen", "kept0"], "sum0"), ("Tanh", ["sum0"], "n0"),
        ("Gather", ["state", "one"], "h1"), ("MatMul", ["n0", "up"], "raised"), ("MatMul", ["h1", "high"], "kept1"),
        ("Add", ["raised", "kept1"], "sum1"), ("Tanh", ["sum1"], "n1"),
        ("Unsqueeze", ["n0", "first"], "row0"), ("Unsqueeze", ["n1", "first"], "row1"),
        ("MatMul", ["n1", "out"], "raw"), ("Sigmoid", ["raw"], "squashed"),
    ]  # fmt: skip
    nodes = [helper.make_node(op, given, [made]) for op, given, made in steps]
    nodes += [
        helper.make_node("Concat", ["row0", "row1"], ["stateN"], axis=0),
        helper.make_node("Cast", ["sr"], ["rate"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["squashed", "rate"], ["output"]),
    ]
    onnx_file(
        path,
        nodes,
        {"x": ["b", WIDTH], "state": [2, "b", 4], "sr": []},
        {"output": ["b", 1], "stateN": [2, "b", 4]},
        weights,
        whole=["sr"],
    )


def sequences() -> dict[str, np.ndarray]:
    values = np.random.default_rng(1).normal(size=(SEQUENCES + CALIBRATION, STEPS, WIDTH)).astype(np.float32)
    return {"evaluation_x": values[:SEQUENCES], "calibration_x": values[SEQUENCES:]}


def model(source: dict[str, Any], variants: dict[str, Any], state: dict[str, Any], **more: Any) -> dict[str, Any]:
    reference = next(iter(variants))
    return {
        "source": source,
        "dataset": "sequences",
        "variants": variants,
        "reference": reference,
        "metric": "fidelity",
        "inputs": {"x": "x"},
        "state": state,
        **more,
    }


VOICE = {"inputs": {"x": "x", "sr": 2}, "state": {"state": {"from": "stateN"}}}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, digits: Digits, shared_store: Path) -> Project:
    """One run of all the models."""
    project = make_project(tmp_path_factory.mktemp("state"), digits, shared_store)
    folder = project.root / "benchmarks"
    (folder / "nets.py").write_text(NETS)
    np.savez(folder / "sequences.npz", **sequences())
    for code in (TORCH_OUTPUTS, KERAS):
        subprocess.run([sys.executable, "-c", code, str(folder)], check=True, capture_output=True, timeout=300)
    voice_model(folder / "voice.onnx")
    project.models["datasets"]["sequences"] = {"kind": "npz", "path": "sequences.npz"}
    after = {"before": {"from": "after"}}
    project.models["models"] = {
        "voice": model({"path": "voice.onnx"}, ORT | LITERT, **VOICE),
        "keras": model({"path": "cell.keras"}, LITERT | ORT, after),
        "tflite": model({"path": "cell.tflite"}, {"fp32": {}, "dynamic_int8": {}}, {"before": {"from": "output_0"}}),
        "torch": model(
            {"factory": "nets.py:cell", "weights": "cell.pt"},
            {"torch_fp32": {}, "torch_int8": {}} | ORT | LITERT,
            {"h": {"from": "h", "initial": 0.5, "shape": [1, 8]}},
        ),
    }
    labels = np.load(folder / "keras.npy")[:, -1].argmax(axis=1)
    labels[::4] = (labels[::4] + 1) % CLASSES
    np.savez(folder / "classes.npz", **sequences(), evaluation_y=labels)
    project.models["datasets"]["classes"] = {"kind": "npz", "path": "classes.npz"}
    by_class = model({"path": "cell.keras"}, {"fp32": {}, "ort_fp32": {}, "int8": {}}, after)
    project.models["models"]["classes"] = by_class | {"dataset": "classes", "metric": "top1"}
    project.run()
    return project


def test_every_variant_is_judged_over_sequences(judged: Project) -> None:
    """Nothing is refused and nothing fails, and a float variant has the framework's own outputs at every step."""
    assert not judged.unsound()
    folder = judged.root / "benchmarks"
    for name, variants in {"keras": ("fp32", "ort_fp32"), "torch": ("torch_fp32", "ort_fp32", "fp32")}.items():
        wanted = np.load(folder / f"{name}.npy").reshape(SEQUENCES, STEPS * CLASSES)
        for variant in variants:
            np.testing.assert_allclose(outputs(judged, name, variant), wanted, atol=1e-5, err_msg=f"{name} {variant}")
    np.testing.assert_allclose(outputs(judged, "tflite", "fp32"), outputs(judged, "keras", "fp32"), atol=1e-5)
    for variant in ("ort_fp32", "fp32"):
        np.testing.assert_allclose(outputs(judged, "voice", variant), voice_outputs(folder), atol=1e-5)


def voice_outputs(folder: Path) -> np.ndarray:
    """Those of the file itself, one sequence after the other."""
    session = onnxruntime.InferenceSession(folder / "voice.onnx")
    found = []
    for sequence in sequences()["evaluation_x"]:
        state, scores = np.zeros((2, 1, 4), np.float32), []
        for step in sequence:
            score, state = session.run(None, {"x": step[np.newaxis], "state": state, "sr": np.array(2, np.int64)})
            scores.append(score[0, 0])
        found.append(scores)
    return np.array(found, np.float32)


def outputs(judged: Project, model: str, variant: str) -> np.ndarray:
    journal = Run.open(judged.root / "results" / "latest").journal
    found = journal.find(Outputs, CellId(model, variant, "host:cpu"))
    assert found is not None
    return found.values


def test_of_a_classifier_the_last_step_is_judged(judged: Project) -> None:
    """A label is the sequence's; it is right of the file's own predictions after the last step."""
    folder = judged.root / "benchmarks"
    run = outputs(judged, "classes", "fp32")
    np.testing.assert_allclose(run, np.load(folder / "keras.npy")[:, -1], atol=1e-5)
    cells = judged.result().cells.set_index(["model", "variant"])
    assert cells.loc[("classes", "fp32"), "top1_percent"] == 75
    assert cells.loc[("classes", "ort_fp32"), "top1_percent"] == 75


#: What is changed of the arrays and of the model's entry, and what is said then.
BAD: dict[str, tuple[dict[str, np.ndarray], dict[str, Any], str]] = {
    "unknown": (
        {}, {"state": {"state": {"from": "stateM"}}},
        "is not given back: the model has no output 'stateM'; did you mean 'stateN'?",
    ),
    "larger": ({}, {"state": {"state": {"from": "output"}}}, "the output 'output' is (1, 1), and the state 'state' (2, 1, 4)"),
    "misspelt": ({}, {"state": {"sate": {"from": "stateN"}}}, "the model's input 'state' is given nothing; did you mean 'sate'?"),
    "none": ({}, {"state": {}}, "the model's input 'state' is given nothing; known: sr, x"),
    "twice": ({}, {"state": {"x": {"from": "stateN"}}}, "x is under 'inputs' and under 'state'"),
    "shaped": (
        {}, {"state": {"state": {"from": "stateN", "shape": [2, 1, 5]}}},
        "the state 'state' is (2, None, 4) in the model, and (2, 1, 5)",
    ),
    "flat": (
        {"evaluation_x": np.zeros((4,), np.float32), "calibration_x": np.ones((4,), np.float32)}, {},
        "a model with state is given sequences, and samples of 'x' have no steps",
    ),
    "narrow": (
        {"evaluation_x": np.zeros((4, 3, 5), np.float32), "calibration_x": np.ones((4, 3, 5), np.float32)}, {},
        "the model's input 'x' is (6,), but the dataset's samples are (5,)",
    ),
}  # fmt: skip


def test_states_that_do_not_fit_are_named(project: Project) -> None:
    """Each in one sentence, with what there is; the healthy model beside them passes."""
    folder = project.root / "benchmarks"
    voice_model(folder / "voice.onnx")
    project.models["models"] = {}
    for name, (arrays, entry, _) in {"healthy": ({}, {}, ""), **BAD}.items():
        np.savez(folder / f"{name}.npz", **(sequences() | arrays))
        project.models["datasets"][name] = {"kind": "npz", "path": f"{name}.npz"}
        made = model({"path": "voice.onnx"}, {"ort_fp32": {}}, **(VOICE | entry))
        project.models["models"][name] = made | {"dataset": name}
    twice = project.models["models"].pop("twice")
    project.run("-k", "accuracy")
    found = project.statuses()
    assert found.pop("healthy/ort_fp32/host:cpu") == "pass"
    for name, (_, _, said) in BAD.items():
        if name != "twice":
            assert found[f"{name}/ort_fp32/host:cpu"] == "error"
            assert said in project.message("ort_fp32", name), name
    project.models["models"]["twice"] = twice  # the file itself is wrong: nothing runs
    assert BAD["twice"][2] in project.run("-k", "accuracy").stderr


def counting_model(path: Path, sizes: list[int | str]) -> None:
    """x (b, 6) and what it saw last (b, t, 6) and how often, whole -> x plus the mean of what it sees, and both anew."""
    nodes = [
        helper.make_node("Unsqueeze", ["x", "one"], ["column"]),
        helper.make_node("Concat", ["seen", "column"], ["longer"], axis=1),
        helper.make_node("Slice", ["longer", "one", "end", "one"], ["kept"]),
        helper.make_node("ReduceMean", ["kept"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("Add", ["count", "one"], ["counted"]),
        helper.make_node("Cast", ["counted"], ["often"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["x", "mean"], ["sum"]),
        helper.make_node("Add", ["sum", "often"], ["y"]),
    ]
    onnx_file(
        path,
        nodes,
        {"x": ["b", WIDTH], "seen": sizes, "count": [1]},
        {"y": ["b", WIDTH], "kept": sizes, "counted": [1]},
        {"one": np.array([1], np.int64), "end": np.array([1000], np.int64)},
        whole=["count", "counted"],
        opset=13,
    )


def image_model(path: Path) -> None:
    """An image (b, 3, 4, 5) and a state (b, 2, 4, 5), channels first -> the state after it, which is all that it gives."""
    weights = np.random.default_rng(2).normal(size=(2, 5, 1, 1)).astype(np.float32)
    nodes = [
        helper.make_node("Concat", ["x", "h"], ["both"], axis=1),
        helper.make_node("Conv", ["both", "weights"], ["mixed"]),
        helper.make_node("Tanh", ["mixed"], ["after"]),
    ]
    sizes = {name: ["b", channels, 4, 5] for name, channels in {"x": 3, "h": 2, "after": 2}.items()}
    onnx_file(path, nodes, {"x": sizes["x"], "h": sizes["h"]}, {"after": sizes["after"]}, {"weights": weights})


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory, digits: Digits, shared_store: Path) -> Project:
    """States of other kinds: with open sizes, whole numbers, images, and as the only output."""
    project = make_project(tmp_path_factory.mktemp("strange"), digits, shared_store)
    folder = project.root / "benchmarks"
    np.savez(folder / "sequences.npz", **sequences())
    images = np.random.default_rng(3).normal(size=(12, 3, 4, 5, 3)).astype(np.float32)
    np.savez(folder / "images.npz", evaluation_x=images[:8], calibration_x=images[8:])
    project.models["datasets"] |= {name: {"kind": "npz", "path": f"{name}.npz"} for name in ("sequences", "images")}
    counting_model(folder / "counting.onnx", ["b", "t", WIDTH])
    image_model(folder / "images.onnx")
    count = {"from": "counted", "initial": 2}
    some = {"ort_fp32": {}, "fp32": {}, "ort_dynamic": {}}
    counting = {"path": "counting.onnx"}
    project.models["models"] = {
        "counting": model(counting, some, {"seen": {"from": "kept", "shape": [1, 3, 6]}, "count": count}),
        "open": model(counting, {"ort_fp32": {}}, {"seen": {"from": "kept"}, "count": count}),
        "halved": model(
            counting,
            {"ort_fp32": {}},
            {"seen": {"from": "kept", "shape": [1, 3, 6]}, "count": count | {"initial": 0.5}},
        ),
        "beyond": model(
            counting,
            {"ort_fp32": {}},
            {"seen": {"from": "kept", "shape": [1, 3, 6]}, "count": count | {"initial": 2**24 - 3}},
        ),
        "images": model({"path": "images.onnx"}, some | {"int8_float_io": {}}, {"h": {"from": "after"}})
        | {"dataset": "images"},
    }
    project.run("-k", "accuracy or canary")
    return project


def stepwise(path: Path, values: np.ndarray, states: dict[str, np.ndarray], back: dict[str, str]) -> np.ndarray:
    """The first output of an ONNX file at every step of every sequence, by ONNX Runtime itself."""
    session, rows = onnxruntime.InferenceSession(path), []
    names = [each.name for each in session.get_outputs()]
    for sequence in values:
        given, found = dict(states), []
        for step in sequence:
            outputs = dict(zip(names, session.run(names, {"x": step[np.newaxis], **given}), strict=True))
            given = {name: outputs[output] for name, output in back.items()}
            found.append(outputs[names[0]][0])
        rows.append(found)
    return np.array(rows)


def test_states_of_every_kind_are_given_back_as_they_are(strange: Project) -> None:
    folder, statuses = strange.root / "benchmarks", strange.statuses()
    states = {"seen": np.zeros((1, 3, 6), np.float32), "count": np.array([2], np.int64)}
    wanted = stepwise(
        folder / "counting.onnx", sequences()["evaluation_x"], states, {"seen": "kept", "count": "counted"}
    ).reshape(SEQUENCES, -1)
    for variant in ("ort_fp32", "fp32"):
        assert statuses[f"counting/{variant}/host:cpu"] == "pass", strange.message(variant, "counting")
        np.testing.assert_allclose(outputs(strange, "counting", variant), wanted, atol=1e-5)
    images = np.load(folder / "images.npz")["evaluation_x"].transpose(0, 1, 4, 2, 3)
    after = stepwise(folder / "images.onnx", images, {"h": np.zeros((1, 2, 4, 5), np.float32)}, {"h": "after"})
    for variant in ("ort_fp32", "fp32", "ort_dynamic", "int8_float_io"):
        assert statuses[f"images/{variant}/host:cpu"] == "pass", strange.message(variant, "images")
    for variant in ("ort_fp32", "fp32"):
        found = outputs(strange, "images", variant)
        np.testing.assert_allclose(found, after.transpose(0, 1, 3, 4, 2).reshape(8, -1), atol=1e-5)


def test_what_is_not_known_of_a_state_is_asked_for(strange: Project) -> None:
    said = {name: strange.message("ort_fp32", name) for name in ("open", "halved", "beyond")}
    assert "the shape of the state 'seen' is needed: the model leaves (None, None, 6) open" in said["open"]
    assert "the state 'count' is int64, and begins with 0.5" in said["halved"]
    assert "a state of whole numbers reaches 16,777,216 within a sequence" in said["beyond"]


def test_layers_of_sequences_are_not_compared(strange: Project) -> None:
    """A step depends on those before it: diagnose says so, and what to do, instead of comparing single steps."""
    done = strange.edgeworthy("diagnose", "images", "ort_dynamic")
    assert (done.returncode, done.stdout) == (2, "")
    assert "the model keeps a state from step to step, and layers are compared sample by sample" in done.stderr
    assert "'metric: fidelity' judges each output by itself" in done.stderr


def test_all_steps_are_not_taken_for_the_last_one(judged: Project) -> None:
    """A model of the same sequences without classes has other outputs to be compared with."""
    judged.models["models"]["all"] = judged.models["models"].pop("classes") | {
        "dataset": "sequences",
        "metric": "fidelity",
    }
    judged.models["models"] = {"all": judged.models["models"]["all"]}
    judged.models["models"]["all"]["variants"] = {"fp32": {}, "ort_fp32": {}}
    assert judged.run("-k", "accuracy or canary").returncode == 0
    assert outputs(judged, "all", "fp32").shape == (SEQUENCES, STEPS * CLASSES)
