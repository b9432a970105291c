"""Models of several inputs, from every framework to every runtime, and what is said where data and inputs do not fit."""

from __future__ import annotations

import re
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
from tests.onnx_files import masked_sum, onnx_file

LITERT = {"fp32": {}, "int8_float_io": {}, "weight_only_int8": {}}
#: Of a model that has a tensor of 1,024 weights; in smaller ones TFLiteConverter leaves all of them in float.
DYNAMIC = {"dynamic_int8": {}}
#: Without VNNI, products of 8 bits saturate.
ORT = {"ort_fp32": {}, "ort_dynamic": {}, "ort_int8_minmax": {"options": {"reduce_range": True}}}
WORDS, TOKENS = 40, 6
SAMPLES, CALIBRATION = 60, 30

FACTORY = """
import torch
from torch import nn


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.words, self.last = nn.Embedding(40, 16), nn.Linear(32, 5)

    def forward(self, image, ids):
        return self.last(torch.cat([self.body(image), self.words(ids).mean(1)], 1))


def pair():
    return Pair()


class Louder(Pair):
    def forward(self, ids, gain, image):
        return super().forward(image, ids) * gain


def louder():
    return Louder()


class Difference(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.one, self.other = nn.BatchNorm1d(6), nn.Linear(6, 4), nn.Linear(6, 4)

    def forward(self, zed, alpha, shift=None, scale=None):
        less = self.one(self.norm(zed)) - torch.relu(self.other(alpha))
        return {"less": less, "twice": 2 * less}


def difference():
    return Difference()
"""
TORCH_WEIGHTS = """
import sys, torch
sys.path.insert(0, sys.argv[1])
import nets
torch.manual_seed(0)
torch.save(nets.pair().state_dict(), f"{sys.argv[1]}/pair.pt")
torch.save(nets.difference().state_dict(), f"{sys.argv[1]}/difference.pt")
"""
#: Its inputs are not in the order of their names.
KERAS = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras, tensorflow as tf
keras.utils.set_random_seed(0)
image, ids = keras.Input((8, 6, 2), name="image"), keras.Input((6,), dtype="int32", name="ids")
seen = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(64, 3, activation="relu")(image))
read = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(40, 8)(ids))
model = keras.Model([image, ids], keras.layers.Dense(5)(keras.layers.Concatenate()([seen, read])))
model.save(f"{sys.argv[1]}/pair.keras")
model.export(f"{sys.argv[1]}/saved", verbose=False)
zed, alpha = keras.Input((6,), name="zed"), keras.Input((6,), name="alpha")
less = keras.layers.Dense(4)(zed) - keras.layers.Dense(4, activation="relu")(alpha)
keras.Model({"zed": zed, "alpha": alpha}, less).save(f"{sys.argv[1]}/named.keras")
keras.Model(zed, keras.layers.Dense(3)(zed)).save(f"{sys.argv[1]}/lone.keras")
open(f"{sys.argv[1]}/pair.tflite", "wb").write(tf.lite.TFLiteConverter.from_saved_model(f"{sys.argv[1]}/saved").convert())
"""


def text_model(path: Path) -> None:
    """Token ids, their mask and a number for all samples -> (batch, 3)."""
    nodes, weights = masked_sum(WORDS)
    nodes += [
        helper.make_node("MatMul", ["sum", "dense"], ["raw"]),
        helper.make_node("Cast", ["rate"], ["factor"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["raw", "factor"], ["scores"]),
    ]
    inputs = {"ids": ["batch", TOKENS], "mask": ["batch", TOKENS], "rate": []}
    onnx_file(path, nodes, inputs, {"scores": ["batch", 3]}, weights, whole=list(inputs))


def less_model(path: Path, names: tuple[str, str]) -> None:
    """(batch, 6) of each name: one times a matrix less the other times it -> (batch, 4)."""
    matrix = np.random.default_rng(3).normal(size=(6, 4)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", [names[0], "matrix"], ["one"]),
        helper.make_node("MatMul", [names[1], "matrix"], ["other"]),
        helper.make_node("Relu", ["other"], ["positive"]),
        helper.make_node("Sub", ["one", "positive"], ["less"]),
    ]
    onnx_file(path, nodes, {name: ["batch", 6] for name in names}, {"less": ["batch", 4]}, {"matrix": matrix})


def arrays() -> dict[str, np.ndarray]:
    """Samples of an image, token ids and a mask."""
    random = np.random.default_rng(1)
    total = SAMPLES + CALIBRATION
    made = {
        "image": random.normal(size=(total, 8, 6, 2)).astype(np.float32),
        "ids": random.integers(0, WORDS, (total, TOKENS)),
        "mask": (np.arange(TOKENS) < random.integers(1, TOKENS + 1, (total, 1))).astype(np.int64),
    }
    splits = {"evaluation": slice(SAMPLES), "calibration": slice(SAMPLES, None)}
    return {f"{split}_{name}": values[rows] for split, rows in splits.items() for name, values in made.items()}


def without(name: str, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {key: values for key, values in given.items() if not key.endswith(f"_{name}")}


def model(source: dict[str, Any], dataset: str, variants: dict[str, Any], **more: Any) -> dict[str, Any]:
    reference = next(iter(variants))
    return {
        "source": source,
        "dataset": dataset,
        "variants": variants,
        "reference": reference,
        "metric": "fidelity",
        **more,
    }


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, digits: Digits, shared_store: Path) -> Project:
    """One run of all the models."""
    project = make_project(tmp_path_factory.mktemp("inputs"), digits, shared_store)
    folder = project.root / "benchmarks"
    (folder / "nets.py").write_text(FACTORY)
    for code in (KERAS, TORCH_WEIGHTS):
        subprocess.run([sys.executable, "-c", code, str(folder)], check=True, capture_output=True, timeout=300)
    text_model(folder / "text.onnx")
    np.savez(folder / "pair.npz", **without("mask", arrays()))
    np.savez(folder / "text.npz", **without("image", arrays()))
    less_model(folder / "less.onnx", ("z.in:0", "a/in-x"))
    sides = np.random.default_rng(4).normal(size=(2, SAMPLES + CALIBRATION, 6)).astype(np.float32)
    splits = {"evaluation": slice(SAMPLES), "calibration": slice(SAMPLES, None)}
    # Of one shape, and in another order than the models take them.
    named = {
        f"{split}_{name}": each[rows]
        for split, rows in splits.items()
        for name, each in zip(("alpha", "zed"), sides, strict=True)
    }
    np.savez(folder / "sides.npz", **named)
    np.savez(folder / "lone.npz", **{name: each for name, each in named.items() if name.endswith("_zed")})
    names = ("pair", "text", "sides", "lone")
    project.models["datasets"] |= {name: {"kind": "npz", "path": f"{name}.npz"} for name in names}
    given = {"ids": "ids", "mask": "mask", "rate": 16000}
    pair = {"factory": "nets.py:pair", "weights": "pair.pt"}
    sub = {"factory": "nets.py:difference", "weights": "difference.pt"}
    project.models["models"] = {
        "sides": model(sub, "sides", {"torch_fp32": {}, "torch_int8": {}} | ORT | LITERT),
        "lone": model({"path": "lone.keras"}, "lone", LITERT | ORT),
        "named": model({"path": "named.keras"}, "sides", LITERT | ORT),
        "less": model({"path": "less.onnx"}, "sides", ORT | LITERT, inputs={"z.in:0": "zed", "a/in-x": "alpha"}),
        "random": model({**sub, "weights": "random"}, "sides", {"ort_fp32": {}, "torch_fp32": {}}),
        "text": model({"path": "text.onnx"}, "text", ORT | {"fp32": {}, "weight_only_int8": {}}, inputs=given),
        "keras": model({"path": "pair.keras"}, "pair", LITERT | DYNAMIC | ORT),
        "saved": model({"path": "saved"}, "pair", LITERT | DYNAMIC | {"ort_fp32": {}}),
        "tflite": model({"path": "pair.tflite"}, "pair", LITERT | DYNAMIC),
        "torch": model(pair, "pair", ORT | LITERT | {"torch_fp32": {}}),
        "louder": model(
            {"factory": "nets.py:louder", "weights": "pair.pt"},
            "pair",
            {"ort_fp32": {}, "torch_fp32": {}, "fp32": {}},
            inputs={"image": "image", "ids": "ids", "gain": 3},
        ),
    }
    project.run()
    return project


def test_every_format_has_the_outputs_of_its_source(judged: Project) -> None:
    """Nothing fails; a float variant of the same model has the same outputs in each runtime."""
    assert not judged.unsound()
    run = Run.open(judged.root / "results" / "latest")
    wanted = {"sides": torch_outputs(judged), "less": onnx_outputs(judged)}
    values = {}
    for name, variants in (("keras", ("fp32", "ort_fp32")), ("torch", ("ort_fp32", "fp32", "torch_fp32"))):
        found = [outputs(run, name, variant) for variant in variants]
        values[name] = found[0]
        for each in found[1:]:
            np.testing.assert_allclose(each, found[0], atol=1e-4)
    for variant in ("ort_fp32", "torch_fp32", "fp32"):
        np.testing.assert_allclose(outputs(run, "louder", variant), 3 * values["torch"], atol=1e-4)
    for name, variants in (("sides", ("torch_fp32", "ort_fp32", "fp32")), ("less", ("ort_fp32", "fp32"))):
        expected = wanted[name]
        for variant in variants:
            np.testing.assert_allclose(outputs(run, name, variant), expected, atol=1e-4)
    for name in ("saved", "tflite"):
        np.testing.assert_allclose(outputs(run, name, "fp32"), values["keras"], atol=1e-5)


def torch_outputs(judged: Project) -> np.ndarray:
    """Those of the module itself, by names."""
    code = """
