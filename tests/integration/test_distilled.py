"""Students that learn from their teacher's outputs, through the front door: of classes, of numbers, and of several outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from edgeworthy.datasets.prepared import prepare
from edgeworthy.errors import RecipeRefused
from edgeworthy.measurements import project as measured
from edgeworthy.source_schema import FixedSource
from edgeworthy.storage import open_store
from edgeworthy.variants.artifacts.keys import ArtifactKeys
from onnx import TensorProto, helper, numpy_helper

from tests.commands import Ended
from tests.integration.conftest import Digits, Project, linear_model, make_project

#: Students of the models below, and some that do not fit.
NETS = """
import torch
from torch import nn

def student():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.Linear(12, 10))

def narrow():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 9))

def wide():
    return nn.Sequential(nn.Flatten(), nn.Linear(100, 10))

def number():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 1))

class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.boxes, self.scores = nn.Linear(64, 8), nn.Linear(64, 6)

    def forward(self, image):
        flat = image.flatten(1)
        return {"boxes": self.boxes(flat).reshape(-1, 2, 4), "scores": self.scores(flat).reshape(-1, 2, 3)}

class Renamed(Pair):
    def forward(self, image):
        found = super().forward(image)
        return {"corners": found["boxes"], "scores": found["scores"]}
"""
LEARNING = {"epochs": 30, "learning_rate": 1e-2}


def taught(factory: str, *exports: Any, **options: Any) -> dict[str, Any]:
    """A variant whose student the factory builds."""
    given = {"student": {"factory": f"nets.py:{factory}"}, **LEARNING, **options}
    return {"recipe": [{"distilled": given}, *(exports or ["ort_fp32"])]}


def save_pair(path: Path, random: np.random.Generator) -> None:
    """An ONNX detector's two outputs, each a product: boxes (batch, 2, 4), and scores of smaller numbers (batch, 2, 3)."""
    nodes, values = [helper.make_node("Flatten", ["image"], ["flat"], axis=1)], []
    for name, width, scale in (("boxes", 4, 1.0), ("scores", 3, 0.2)):
        weights = scale * random.normal(size=(64, 2 * width)).astype(np.float32)
        values += [
            numpy_helper.from_array(weights, f"{name}_w"),
            numpy_helper.from_array(np.array([-1, 2, width]), f"{name}_s"),
        ]
        nodes.append(helper.make_node("MatMul", ["flat", f"{name}_w"], [f"{name}_flat"]))
        nodes.append(helper.make_node("Reshape", [f"{name}_flat", f"{name}_s"], [name]))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8])
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2, width])
        for name, width in (("boxes", 4), ("scores", 3))
    ]
    graph = helper.make_graph(nodes, "pair", [image], ends, values)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, digits: Digits, shared_store: Path) -> tuple[Project, Ended]:
    """A run of students of three teachers, all ONNX files."""
    project = make_project(tmp_path_factory.mktemp("distilled"), digits, shared_store)
    random = np.random.default_rng(0)
    benchmarks = project.root / "benchmarks"
    (benchmarks / "nets.py").write_text(NETS)
    digits_x = digits.arrays["calibration_x"]
    splits: dict[str, Any] = {}
    for split, count in (("train", 640), ("validation", 64)):
        pairs = digits_x[random.integers(len(digits_x), size=(2, count))]
        shares = random.random((count, 1, 1, 1), dtype=np.float32)
        splits[f"{split}_x"] = shares * pairs[0] + (1 - shares) * pairs[1]
        splits[f"{split}_y"] = np.arange(count) % 10
    np.savez(benchmarks / "digits.npz", **digits.arrays, **splits)
    arrays = {name: values for name, values in {**digits.arrays, **splits}.items() if name.endswith("_x")}
    weights = random.normal(size=(64, 1)) / 4
    for split in ("train", "validation", "evaluation"):
        exact = arrays[f"{split}_x"].reshape(-1, 64) @ weights
        arrays[f"{split}_y"] = (exact + 0.3 * exact.std() * random.normal(size=exact.shape)).astype(np.float32)
    np.savez(benchmarks / "numbers.npz", **arrays)
    linear_model(benchmarks / "numbers.onnx", weights, np.zeros(1))
    save_pair(benchmarks / "pair.onnx", random)
    project.models["datasets"]["numbers"] = {"kind": "npz", "path": "numbers.npz"}
    project.models["models"]["linear"]["variants"] = {
        "ort_fp32": {},
        "student": taught("student"),
        "student_int8": taught("student", "ort_int8_minmax"),
        "student_litert": taught("student", "int8"),
        "sparse": taught("student", {"pruned": {"epochs": 2, "sparsity": 0.3}}, "ort_fp32"),
        "labelled": taught("student", hard_labels=1.0, epochs=1),
        "late": taught("student", time_limit_s=1e-9),
        "narrow": taught("narrow"),
        "wide": taught("wide"),
        "watched": taught("student", features={"flat": "1"}),
    }
    shared = {"reference": "ort_fp32"}
    project.models["models"]["numbers"] = {
        **shared, "source": {"path": "numbers.onnx"}, "dataset": "numbers", "task": "regression",
        "variants": {"ort_fp32": {}, "student": taught("number", hard_labels=0.5)},
    }  # fmt: skip
    project.models["models"]["pair"] = {
        **shared, "source": {"path": "pair.onnx"}, "dataset": "digits", "metric": "fidelity",
        "variants": {
            "ort_fp32": {},
            "student": taught("Pair", learning_rate=3e-2, epochs=60),
            "labelled": taught("Pair", hard_labels=0.5),
            "renamed": taught("Renamed"),
        },
    }  # fmt: skip
    project.models["budgets"] = [
        {"max_drop_points": 5.0, "max_metric_drop_percent": 50.0, "min_consistency_percent": 90}
    ]
    return project, project.run("-k", "accuracy")


