"""The main job through its front door: an inner pytest run on a real model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.integration.conftest import Project


def test_unchanged_project_is_green_and_the_canary_rejected(project: Project) -> None:
    """Every variant is measured and passes; the canary is in the report, rejected."""
    done = project.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.statuses() == {
        "linear/ort_fp32/host:cpu": "pass",
        "linear/ort_dynamic/host:cpu": "pass",
        "linear/ort_int8_minmax/host:cpu": "pass",
        "linear/canary/host:cpu": "rejected",
    }
    cells = project.result().cells.set_index("variant")
    assert cells.loc["ort_fp32", "drop_points"] == 0
    assert cells.loc["canary", "top1_percent"] < 20
    assert (cells["p50_ms"].drop("canary") > 0).all()
    assert "rejected, as expected" in done.stdout