import sys, numpy as np, torch
sys.path.insert(0, sys.argv[1])
import nets
module = nets.difference().eval()
module.load_state_dict(torch.load(f"{sys.argv[1]}/difference.pt", weights_only=True))
given = np.load(f"{sys.argv[1]}/sides.npz")
with torch.no_grad():
    found = module(zed=torch.tensor(given["evaluation_zed"]), alpha=torch.tensor(given["evaluation_alpha"]))
np.save(f"{sys.argv[1]}/wanted.npy", torch.cat([found["less"], found["twice"]], 1).numpy())
"""
    folder = judged.root / "benchmarks"
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, capture_output=True, timeout=300)
    return np.load(folder / "wanted.npy")


def onnx_outputs(judged: Project) -> np.ndarray:
    """Those of the file itself, by names."""
    session = onnxruntime.InferenceSession(judged.root / "benchmarks" / "less.onnx")
    given = np.load(judged.root / "benchmarks" / "sides.npz")
    return session.run(None, {"z.in:0": given["evaluation_zed"], "a/in-x": given["evaluation_alpha"]})[0]


def test_an_onnx_models_outputs_are_its_runtimes(judged: Project) -> None:
    """Bit by bit, sample by sample, with a number that all samples have."""
    session = onnxruntime.InferenceSession(judged.root / "benchmarks" / "text.onnx")
    given = arrays()
    wanted = session.run(
        None,
        {"ids": given["evaluation_ids"], "mask": given["evaluation_mask"], "rate": np.array(16000, np.int64)},
    )[0]
    found = outputs(Run.open(judged.root / "results" / "latest"), "text", "ort_fp32")
    np.testing.assert_allclose(found, wanted, atol=1e-7)


def text_arrays() -> dict[str, np.ndarray]:
    return without("image", arrays())


def half(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The mask in halves."""
    return {key: values / 2 if key.endswith("_mask") else values for key, values in given.items()}


