"""What a search tries, and in which order."""

from __future__ import annotations

from pathlib import Path

from edgeworthy.measurements.project import Project
from edgeworthy.runtimes import RUNTIMES
from edgeworthy.tuning.candidates import other_recipes

ROOT = Path(__file__).parents[2]
ON_PHONES_AND_BOARDS = [RUNTIMES["litert"], RUNTIMES["onnxruntime"]]


def test_recipes_are_tried_cheapest_first() -> None:
    """What needs no calibration before what does; what trains is asked for apart, and mixed ones come from a diagnosis."""
    project = Project.load(ROOT / "benchmarks" / "models.yaml", ROOT / "devices.yaml")
    entry = project.models.models["cnn"]
    alone = entry.model_copy(update={"variants": {"fp32": entry.variants["fp32"]}})
    project.models.models["cnn"] = alone
    names = [one.recipe for one in other_recipes(project, "cnn", ON_PHONES_AND_BOARDS, trained=False)]
    calibrated = [project.recipes[name].calibrated for name in names]
    assert calibrated == sorted(calibrated)
    assert {"dynamic_int8", "int8", "ort_dynamic"} <= set(names)
    assert "fp32" not in names
    assert not {"mixed", "ort_mixed", "qat_int8", "torch_int8"} & set(names)
    trained = {one.recipe for one in other_recipes(project, "cnn", ON_PHONES_AND_BOARDS, trained=True)}
    assert {"qat_int8", "pruned", "clustered"} <= trained
    assert not trained & set(names)
