"""Nothing wrong passes and nothing right fails, through the front door: one run over small models with seeded faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.integration.conftest import Digits, Project, linear_model, make_project

#: Models that are judged in int8 too.
QUANTIZED = ("detector", "binary", "one")


def detector(folder: Path, digits: Digits) -> None:
    """Four numbers of hundreds and a score below 1, all linear in the image, in one output."""
    random = np.random.default_rng(0)
    weights = random.normal(0, 1, (64, 5)) * np.array([200, 200, 200, 200, 0.05])
    linear_model(folder / "detector.onnx", weights, np.array([300, 300, 300, 300, 0.5]))
    arrays = dict(digits.arrays)
    flat = arrays["evaluation_x"].reshape(len(arrays["evaluation_x"]), -1)
    targets = flat @ weights + np.array([300, 300, 300, 300, 0.5])
    arrays["evaluation_y"] = (targets + random.normal(0, 0.05, targets.shape) * targets.std(axis=0)).astype(np.float32)
    np.savez(folder / "detector.npz", **arrays)


def datasets(folder: Path, digits: Digits) -> dict[str, Any]:
    """The digits as they are, with labels in another order, a 255th as bright, as zero or not, and of one class."""
    x, y = digits.arrays["evaluation_x"], digits.arrays["evaluation_y"]
    scores = x.reshape(len(x), -1) @ digits.weights + digits.bias
    zeros = np.flatnonzero((y == 0) & (scores.argmax(axis=1) == 0))[:50]
    given = {
        "permuted": {"evaluation_y": (y + 3) % 10},
        "dark": {
            "evaluation_x": x / np.float32(255),
            "calibration_x": digits.arrays["calibration_x"] / np.float32(255),
        },
        "zero": {"evaluation_y": (y == 0).astype(np.int64)},
        "one": {"evaluation_x": x[zeros], "evaluation_y": y[zeros]},
        "three": {"evaluation_x": x[y < 3], "evaluation_y": y[y < 3]},
    }
    for name, changed in given.items():
        np.savez(folder / f"{name}.npz", **{**digits.arrays, **changed})
    classes = {"zero": 2, "three": 3}
    return {name: {"kind": "npz", "path": f"{name}.npz", "classes": classes.get(name, 10)} for name in given}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, digits: Digits, shared_store: Path) -> Project:
    """All models, run once for their accuracy."""
    project = make_project(tmp_path_factory.mktemp("judged"), digits, shared_store)
    folder = project.root / "benchmarks"
    detector(folder, digits)
    project.models["datasets"].update(datasets(folder, digits), detector={"kind": "npz", "path": "detector.npz"})
    linear_model(folder / "zero.onnx", digits.weights[:, :1], digits.bias[:1] - 0.5)
    linear_model(folder / "three.onnx", digits.weights[:, :3], digits.bias[:3])
    rows = {
        "detector": {"source": "detector", "dataset": "detector", "metric": "mse"},
        "permuted": {"dataset": "permuted"},
        "allowed": {"dataset": "permuted", "expect_weak_reference": True},
        "dark": {"dataset": "dark"},
        "binary": {"source": "zero", "dataset": "zero"},
        "one": {"dataset": "one"},
        "three": {"source": "three", "dataset": "three", "metric": "top5"},
    }
    project.models["models"] = {
        name: {
            **row,
            "source": {"path": f"{row.get('source', 'linear')}.onnx"},
            "reference": "ort_fp32",
            "variants": {"ort_fp32": {}, **({"ort_int8_minmax": {}} if name in QUANTIZED else {})},
        }
        for name, row in rows.items()
    }
    project.models["budgets"] = [{"max_drop_points": 3, "max_metric_drop_percent": 20}]
    project.run("-k", "accuracy or canary", timeout=900)
    return project


@pytest.mark.parametrize(
    ("model", "variant", "status", "said"),
    [
        ("detector", "ort_fp32", "pass", "mse"),
        ("detector", "ort_int8_minmax", "fail", "column 4"),
        ("permuted", "ort_fp32", "error", "likely cause: the order of the labels: predicted class 0 is labelled 3"),
        ("allowed", "ort_fp32", "pass", "top1"),
        ("dark", "ort_fp32", "error", "likely cause: the inputs' scale or channel order: multiplied by 255"),
        ("binary", "ort_fp32", "pass", "the one output is taken as the logit of class 1, threshold 0"),
        ("binary", "ort_int8_minmax", "pass", "the one output"),
        ("one", "ort_fp32", "pass", "100.00 -> 100.00 %"),
        ("one", "ort_int8_minmax", "pass", ""),
        ("three", "ort_fp32", "error", "has 3 classes, and every label is among the best 5 of them"),
    ],
)
def test_cells_come_out_as_they_must(judged: Project, model: str, variant: str, status: str, said: str) -> None:
    """A lost column fails, a reference that is nonsense is an error with its cause, right models pass."""
    assert judged.statuses()[f"{model}/{variant}/host:cpu"] == status, judged.message(variant, model)
    assert said in judged.message(variant, model)


def test_canary_of_a_weak_reference_is_rejected(judged: Project) -> None:
    """Where accuracy says little, fidelity still tells a bad model; every canary that could be judged is rejected."""
    canaries = {cell: status for cell, status in judged.statuses().items() if "/canary/" in cell}
    assert canaries["allowed/canary/host:cpu"] == "rejected"
    assert "pass" not in canaries.values()
    assert "fail" not in canaries.values()