#: What is changed of the dataset, of its entry and of the model's, and what is said then.
BAD: dict[str, tuple[dict[str, np.ndarray], dict[str, Any], dict[str, Any], str]] = {
    "lacking": (
        {key: values for key, values in text_arrays().items() if key != "calibration_mask"}, {}, {},
        "lacks 'calibration_mask', and has 'evaluation_mask'",
    ),
    "shorter": (
        {**text_arrays(), "evaluation_mask": text_arrays()["evaluation_mask"][:-1]}, {}, {},
        "evaluation_mask has 59 samples, evaluation_ids 60",
    ),
    "large": (
        {key: values + 2**24 for key, values in text_arrays().items()}, {}, {},
        "evaluation_ids: holds whole numbers beyond 16,777,216",
    ),
    "scaled": (text_arrays(), {"preprocessing": {"scale": 2}}, {}, "preprocessing is for one input, and there are 2: ids, mask"),
    "longer": (
        {key: np.repeat(values, 2, axis=1) for key, values in text_arrays().items()}, {}, {},
        "the model's input 'ids' is (6,), but the dataset's samples are (12,)",
    ),
    "halves": (half(text_arrays()), {}, {}, "no integer, and the model's input is int64 without a scale"),
    "nothing": (text_arrays(), {}, {"ids": "ids", "rate": 1}, "the model's input 'mask' is given nothing; known: ids, rate"),
    "misspelt": (
        text_arrays(), {}, {"ids": "ids", "mask": "maks", "rate": 1},
        "has no array 'evaluation_maks' for the model's input 'mask'; did you mean 'mask'?",
    ),
    "unknown": (
        text_arrays(), {}, {"ids": "ids", "mask": "mask", "rate": 1, "sampling": 2},
        "the model has no input 'sampling'; known: ids, mask, rate",
    ),
}  # fmt: skip


