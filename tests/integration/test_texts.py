"""ONNX models that take and give texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from edgeworthy.cells import CellId
from edgeworthy.records import Outputs
from edgeworthy.runners.python_runner.texts import fingerprints
from edgeworthy.runs.run import Run
from onnx import helper

from tests.integration.conftest import Digits, Project, make_project
from tests.onnx_files import onnx_file

ANIMALS = {"Katze": "cat", "Hündin": "dog", "鳥": "bird"}
WORDS = ["one", "two", "three", "four", "five", "six"]
#: An artifact that takes birds for dogs.
RECIPE = """
import onnx
from edgeworthy import recipe

@recipe("no_birds", runtime="onnxruntime", packages=())
def no_birds(source, out):
    content = source.onnx_file().read_bytes()
    out.write_bytes(content.replace(b"bird", b"dogs"))
    return "nhwc"
"""
TARGET = """
import onnxruntime

class Stand:
    def outputs(self, artifact, given):
        session = onnxruntime.InferenceSession(artifact.path)
        return session.run(list(artifact.outputs) or None, given)[0 if not artifact.outputs else slice(None)]
"""
OBJECTS = """
import numpy as np

def objects():
    return {"evaluation_x": np.array(["Katze", None] * 20, object)}
"""


def animal_model(path: Path) -> None:
    """A word (b,) -> the same, and its translation, "other" of an unknown one."""
    keys, values = list(ANIMALS), list(ANIMALS.values())
    translate = {"keys_strings": keys, "values_strings": values, "default_string": "other"}
    nodes = [
        helper.make_node("LabelEncoder", ["word"], ["animal"], domain="ai.onnx.ml", **translate),
        helper.make_node("Identity", ["word"], ["same"]),
    ]
    ends = {name: ["b"] for name in ("word", "animal", "same")}
    outputs = {name: ends[name] for name in ("animal", "same")}
    onnx_file(path, nodes, {"word": ends["word"]}, outputs, {}, texts=list(ends))


def sentence_model(path: Path) -> None:
    """Six words (b, 6) and a weight (b, 1) -> how often each of WORDS is there, a hidden layer, and scores of three classes."""
    random = np.random.default_rng(0)
    counted = {
        "mode": "TF", "min_gram_length": 1, "max_gram_length": 1, "max_skip_count": 0, "ngram_counts": [0],
        "ngram_indexes": list(range(len(WORDS))), "pool_strings": WORDS,
    }  # fmt: skip
    nodes = [
        helper.make_node("TfIdfVectorizer", ["words"], ["counts"], **counted),
        helper.make_node("Mul", ["counts", "weight"], ["weighted"]),
        helper.make_node("MatMul", ["weighted", "first"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["positive"]),
        helper.make_node("MatMul", ["positive", "second"], ["scores"]),
    ]
    weights = {"first": random.normal(size=(6, 32)), "second": random.normal(size=(32, 3))}
    inputs = {"words": ["b", 6], "weight": ["b", 1]}
    floats = {name: values.astype(np.float32) for name, values in weights.items()}
    onnx_file(path, nodes, inputs, {"scores": ["b", 3]}, floats, texts=["words"])


def entry(source: str, dataset: str, variants: list[str], **more: Any) -> dict[str, Any]:
    chosen = {"output": more.pop("output")} if "output" in more else {}
    made = {"source": {"path": f"{source}.onnx", **chosen}, "dataset": dataset, "reference": "ort_fp32", **more}
    return {"targets": ["host:*"], **made, "variants": {name: {} for name in variants}}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, digits: Digits, shared_store: Path) -> Project:
    """One run of all models, the wrong ones among them."""
    project = make_project(tmp_path_factory.mktemp("texts"), digits, shared_store)
    folder, random = project.root / "benchmarks", np.random.default_rng(1)
    animal_model(folder / "animals.onnx")
    sentence_model(folder / "sentences.onnx")
    (folder / "arrays.py").write_text(OBJECTS)
    words = random.choice([*ANIMALS, "Tür"], 200)
    labels = np.array([ANIMALS.get(word, "other") for word in words])
    labels[::4] = "fish"
    sentences = np.array([random.choice([*WORDS, ""], 6) for _ in range(200)])
    weight = random.uniform(1, 2, (200, 1)).astype(np.float32)
    session = onnxruntime.InferenceSession(folder / "sentences.onnx")
    classes = session.run(None, {"words": sentences, "weight": weight})[0].argmax(axis=1)
    np.savez(folder / "animals.npz", evaluation_x=words, evaluation_y=labels)
    np.savez(
        folder / "sentences.npz",
        **{
            f"evaluation_{name}": part[:150]
            for name, part in {"words": sentences, "weight": weight, "y": classes}.items()
        },
        **{f"calibration_{name}": part[150:] for name, part in {"words": sentences, "weight": weight}.items()},
    )
    named = {"words": sentences, "weight": weight, "y": labels}
    np.savez(folder / "named.npz", **{f"evaluation_{name}": part for name, part in named.items()})
    np.savez(folder / "numbered.npz", evaluation_x=words, evaluation_y=classes)
    np.savez(folder / "numbers.npz", evaluation_x=np.arange(40, dtype=np.float32))
    for name in ("animals", "sentences", "named", "numbered", "numbers"):
        project.models["datasets"][name] = {"kind": "npz", "path": f"{name}.npz"}
    project.models["datasets"]["objects"] = {"kind": "function", "function": "arrays.py:objects"}
    project.add_recipes(RECIPE)
    (project.root / "stand.py").write_text(TARGET)
    backends = {"cpu": {"runtimes": ["onnxruntime"]}}
    project.devices["devices"]["stand"] = {"kind": "own", "target": "stand.py:Stand", "backends": backends}
    recipes = ["ort_fp32", "fp32", "ort_dynamic", "ort_int8_minmax"]
    project.models["models"] = {
        "labels": entry("animals", "animals", ["ort_fp32", "no_birds", "ort_dynamic"], output="animal", targets=["*"]),
        "both": entry("animals", "animals", ["ort_fp32", "no_birds"], metric="fidelity", targets=["*"]),
        "sentences": entry("sentences", "sentences", recipes),
        "scores": entry("sentences", "named", ["ort_fp32"]),
        "given_numbers": entry("animals", "numbers", ["ort_fp32"], metric="fidelity"),
        "given_texts": entry("sentences", "sentences", ["ort_fp32"], inputs={"words": "words", "weight": "words"}),
        "numbered": entry("animals", "numbered", ["ort_fp32"], output="animal"),
        "objects": entry("animals", "objects", ["ort_fp32"], metric="fidelity"),
    }
    project.run("-k", "accuracy or (canary and labels)")
    return project


def outputs(judged: Project, model: str, variant: str, target: str = "host:cpu") -> np.ndarray:
    found = Run.open(judged.root / "results" / "latest").journal.find(Outputs, CellId(model, variant, target))
    assert found is not None, judged.message(variant, model, target)
    return found.values


def given(judged: Project, dataset: str, array: str) -> np.ndarray:
    return np.load(judged.root / "benchmarks" / f"{dataset}.npz")[f"evaluation_{array}"]


def test_texts_go_in_and_come_out_as_they_are(judged: Project) -> None:
    """Of every script and length, the empty one among them, in batches; on a target of one's own too."""
    words = given(judged, "animals", "x")
    animals = np.array([ANIMALS.get(word, "other") for word in words])
    wanted = np.concatenate([fingerprints(animals), fingerprints(words)], axis=1)
    for target in ("host:cpu", "stand:cpu"):
        np.testing.assert_array_equal(outputs(judged, "both", "ort_fp32", target), wanted)
    session = onnxruntime.InferenceSession(judged.root / "benchmarks" / "sentences.onnx")
    feeds = {name: given(judged, "sentences", name) for name in ("words", "weight")}
    np.testing.assert_allclose(outputs(judged, "sentences", "ort_fp32"), session.run(None, feeds)[0], atol=1e-5)


