"""A green run is evidence: whatever takes a canary, a cell or an assertion away turns it red."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.integration.conftest import Project

WITHOUT_CANARY = """
import pytest

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items):
    yield
    items[:] = [item for item in items if not item.nodeid.startswith("edgeworthy::")]
"""


def test_run_without_its_canary_is_red(project: Project) -> None:
    """Another plugin that deselects after edgeworthy (as --lf does) may not take the gate's own test away unnoticed."""
    (project.root / "conftest.py").write_text(WITHOUT_CANARY)
    done = project.run()
    assert done.returncode == 1
    assert "the canary was not run, so nothing shows that the gate works" in done.stdout


def test_red_verdict_without_an_assert_is_red(project: Project) -> None:
    """A test that judges and forgets to assert passes; the run does not."""
    project.models["budgets"][0]["min_top1_percent"] = 99.9
    (project.root / "benchmarks" / "test_mine.py").write_text(
        "def test_mine(edge_cell):\n    edge_cell.judge('accuracy')\n"
    )
    done = project.run("-k", "test_mine")
    assert done.returncode == 1
    assert "verdicts failed but no test did" in done.stdout


def test_pytest_fail_is_a_verdict(project: Project) -> None:
    """What a test says by pytest.fail() stands in the table as well."""
    mine = "import pytest\n\ndef test_mine(edge_cell):\n    edge_cell.timing\n    pytest.fail('too hot')\n"
    (project.root / "benchmarks" / "test_mine.py").write_text(mine)
    assert project.run("-k", "test_mine").returncode == 1
    assert set(project.statuses().values()) == {"fail", "rejected"}
    assert "too hot" in project.message("ort_fp32")


def test_looser_second_test_does_not_hide_a_failure(project: Project) -> None:
    """Of two tests that judge one axis of a cell, the red one counts."""
    strict = "import pytest\n\n@pytest.mark.edge_budget(min_top1_percent=99.9)\ndef test_a(edge_cell):\n"
    loose = "\n\ndef test_b(edge_cell):\n"
    judge = "    verdict = edge_cell.judge('accuracy')\n    assert verdict, verdict\n"
    (project.root / "benchmarks" / "test_mine.py").write_text(strict + judge + loose + judge)
    assert project.run("-k", "test_a or test_b").returncode == 1
    assert project.statuses()["linear/ort_fp32/host:cpu"] == "fail"


def test_latest_can_be_named_to_resume(project: Project) -> None:
    """``--edge-resume latest`` goes on with the run that the link leads to, and leaves the link whole."""
    assert project.run("-x", "--edge-budget", "min_top1_percent=99.9").returncode == 1
    interrupted = (project.root / "results" / "latest").resolve()
    assert project.run("--edge-resume", "latest").returncode == 0
    assert (project.root / "results" / "latest").resolve() == interrupted


def test_reference_of_nan_is_an_error_of_every_cell(project: Project) -> None:
    """Nothing can be held against a reference that answers NaN, and no variant passes beside it."""
    import numpy as np

    from tests.integration.conftest import linear_model

    linear_model(project.root / "benchmarks" / "linear.onnx", np.full((64, 10), np.nan), np.zeros(10))
    assert project.run("-k", "accuracy").returncode == 1
    statuses = project.statuses()
    assert statuses["linear/ort_fp32/host:cpu"] == "error"
    assert set(statuses.values()) <= {"error", "refused"}  # the static quantizer takes no NaN at all
    assert "outputs NaN or infinity for evaluation sample 0" in project.message("ort_fp32")