def test_inputs_that_do_not_fit_are_named(project: Project) -> None:
    """Each in one sentence, with what there is; the healthy model beside them passes."""
    folder = project.root / "benchmarks"
    text_model(folder / "text.onnx")
    given = {"ids": "ids", "mask": "mask", "rate": 1}
    cases = {name: (arrays, entry, inputs or given) for name, (arrays, entry, inputs, _) in BAD.items()}
    project.models["models"] = {}
    for name, (made, entry, inputs) in {"healthy": (text_arrays(), {}, given), **cases}.items():
        np.savez(folder / f"{name}.npz", **made)
        project.models["datasets"][name] = {"kind": "npz", "path": f"{name}.npz", **entry}
        project.models["models"][name] = model({"path": "text.onnx"}, name, {"ort_fp32": {}}, inputs=inputs)
    done = project.run()
    assert done.returncode == 1, done.stdout + done.stderr
    assert project.statuses()["healthy/ort_fp32/host:cpu"] == "pass"
    for name, (*_, said) in BAD.items():
        assert said in project.message("ort_fp32", name), name


def test_arrays_that_change_their_names_are_other_samples(project: Project) -> None:
    """The same numbers in the same order under exchanged names: nothing of the first run is taken for the second."""
    folder = project.root / "benchmarks"
    sizes = ["batch", 4]
    nodes = [helper.make_node("Sub", ["left", "right"], ["less"])]
    onnx_file(folder / "less.onnx", nodes, {"left": sizes, "right": sizes}, {"less": sizes}, {})
    project.models["datasets"]["sides"] = {"kind": "npz", "path": "sides.npz"}
    project.models["models"] = {"less": model({"path": "less.onnx"}, "sides", {"ort_fp32": {}})}
    one, other = np.random.default_rng(0).normal(size=(2, SAMPLES, 4)).astype(np.float32)
    for names, wanted in ((("left", "right"), one - other), (("right", "left"), other - one)):
        np.savez(
            folder / "sides.npz", **{f"evaluation_{name}": each for name, each in zip(names, (one, other), strict=True)}
        )
        done = project.run("-k", "accuracy")
        assert done.returncode == 0, done.stdout + done.stderr
        found = outputs(Run.open(project.root / "results" / "latest"), "less", "ort_fp32")
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_diagnose_compares_the_layers_after_every_input(judged: Project) -> None:
    """Those that ids, mask or the number reach alone, and where they meet; only what is quantized adds to the output's error."""
    done = judged.edgeworthy("diagnose", "text", "ort_dynamic")
    assert done.returncode == 0, done.stderr
    title = rf"text/ort_dynamic/host:cpu \(ort_dynamic\) against ort_fp32, {SAMPLES} samples: output ([\d.]+) dB"
    output = re.fullmatch(title, done.stdout.splitlines()[0])
    assert output, done.stdout
    rows = re.findall(r"^ *([\d.]+)  (\w+ \w+) +(\S+) +(\S+)", done.stdout, re.MULTILINE)
    shares = {name: float(share) for share, name, _, _ in rows}
    assert sorted(shares) == sorted([
        "Gather words", "Cast kept", "Unsqueeze column", "Cast factor", "Mul seen", "ReduceSum sum", "MatMul raw", "Div scores",
    ])  # fmt: skip
    assert {name for name, share in shares.items() if share > 0} == {"Gather words", "MatMul raw"}
    assert sum(shares.values()) == pytest.approx(100, abs=0.2)
    added, total = ({row[1]: row[place] for row in rows} for place in (2, 3))
    assert {name for name, db in added.items() if db != "exact"} == {"Gather words", "MatMul raw"}
    assert total["Div scores"] == output[1]
    assert {total[name] for name in ("Cast kept", "Unsqueeze column", "Cast factor")} == {"exact"}


def outputs(run: Run, model: str, variant: str) -> np.ndarray:
    found = run.journal.find(Outputs, CellId(model, variant, "host:cpu"))
    assert found is not None
    return found.values