def test_labels_that_are_texts_are_right_or_wrong(judged: Project) -> None:
    """A text that no label has is wrong, and an artifact that gives one fails."""
    cells = judged.result().cells.query("target == 'host:cpu'").set_index(["model", "variant"])
    assert cells.loc[("labels", "ort_fp32"), "top1_percent"] == 75
    labels, words = given(judged, "animals", "y"), given(judged, "animals", "x")
    lost = 100 * np.mean((words == "鳥") & (labels == "bird"))
    assert cells.loc[("labels", "no_birds"), "drop_points"] == pytest.approx(lost)
    statuses = judged.statuses()
    for target in ("host:cpu", "stand:cpu"):
        assert statuses[f"labels/ort_fp32/{target}"] == "pass"
        assert {statuses[f"{model}/no_birds/{target}"] for model in ("labels", "both")} == {"fail"}
    assert {status for cell, status in statuses.items() if "/canary/" in cell and "labels" in cell} == {"rejected"}


def test_recipes_take_texts_or_refuse_them(judged: Project) -> None:
    """What comes after the texts is quantized; LiteRT has none."""
    for variant in ("ort_fp32", "ort_dynamic", "ort_int8_minmax"):
        assert judged.statuses()[f"sentences/{variant}/host:cpu"] == "pass", judged.message(variant, "sentences")
    assert judged.statuses()["sentences/fp32/host:cpu"] == "refused"
    assert "the input 'words' of" in judged.message("fp32", "sentences")
    assert judged.statuses()["labels/ort_dynamic/host:cpu"] == "refused"


def test_texts_and_numbers_are_not_taken_for_each_other(judged: Project) -> None:
    said = {
        name: judged.message("ort_fp32", name)
        for name in ("scores", "numbered", "given_numbers", "given_texts", "objects")
    }
    assert "what the model 'scores' gives is not one text for a sample" in said["scores"]
    assert "the model gives texts, the targets of dataset 'numbered' are class numbers" in said["numbered"]
    assert "the model's input 'word' takes texts, and the dataset gives it numbers" in said["given_numbers"]
    assert "the model's input 'weight' takes numbers, and the dataset gives it texts" in said["given_texts"]
    assert "evaluation_x is object of shape (40,)" in said["objects"]
