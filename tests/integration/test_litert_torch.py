"""``route: litert_torch``, from PyTorch straight to LiteRT; ``make test-litert-torch`` installs what it needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.integration.conftest import Digits, Project
from tests.integration.conversion_jobs import run_jobs
from tests.integration.test_recipes import (
    HAS_LITERT_TORCH,
    NEEDS_LITERT_TORCH,
    answers_one_by_one,
    job_of,
    status,
)

Made = dict[str, dict[str, dict[str, Any]]]

FACTORY = """
import torch
from torch import nn

class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(1, 16, 4, stride=4)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.head = nn.Linear(256, 4)

    def forward(self, image):
        return self.head(self.layer(self.patches(image).flatten(2).transpose(1, 2)).flatten(1))

class Determinant(nn.Module):
    def forward(self, image):
        return torch.stack([torch.linalg.det(image[:, 0]), image.mean((1, 2, 3))], 1)

def build():
    return nn.Sequential(nn.Conv2d(1, 8, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(392, 4))

tokens, determinant = Tokens, Determinant
"""
MAKE = """
import numpy as np, torch
from factory import build, tokens
nchw = torch.from_numpy(np.load("images.npy").transpose(0, 3, 1, 2).copy())
batch = torch.export.Dim("batch", min=1, max=1024)
for name, module in (("tiny", build), ("tokens", tokens)):
    torch.manual_seed(0)
    module = module().eval()
    torch.save(module.state_dict(), f"{name}.pt")
    with torch.no_grad():
        np.save(f"{name}.npy", module(nchw))
    if name == "tiny":
        torch.export.save(torch.export.export(module, (nchw[:2],), dynamic_shapes=({0: batch},)), "tiny.pt2")
        torch.export.save(torch.export.export(module, (nchw[:1],)), "single.pt2")
"""
USERS_RECIPE = """
from edgeworthy import recipe

@recipe("by_tensorflow", runtime="litert", packages=("tensorflow",))
def by_tensorflow(source, out):
    source.saved_model()
"""
#: It brings anyio and jaxtyping, each with a pytest plugin; anyio's warns when it is loaded, which is an error here.
WITHOUT_ITS_PLUGINS = ("-p", "no:anyio", "-p", "no:jaxtyping")
ROUTE = {"route": "litert_torch"}
TOKENS = {"factory": "factory.py:tokens", "weights": "tokens.pt"}
FLOAT, RECIPES = ["fp32"], ["fp32", "dynamic_int8", "int8_float_io"]
#: What is converted: the source, and the recipes.
WORK: dict[str, tuple[dict[str, str], list[str]]] = {
    "pt2": ({"path": "tiny.pt2", **ROUTE}, RECIPES),
    "single": ({"path": "single.pt2", **ROUTE}, FLOAT),
    "tokens": ({**TOKENS, **ROUTE}, RECIPES),
    "again": ({**TOKENS, **ROUTE}, RECIPES),
    "by_onnx": (TOKENS, FLOAT),
    "determinant": ({"factory": "factory.py:determinant", "weights": "random", **ROUTE}, FLOAT),
    "users": ({**TOKENS, **ROUTE}, ["by_tensorflow"]),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with modules, their weights, images, and what they answer."""
    folder = tmp_path_factory.mktemp("models")
    np.save(folder / "images.npy", np.random.default_rng(0).random((16, 16, 16, 1), dtype=np.float32))
    np.save(folder / "labels.npy", np.arange(16) % 4)
    (folder / "factory.py").write_text(FACTORY)
    (folder / "users_recipe.py").write_text(USERS_RECIPE)
    subprocess.run([sys.executable, "-c", MAKE], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def made(models: Path) -> Made:
    """What became of every piece of work: its name -> recipe -> the last event, with the artifact's path as ``out``."""
    return converted(models, list(WORK))


def converted(models: Path, names: list[str]) -> Made:
    jobs = {
        name: job_of(models, source, recipes, out=name, recipe_files=("users_recipe.py",), options={})
        for name, (source, recipes) in WORK.items()
        if name in names
    }
    for name, job in jobs.items():
        (models / f"{name}.json").write_text(json.dumps(job))
    events = run_jobs([models / f"{name}.json" for name in jobs], models / "log")
    return {name: status(WORK[name][1], job, events[name]) for name, job in jobs.items()}


@NEEDS_LITERT_TORCH
@pytest.mark.parametrize("name", ["tokens", "by_onnx"])
def test_a_transformer_converts_by_either_route(models: Path, made: Made, name: str) -> None:
    """For one sample, by onnx2tf too: the outputs are the module's, and those of quantized artifacts are near."""
    _all_near(made[name], np.load(models / "images.npy"), np.load(models / "tokens.npy"))


@NEEDS_LITERT_TORCH
def test_a_torch_export_file_goes_that_way(models: Path, made: Made) -> None:
    """A .pt2 of any batch or of one: the artifact takes one sample, (1, height, width, channels), as the module answers."""
    for name in ("pt2", "single"):
        _all_near(made[name], np.load(models / "images.npy"), np.load(models / "tiny.npy"))


def _all_near(row: dict[str, dict[str, Any]], images: np.ndarray, expected: np.ndarray) -> None:
    for recipe, entry in row.items():
        assert (entry["event"], entry.get("layout")) == ("made", "nhwc"), entry
        off = 1e-4 if recipe == "fp32" else 0.05 * np.ptp(expected)
        np.testing.assert_allclose(answers_one_by_one(entry, images), expected, atol=off, rtol=0, err_msg=recipe)


@NEEDS_LITERT_TORCH
def test_conversions_repeat_byte_for_byte(made: Made) -> None:
    """The same module becomes the same file."""
    for recipe in RECIPES:
        assert made["tokens"][recipe]["out"].read_bytes() == made["again"][recipe]["out"].read_bytes(), recipe


@NEEDS_LITERT_TORCH
def test_what_it_cannot_do_is_refused_with_the_reason(made: Made) -> None:
    """An op that litert-torch does not know is named; nothing goes through TensorFlow behind one's back."""
    assert made["determinant"]["fp32"]["event"] == "refused"
    assert "litert-torch cannot convert this model: Lowering not found: aten._linalg_det" in str(made["determinant"])
    assert made["users"]["by_tensorflow"]["event"] == "refused"
    assert "factory.py:tokens becomes no SavedModel by route: litert_torch" in str(made["users"])


@NEEDS_LITERT_TORCH
def test_a_module_is_measured_and_gated_on_that_way(project: Project, digits: Digits) -> None:
    """fp32 answers as the module does, and quantized variants are made of it: each is measured, and passes; the canary fails."""
    _write_classifier(project.root / "benchmarks", digits)
    variants = {"fp32": {}, "dynamic_int8": {}, "int8": {}, "torch_fp32": {}}
    project.models["models"]["linear"] |= {
        "source": {"factory": "net.py:build", "weights": "net.pt", **ROUTE},
        "reference": "torch_fp32",
        "variants": variants,
    }
    done = project.run(*WITHOUT_ITS_PLUGINS)
    assert done.returncode == 0, done.stdout + done.stderr
    statuses = project.statuses()
    assert statuses.pop("linear/canary/host:cpu") == "rejected"
    assert statuses == {f"linear/{variant}/host:cpu": "pass" for variant in variants}
    cells = project.result().cells.set_index("variant")
    assert dict(cells.layout[list(variants)]) == {**dict.fromkeys(variants, "nhwc"), "torch_fp32": "nchw"}
    assert cells.agreement_percent["fp32"] == 100
    assert cells.size_kb["int8"] < cells.size_kb["fp32"]


def _write_classifier(folder: Path, digits: Digits) -> None:
    """A module that is one convolution as large as the image, with the classifier's weights."""
    import torch

    (folder / "net.py").write_text(
        "from torch import nn\n\ndef build():\n    return nn.Sequential(nn.Conv2d(1, 10, 8), nn.Flatten())\n"
    )
    kernel = torch.from_numpy(digits.weights.T.reshape(10, 1, 8, 8).astype(np.float32))
    torch.save({"0.weight": kernel, "0.bias": torch.from_numpy(digits.bias.astype(np.float32))}, folder / "net.pt")


@pytest.mark.skipif(HAS_LITERT_TORCH, reason="litert-torch is installed")
def test_without_the_package_one_sentence_says_what_to_install(models: Path) -> None:
    """No LiteRT recipe falls back to another way: each says which package is missing, and how to get it."""
    row = converted(models, ["tokens"])["tokens"]
    for recipe in RECIPES:
        assert row[recipe]["error_type"] == "PackageMissing"
        assert row[recipe]["message"] == "the Python package 'litert_torch' is not installed"
        assert row[recipe]["hint"] == "pip install 'edgeworthy[litert-torch]'"
