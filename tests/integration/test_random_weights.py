"""A model with random weights: all but its accuracy is judged, and the gate's test of itself still means something."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.integration.conftest import Project

FACTORY = """
from torch import nn

def build():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(1024, 10),
    )
"""


def test_accuracy_is_refused_and_fidelity_judged(project: Project) -> None:
    """No limit of accuracy is judged, the sentence says why, fidelity decides, and the canary is rejected by it."""
    (project.root / "benchmarks" / "factory.py").write_text(FACTORY)
    project.models["models"] = {
        "untrained": {
            "source": {"factory": "factory.py:build", "weights": "random"},
            "dataset": "digits",
            "reference": "torch_fp32",
            "variants": {"torch_fp32": {}, "torch_int8": {}},
        }
    }
    project.models["budgets"] = [{"min_top1_percent": 90, "max_drop_points": 0}]
    done = project.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.statuses() == {
        "untrained/torch_fp32/host:cpu": "pass",
        "untrained/torch_int8/host:cpu": "pass",
        "untrained/canary/host:cpu": "rejected",
    }
    cells = project.result().cells.set_index("variant")
    assert cells["top1_percent"].isna().all()
    assert cells["drop_points"].isna().all()
    assert cells.loc["torch_int8", "sqnr_db"] > 2
    assert (cells["layout"] == "nchw").all()
    said = [line for line in (project.root / "results" / "latest" / "verdicts").rglob("*") if line.is_file()]
    words = "accuracy is not judged: the model's weights are random"
    assert any(words in path.read_text() for path in said)

    project.models["budgets"] = [{"min_sqnr_db": 90, "variant": "torch_int8"}]
    done = project.run("-k", "accuracy")
    assert project.statuses()["untrained/torch_int8/host:cpu"] == "fail"
    assert words in project.message("torch_int8", "untrained")
