"""A source is all of its files: change one of them, and what was made of it is made again."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

if TYPE_CHECKING:
    from tests.integration.conftest import Project

NET = {"net/ort_fp32", "net/copied", "net/canary"}
LINEAR = {"linear/ort_fp32", "linear/copied", "linear/canary"}
ALL = {"apart/ort_fp32", "apart/ort_dynamic", "apart/ort_int8_minmax", "apart/canary"}


def made(project: Project, status: int = 0) -> set[str]:
    """What a run converts: models and their variants."""
    done = project.run("-k", "footprint")
    assert done.returncode == status, done.stdout + done.stderr
    return {"/".join(names) for names in re.findall(r"converting (\w+): (\w+)", done.stdout)}


def test_weights_in_a_second_file_are_part_of_an_onnx(project: Project) -> None:
    """Other weights under the same graph make every variant anew; without them the model is an error that names the
    file, and another model goes on."""
    folder, models = project.root / "benchmarks", project.models["models"]
    onnx.save(
        onnx.load(folder / "linear.onnx"),
        folder / "apart.onnx",
        save_as_external_data=True,
        location="apart.onnx.data",
        size_threshold=0,
    )
    models["apart"] = {**models["linear"], "source": {"path": "apart.onnx"}}
    models["linear"] = {**models["linear"], "variants": {"ort_fp32": {}}}
    assert made(project) >= ALL
    assert made(project) == set()

    weights = folder / "apart.onnx.data"
    weights.write_bytes((2 * np.fromfile(weights, np.float32)).tobytes())
    assert made(project) == ALL

    weights.unlink()
    assert made(project, status=1) == set()
    assert f"apart.onnx: its weights lie in {weights}, and there is no such file" in project.message(
        "ort_fp32", "apart"
    )
    assert project.statuses()["linear/ort_fp32/host:cpu"] == "pass"


#: A factory and a trainer, a recipe, a dataset, each with what it does in a second file.
HELPED = {
    "net.py": "from blocks import layers\ndef build():\n    return layers()\n",
    "blocks.py": "from torch import nn\ndef layers():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n",
    "data.py": "import pathlib, numpy\nfrom reading import read\ndef splits():\n    return read(pathlib.Path(__file__))\n",
    "reading.py": "import numpy\ndef read(path):\n    return dict(numpy.load(path.with_name('digits.npz')))\n",
    "recipes.py": (
        "from edgeworthy import recipe\nfrom saving import save\n"
        "@recipe('copied', runtime='onnxruntime', packages=('onnx',))\n"
        "def copied(source, out):\n    return save(source, out)\n"
    ),
    "saving.py": (
        "def save(source, out):\n"
        "    out.write_bytes(source.onnx_file().read_bytes())\n"
        "    return source.onnx_layout()\n"
    ),
}
HALVED = "def halved(arrays):\n    return {k: v / 2 if k.endswith('_x') else v for k, v in arrays.items()}\n"


def test_a_function_is_the_modules_that_it_imports(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another architecture in a module beside the factory makes its model anew, another helper of a recipe what the
    recipe made, another helper of a dataset everything; a warm run makes nothing."""
    folder, models = project.root / "benchmarks", project.models["models"]
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{os.environ.get('PYTHONPATH', '')}")
    for name, text in HELPED.items():
        (folder / name).write_text(text)
    project.models["recipe_files"] = ["recipes.py"]
    project.models["datasets"]["own"] = {"kind": "function", "function": "data.py:splits", "classes": 10}
    variants = {"ort_fp32": {}, "copied": {}}
    models["linear"] = {**models["linear"], "variants": variants, "dataset": "own"}
    models["net"] = {**models["linear"], "source": {"factory": "net.py:build", "weights": "random"}}
    assert {"linear/copied", "net/ort_fp32", "net/copied"} <= made(project)
    assert made(project) == set()

    (folder / "blocks.py").write_text(HELPED["blocks.py"].replace("nn.Linear", "nn.ReLU(), nn.Linear"))
    assert made(project) == NET

    (folder / "saving.py").write_text(HELPED["saving.py"] + "# another word\n")
    assert made(project) == {"linear/copied", "net/copied"}

    (folder / "reading.py").write_text(HELPED["reading.py"].replace("return dict(", "return halved(") + HALVED)
    assert made(project) == NET | LINEAR  # conversions are compared with their source on the samples
