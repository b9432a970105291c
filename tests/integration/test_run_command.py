"""``edgeworthy run`` gives the verdicts that pytest gives, from the same configuration, without pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from edgeworthy.runs.run import Run

from tests.integration.conftest import BESIDE_OTHER_TESTS
from tests.integration.test_cli import edgeworthy

if TYPE_CHECKING:
    from tests.integration.conftest import Project


def judged(project: Project) -> dict[tuple[str, str], str]:
    """Cell and axis -> status of the newest run."""
    verdicts = Run.open(project.root / "results" / "latest").verdicts()
    return {(str(verdict.cell), verdict.axis): verdict.status for verdict in verdicts}


def test_it_judges_what_a_suite_judges(project: Project):
    """Two targets, a variant that fails: the same cells and axes with the same statuses, and the same exit status."""
    project.devices["devices"]["host"]["backends"]["reference"] = {"threads": 1, "delegate": False}
    project.models["budgets"].append({"variant": "ort_dynamic", "max_size_kb": 0.1})
    by_pytest = project.run()
    assert by_pytest.returncode == 1, by_pytest.stdout
    expected = judged(project)
    by_command = edgeworthy(project.root, "run", store=project.store)
    assert by_command.returncode == 1, by_command.stdout + by_command.stderr
    assert judged(project) == expected
    assert expected["linear/ort_dynamic/host:cpu", "footprint"] == "fail"
    assert ("linear/ort_int8_minmax/host:reference", "consistency") in expected
    assert "fail linear/ort_dynamic/host:cpu footprint: file size 1.8 KB, at most 0.1 KB" in by_command.stderr
    assert "edgeworthy: 2 fail, 4 pass, 2 rejected" in by_command.stdout


def test_a_selection_that_passes_is_status_0(project: Project):
    """Only what is selected is judged, with the limit of the command line."""
    project.write()
    done = edgeworthy(project.root, "run", "--variant", "ort_fp32", "--budget", "max_p50_ms=40", store=project.store)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {cell for cell, _ in judged(project)} == {"linear/ort_fp32/host:cpu", "linear/canary/host:cpu"}
    [latency] = [
        verdict
        for verdict in Run.open(project.root / "results" / "latest").verdicts()
        if (verdict.cell.variant, verdict.axis) == ("ort_fp32", "latency")
    ]
    assert [check.limit for check in latency.checks if check.metric == "p50_ms"] == [40]


def test_it_compares_with_a_baseline(project: Project):
    """Accepted, repeated and equal; a cell that the run no longer has makes it fail."""
    project.models["regression"] = BESIDE_OTHER_TESTS
    project.write()
    assert edgeworthy(project.root, "run", store=project.store).returncode == 0
    accepted = edgeworthy(project.root, "baseline", "accept", "--reason", "first", store=project.store)
    assert accepted.returncode == 0, accepted.stderr
    again = edgeworthy(project.root, "run", "--baseline", "results/baselines", store=project.store)
    assert again.returncode == 0, again.stdout + again.stderr
    assert judged(project)["linear/ort_dynamic/host:cpu", "regression"] == "pass"
    del project.models["models"]["linear"]["variants"]["ort_dynamic"]
    project.write()
    less = edgeworthy(project.root, "run", "--baseline", "results/baselines", store=project.store)
    assert less.returncode == 1, less.stdout
    assert "1 cell of the baseline missing from this run" in less.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "linaer"], "--model linaer: no model matches; did you mean 'linear'?"),
        (["--budget", "max_p50=5"], "--budget max_p50=5: unknown limit 'max_p50'; did you mean 'max_p50_ms'?"),
        (["--baseline", "elsewhere"], "--baseline elsewhere: there is no baseline"),
    ],
)
def test_a_wrong_question_is_status_2(project: Project, arguments: list[str], message: str):
    """Nothing is measured, and no run's folder is made."""
    project.write()
    done = edgeworthy(project.root, "run", *arguments, store=project.store)
    assert done.returncode == 2
    assert message in done.stderr
    assert not list((project.root / "results").glob("*/run.json"))
