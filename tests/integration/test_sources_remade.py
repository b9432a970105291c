"""A source is all of its files: change one of them, and what was made of it is made again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import onnx

if TYPE_CHECKING:
    from tests.integration.conftest import Project

ALL = {"ort_fp32", "ort_dynamic", "ort_int8_minmax", "canary"}


def converted(project: Project, model: str = "linear", status: int = 0) -> set[str]:
    """The variants of the model that a run converts."""
    done = project.run("-k", "footprint")
    assert done.returncode == status, done.stdout + done.stderr
    return set(re.findall(rf"converting {model}: (\w+)", done.stdout))


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
    assert converted(project, "apart") == ALL
    assert converted(project, "apart") == set()

    weights = folder / "apart.onnx.data"
    weights.write_bytes((2 * np.fromfile(weights, np.float32)).tobytes())
    assert converted(project, "apart") == ALL

    weights.unlink()
    assert converted(project, "apart", status=1) == set()
    assert f"apart.onnx: its weights lie in {weights}, and there is no such file" in project.sentence(
        "ort_fp32", "apart"
    )
    assert project.statuses()["linear/ort_fp32/host:cpu"] == "pass"
