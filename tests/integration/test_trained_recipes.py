"""Recipes that train, through the front door: what they are given, and when what they made is made again."""

from __future__ import annotations

import re

import numpy as np

from tests.integration.conftest import Digits, Project

#: Learns from the training splits what a recipe can without a framework: it writes their sum into the artifact.
LEARNING = """
import onnx
from edgeworthy import preparation, recipe

@recipe("learning", runtime="onnxruntime", packages=("onnx",), trained=True)
def learning(source, out, *, training, factor: int = 1):
    model = onnx.load(source.onnx_file())
    seen = training.train.read().sum() + training.validation.read().sum()
    model.doc_string = f"{factor * seen} {training.train_labels.sum() + training.validation_labels.sum()}"
    training.progress(f"saw {len(training.train_labels)} samples")
    onnx.save(model, out)
    return source.onnx_layout()

@preparation("taught", trained=True)
def taught(source, *, training, factor: int = 1):
    training.progress(f"taught {factor} by {len(training.train_labels)} samples")
    return source
"""


def converted(project: Project) -> set[str]:
    """The variants that a run converted."""
    done = project.run("-k", "footprint")
    assert done.returncode == 0, done.stdout + done.stderr
    return set(re.findall(r"converting linear: (\w+)", done.stdout))


def test_training_samples_shape_the_artifact(project: Project, digits: Digits) -> None:
    """A warm run converts nothing; another training sample makes again what was trained on it, and nothing else."""
    random = np.random.default_rng(0)
    splits = {f"{split}_x": random.random((20, 8, 8, 1), dtype=np.float32) for split in ("train", "validation")}
    splits |= {f"{split}_y": np.arange(20) % 10 for split in ("train", "validation")}
    project.add_recipes(LEARNING)
    project.models["models"]["linear"]["variants"]["learning"] = {}

    def save() -> None:
        np.savez(project.root / "benchmarks" / "digits.npz", **digits.arrays, **splits)

    save()
    assert "learning" in converted(project)
    assert converted(project) == set()
    splits["train_x"][3, 0, 0, 0] += 0.5
    save()
    assert converted(project) == {"learning"}
    splits["validation_y"][3] += 1
    save()
    assert converted(project) == {"learning"}
    project.models["models"]["linear"]["variants"]["learning"] = {"options": {"factor": 2}}
    assert converted(project) == {"learning"}
    lists = {
        "taught": {"recipe": [{"taught": {"factor": 3}}, "ort_dynamic"]},
        "taught_too": {"recipe": ["taught", {"ort_int8_minmax": {"calibration_samples": 5}}], "options": {"factor": 3}},
    }
    project.models["models"]["linear"]["variants"].update(lists)
    done = project.run("-k", "footprint")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("taught 3 by 20 samples") == 1, "both begin with the same preparation"
    cells = project.result().cells
    assert set(cells.loc[cells.variant == "taught_too", "recipe"]) == {"taught+ort_int8_minmax"}
    splits["train_x"][4, 0, 0, 0] += 0.5
    save()
    assert converted(project) == {"learning", "taught", "taught_too"}


def test_a_dataset_without_training_samples_is_refused(project: Project) -> None:
    """A recipe that trains says which split is missing; a built-in one too, before it imports anything."""
    project.models["models"]["linear"]["variants"]["pruned"] = {}
    done = project.run("-k", "accuracy")
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.statuses()["linear/pruned/host:cpu"] == "refused"
    assert "pruned trains, and the dataset 'digits' has no train_x" in project.message("pruned")
