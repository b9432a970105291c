"""A .tflite with several signatures: one of them is chosen, and all that is made of the file keeps to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edgeworthy.cells import CellId
from edgeworthy.records import Outputs
from edgeworthy.runs.run import Run
from edgeworthy.targets.android.graph import read_graph
from edgeworthy.variants.models.tflite_signatures import signature_names, with_signature

from tests.integration.conftest import Digits, Project, make_project
from tests.tflite_files import signed

WEIGHTS = np.random.default_rng(0).normal(size=(64, 32)).astype(np.float32)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, digits: Digits, shared_store: Path) -> Project:
    """One run of a file, by either signature, by none and by one that it has not."""
    project = make_project(tmp_path_factory.mktemp("signatures"), digits, shared_store)
    folder, random = project.root / "benchmarks", np.random.default_rng(1)
    signed(folder / "signed.tflite", WEIGHTS)
    for name, shape in {"codes": (64,), "steps": (5, 4)}.items():
        values = random.normal(size=(40, *shape)).astype(np.float32)
        np.savez(folder / f"{name}.npz", evaluation_x=values[:24], calibration_x=values[24:])
        project.models["datasets"][name] = {"kind": "npz", "path": f"{name}.npz"}

    def entry(dataset: str, *variants: str, **chosen: str) -> dict[str, object]:
        source = {"path": "signed.tflite", **chosen}
        return {"source": source, "dataset": dataset, "metric": "fidelity", "variants": {name: {} for name in variants}}

    project.models["models"] = {
        "encode": entry("codes", "fp32", "dynamic_int8", "int8", signature="encode"),
        "sum": entry("steps", "fp32", signature="sum") | {"state": "inside", "inputs": {"step": "x"}},
        "none": entry("codes", "fp32"),
        "wrong": entry("codes", "fp32", signature="encod"),
    }
    project.add_recipes(TWICE)
    project.models["models"]["encode"]["variants"]["as_it_is"] = {}
    project.run("-k", "accuracy")
    return project


TWICE = """
import shutil
from pathlib import Path
from edgeworthy import recipe

@recipe("as_it_is", runtime="litert", packages=())
def as_it_is(source, out):
    shutil.copy(source.path, out)
    return "nhwc"
"""


def outputs(judged: Project, model: str, variant: str = "fp32") -> np.ndarray:
    found = Run.open(judged.root / "results" / "latest").journal.find(Outputs, CellId(model, variant, "host:cpu"))
    assert found is not None, judged.message(variant, model)
    return found.values


def given(judged: Project, dataset: str) -> np.ndarray:
    return np.load(judged.root / "benchmarks" / f"{dataset}.npz")["evaluation_x"]


def test_every_variant_keeps_to_the_chosen_signature(judged: Project) -> None:
    """Also one whose graph is not the first, and needs a third one to begin with."""
    codes = given(judged, "codes") @ WEIGHTS
    np.testing.assert_allclose(outputs(judged, "encode"), codes, atol=1e-4)
    for variant in ("fp32", "dynamic_int8", "int8"):
        assert judged.statuses()[f"encode/{variant}/host:cpu"] == "pass", judged.message(variant, "encode")
        np.testing.assert_allclose(outputs(judged, "encode", variant), codes, atol=1.5)
    sums = np.cumsum(given(judged, "steps"), axis=1).reshape(24, -1)
    np.testing.assert_allclose(outputs(judged, "sum"), np.concatenate([sums, 2 * sums], axis=1), atol=1e-5)


def test_what_is_not_chosen_well_is_said(judged: Project) -> None:
    """No choice of several, a name that there is not, and a recipe that keeps several."""
    assert "the model has 2 signatures: encode, sum, and none is chosen" in judged.message("fp32", "none")
    assert "the model has no signature 'encod'; did you mean 'encode'?" in judged.message("fp32", "wrong")
    assert "recipe 'as_it_is' wrote a .tflite with 2 signatures: encode, sum" in judged.message("as_it_is", "encode")


def test_only_what_the_signature_needs_is_kept(tmp_path: Path) -> None:
    """A phone's tool, which takes the first graph, finds the chosen one there; other constants are gone."""
    content = signed(tmp_path / "signed.tflite", WEIGHTS).read_bytes()
    (tmp_path / "sum.tflite").write_bytes(with_signature(content, "signed", "sum"))
    graph = read_graph(tmp_path / "sum.tflite")
    assert [tensor.name for tensor in (*graph.inputs, *graph.outputs)] == ["step", "total", "twice"]
    assert signature_names((tmp_path / "sum.tflite").read_bytes()) == ["sum"]
    assert len(content) - (tmp_path / "sum.tflite").stat().st_size > WEIGHTS.nbytes
