"""Older opsets through the front door: an .onnx keeps its own, and what needs a newer one is made of a converted copy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

if TYPE_CHECKING:
    from tests.integration.conftest import Project


def test_an_older_onnx_is_judged_by_what_can_be_made_of_it(project: Project) -> None:
    """Quantization per channel needs opset 13: an older file goes through ONNX's version converter, is compared with
    itself, and quantized; its float copy stays as it is. Each model has a canary that is rejected: the run is green."""
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
        "opset12/ort_int8_minmax/host:cpu": "pass",
        "opset12/canary/host:cpu": "rejected",
        "opset10/ort_fp32/host:cpu": "pass",
        "opset10/ort_dynamic/host:cpu": "pass",
        "opset10/canary/host:cpu": "rejected",
    }
    for opset in (10, 12):
        assert "rejected, as expected (int8 calibrated on inputs" in project.message("canary", f"opset{opset}")