def test_students_are_judged_against_their_teachers(run: tuple[Project, Ended]) -> None:
    """In pairs: of classes, of numbers and of several outputs, each learns what its teacher says; any recipe exports it."""
    project, done = run
    statuses = project.statuses()
    for cell in (
        "linear/student",
        "linear/student_int8",
        "linear/student_litert",
        "linear/sparse",
        "numbers/student",
        "pair/student",
    ):
        assert statuses[f"{cell}/host:cpu"] == "pass", (cell, project.unsound())
    assert "distilling: epoch 30/30, validation top-1" in done.stdout
    assert done.stdout.count("linear: distilling: epoch 30/30, validation top-1") == 1, "lists share the training"
    assert "pair: distilling: epoch 60/60, validation error" in done.stdout


@pytest.mark.parametrize(
    ("cell", "status", "words"),
    [
        ("linear/late", "error", "distilling was not done after time_limit_s = 1e-09: epoch 1 of 30"),
        (
            "linear/narrow",
            "error",
            "nets.py:narrow: the student's outputs have the shapes (9,), and the teacher's (10,)",
        ),
        (
            "linear/wide",
            "error",
            "nets.py:wide: its module does not take (1, 1, 8, 8), which the dataset's samples (8, 8, 1) become",
        ),
        ("linear/watched", "refused", "is an ONNX file, a finished graph, whose layers cannot be learned from"),
        (
            "pair/labelled",
            "error",
            "hard_labels is 0.5, and the labels () are not what the model gives, (2, 4) and (2, 3)",
        ),
        ("pair/renamed", "error", "the student's outputs are corners, scores, and the teacher's boxes, scores"),
    ],
)
def test_students_that_do_not_fit_are_named(run: tuple[Project, Ended], cell: str, status: str, words: str) -> None:
    """One sentence with the student and what is wrong with it."""
    project, _ = run
    model, variant = cell.split("/")
    assert project.statuses()[f"{cell}/host:cpu"] == status
    message = project.message(variant, model)
    assert words in message
    assert "\n" not in message


def test_hard_labels_are_learned_too(run: tuple[Project, Ended]) -> None:
    """From these labels, which mean nothing, a student learns nothing."""
    project, _ = run
    assert project.statuses()["linear/labelled/host:cpu"] == "fail"


def test_a_student_is_part_of_what_an_artifact_is_made_from(run: tuple[Project, Ended]) -> None:
    """Another text of its factory is another artifact, of its lists alone; one of another framework is refused."""
    project, _ = run
    benchmarks = project.root / "benchmarks"

    def keys_of(**source: str) -> dict[str, str]:
        loaded = measured.Project.load(benchmarks / "models.yaml", project.root / "devices.yaml")
        dataset = prepare(open_store(project.store), "digits", loaded.models.datasets["digits"], benchmarks)
        given = FixedSource(**(source or {"path": "linear.onnx"}))
        keys = ArtifactKeys(open_store(project.store), benchmarks, "linear", given, dataset)
        return {name: keys.artifact(loaded.plan("linear", name)) for name in ("student", "sparse", "ort_fp32")}

    before = keys_of()
    (benchmarks / "nets.py").write_text(NETS + "\nWIDTH = 1\n")
    after = keys_of()
    assert {name for name, key in before.items() if after[name] != key} == {"student", "sparse"}
    (benchmarks / "linear.keras").write_bytes(b"not opened")
    with pytest.raises(RecipeRefused, match="the student is a PyTorch module and its teacher a Keras model"):
        keys_of(path="linear.keras")
