"""The examples of tasks fit together: data, weights, models.yaml; one of them is judged."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from edgeworthy.measurements.project import Project as Loaded
from edgeworthy.tasks.detection import Detection

from tests.integration.conftest import Digits, make_project

REPOSITORY = Path(__file__).parents[2]
TASKS = REPOSITORY / "benchmarks" / "tasks"
MODULES = ("data", "networks", "train", "canvases", "digits", "lines", "tumors", "words")
MOST_BYTES = 125_000
#: Function of data.py -> shapes and types of what it returns.
DATASETS = {
    "boxes": {"evaluation_x": ("float32", (400, 48, 48, 1)), "evaluation_y": ("float32", (400, 3, 5))},
    "masks": {"evaluation_x": ("float32", (400, 48, 48, 1)), "evaluation_y": ("int64", (400, 48, 48))},
    "spectra": {"evaluation_x": ("float32", (1200, 49, 32, 1)), "evaluation_y": ("int64", (1200,))},
    "measurements": {"evaluation_x": ("float32", (320, 30)), "evaluation_y": ("int64", (320,))},
    "texts": {"evaluation_ids": ("int32", (2000, 48)), "evaluation_mask": ("float32", (2000, 48))},
    "rows": {"evaluation_x": ("float32", (700, 8, 8)), "evaluation_y": ("int64", (700,))},
}
DIGESTS = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
import data
for name in sys.argv[2:]:
    for key, values in getattr(data, name)().items():
        print(name, key, hashlib.sha256(values.tobytes()).hexdigest())
"""


@pytest.fixture(scope="module")
def examples() -> Iterator[dict[str, ModuleType]]:
    """The modules beside models.yaml, which no other test finds by their short names."""
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(str(TASKS))
        yield {name: importlib.import_module(name) for name in MODULES}
        for name in MODULES:
            sys.modules.pop(name)


@pytest.fixture(scope="module")
def made(examples: dict[str, ModuleType]) -> dict[str, dict[str, np.ndarray]]:
    return {name: getattr(examples["data"], name)() for name in DATASETS}


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    return Loaded.load(TASKS / "models.yaml", REPOSITORY / "devices.yaml").models.models


def test_weights_fit_their_networks_and_are_small(examples: dict[str, ModuleType], models: dict[str, Any]) -> None:
    import torch

    for name, model in models.items():
        assert model.source.weights == f"weights/{name}.pt"
        network = getattr(examples["networks"], name)()
        network.load_state_dict(torch.load(TASKS / model.source.weights, weights_only=True))
        assert (TASKS / model.source.weights).stat().st_size < MOST_BYTES
    assert {trainer.__name__ for trainer in examples["train"].TRAINERS} == set(models)
    assert {file.stem for file in (TASKS / "weights").iterdir()} == set(models)


def test_every_model_has_a_reference_and_three_quantized_variants(models: dict[str, Any]) -> None:
    for name, model in models.items():
        quantized = [variant for variant in model.variants if not variant.endswith("fp32")]
        assert len(quantized) >= 3, name


def test_datasets_are_as_they_say(made: dict[str, dict[str, np.ndarray]]) -> None:
    for name, arrays in DATASETS.items():
        for key, (dtype, shape) in arrays.items():
            assert (str(made[name][key].dtype), made[name][key].shape) == (dtype, shape), (name, key)


def test_no_calibration_sample_is_evaluated(made: dict[str, dict[str, np.ndarray]]) -> None:
    for arrays in made.values():
        for key in [key for key in arrays if key.startswith("calibration_") and "mask" not in key]:
            evaluated = {sample.tobytes() for sample in arrays[key.replace("calibration", "evaluation")]}
            assert not evaluated & {sample.tobytes() for sample in arrays[key]}


def test_datasets_are_the_same_in_another_process(made: dict[str, dict[str, np.ndarray]]) -> None:
    """Also with other hashes of texts: nothing comes from the order of a set."""
    import hashlib

    command = [sys.executable, "-c", DIGESTS, str(TASKS), *DATASETS]
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    found = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, timeout=120).stdout
    expected = [
        f"{name} {key} {hashlib.sha256(values.tobytes()).hexdigest()}"
        for name, arrays in made.items()
        for key, values in arrays.items()
    ]
    assert found.splitlines() == expected


def test_trained_offsets_are_decoded_to_the_boxes(
    examples: dict[str, ModuleType], made: dict[str, dict[str, np.ndarray]], models: dict[str, Any]
) -> None:
    """What train.py encodes, the task of models.yaml decodes: every canvas is then judged without an error."""
    import torch

    boxes = made["boxes"]["evaluation_y"]
    outputs = {"boxes": np.zeros((len(boxes), 36, 4), np.float32), "scores": np.full((len(boxes), 36, 10), -20.0)}
    for sample, rows in enumerate(boxes):
        objects = rows[rows[:, 4] >= 0]
        cells, offsets = (values.numpy() for values in examples["train"]._encoded(torch.tensor(objects)))
        outputs["boxes"][sample, cells] = offsets
        outputs["scores"][sample, cells, objects[:, 4].astype(int)] = 5
    task = models["detector"].task
    assert isinstance(task, Detection)
    fitted = task.fitted({name: values.shape[1:] for name, values in outputs.items()}, boxes, (48, 48, 1))
    measure = fitted.measure("map")
    evidence = measure.evidence(fitted.decode(outputs), boxes)
    assert measure.value(evidence, np.ones((1, len(boxes)), np.int64)) == pytest.approx(100)


def test_one_is_judged(tmp_path: Path, digits: Digits, shared_store: Path, models: dict[str, Any]) -> None:
    """The rows of a table, in ONNX Runtime: standardized in float, for eight bits hold none of the small ones."""
    project = make_project(tmp_path, digits, shared_store)
    shutil.copytree(TASKS, project.root / "benchmarks", dirs_exist_ok=True)
    entry = models["tumor_classifier"].model_dump(exclude_unset=True, by_alias=True)
    ort = {name: variant for name, variant in entry["variants"].items() if name.startswith("ort_")}
    project.models |= {
        "datasets": {"measurements": {"kind": "function", "function": "data.py:measurements", "classes": 2}},
        "models": {"tumor_classifier": entry | {"variants": ort, "reference": "ort_fp32"}},
        "budgets": [{"max_drop_points": 1.0}],
    }
    ended = project.run("-k", "accuracy or canary")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert set(project.statuses().values()) == {"pass", "rejected"}
    cells = project.result().cells
    assert (cells[cells.status == "pass"].balanced_accuracy_percent > 95).all()
