"""Older opsets through the front door: an .onnx keeps its own, and what cannot be made of it is refused in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

if TYPE_CHECKING:
    from tests.integration.conftest import Project


def test_an_older_onnx_is_judged_by_what_can_be_made_of_it(project: Project) -> None:
    """Of opset 12 there is no int8 per channel, and of opset 10 no dynamic int8 without changing it: both are refused
    with the opsets and a next step. The rest is judged, and each model has a canary that is rejected: the run is green."""
    folder, models = project.root / "benchmarks", project.models["models"]
    linear = models.pop("linear")
    for opset, variants in {
        12: ("ort_fp32", "ort_dynamic", "ort_int8_minmax"),
        10: ("ort_fp32", "ort_dynamic"),
    }.items():
        model = onnx.load(folder / "linear.onnx")
        model.opset_import[0].version = opset
        onnx.save(model, folder / f"opset{opset}.onnx")
        source = {"path": f"opset{opset}.onnx"}
        models[f"opset{opset}"] = {**linear, "source": source, "variants": {variant: {} for variant in variants}}
    done = project.run("-k", "accuracy or canary")
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.statuses() == {
        "opset12/ort_fp32/host:cpu": "pass",
        "opset12/ort_dynamic/host:cpu": "pass",
        "opset12/ort_int8_minmax/host:cpu": "refused",
        "opset12/canary/host:cpu": "rejected",
        "opset10/ort_fp32/host:cpu": "pass",
        "opset10/ort_dynamic/host:cpu": "refused",
        "opset10/canary/host:cpu": "rejected",
    }
    said = project.sentence("ort_int8_minmax", "opset12")
    assert said == "per-channel int8 needs opset 13 or newer; this file is of opset 12"
    said = project.sentence("ort_dynamic", "opset10")
    assert said == "the given file is of opset 10, and what was made of it of opset 11"
    assert all(project.result().cells.set_index("status").next_step["refused"])
    assert "rejected as it must be (the reference's answers to other samples)" in project.sentence("canary", "opset12")
