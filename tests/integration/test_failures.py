"""What a person on call sees of a red run: the verdict's message, each cause once, hints that fit, 80 columns."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.commands import Ended, ended
from tests.integration.test_seeded_faults import FAULTY_RECIPES

if TYPE_CHECKING:
    from tests.integration.conftest import Project

OWN_TEST = """
def test_both(edge_cell):
    verdict = edge_cell.judge("accuracy")
    assert verdict, f"look at {edge_cell.id.variant}"
"""


def narrow(project: Project, *arguments: str) -> Ended:
    """A run in a terminal of 80 columns."""
    project.write()
    environment = {**project.environment(), "COLUMNS": "80"}
    environment.pop("CI", None)
    command = project.command("--junitxml", "junit.xml", *arguments)
    return ended(command, project.root, environment)


def junit_messages(project: Project) -> dict[str, str]:
    """Name of the test case -> message of its failure."""
    cases = ET.parse(project.root / "junit.xml").iter("testcase")
    return {case.attrib["name"]: case[-1].attrib["message"] for case in cases if case.find("failure") is not None}


def table_of(done: Ended, rows: int) -> list[str]:
    """The lines of a table of so many rows, its title first."""
    lines = done.stdout.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("edgeworthy") and "pass" in line)
    return lines[start : start + 2 + rows]


def test_a_failed_assertion_says_the_verdicts_message(project: Project):
    """In pytest's E lines, in its summary, in JUnit; also where the test's author gave a message of their own."""
    project.add_recipes(FAULTY_RECIPES)
    project.models["models"]["linear"]["variants"] = {"ort_fp32": {}, "shuffled": {}}
    (project.root / "benchmarks" / "test_own.py").write_text(OWN_TEST)
    done = narrow(project, "-k", "accuracy or both or canary")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Verdict(" not in done.stdout
    assert "<accuracy fail" not in done.stdout
    assert "\nE       AssertionError: accuracy lost against the reference" in done.stdout
    assert "\nE       Hint: use a recipe with more bits, or leave sensitive ops float" in done.stdout
    assert "\nE       AssertionError: look at shuffled\nE       assert accuracy lost against" in done.stdout
    summary = [line for line in done.stdout.splitlines() if line.startswith("FAILED benchmarks/test_acc")]
    assert len(summary) == 1
    assert " - look at ..." in done.stdout
    messages = junit_messages(project)
    assert messages["test_accuracy[linear-shuffled-host:cpu]"].startswith("accuracy lost against the reference")
    assert max(map(len, table_of(done, 3))) <= 80, done.stdout


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "xdist"])
def test_a_cause_that_cells_share_is_said_once(project: Project, workers: list[str]):
    """With their number; JUnit, which is read by programs, has it with each test."""
    np.savez(project.root / "benchmarks" / "digits.npz", evaluation_x=np.zeros((9, 8, 8, 1), np.float32))
    done = narrow(project, "-k", "accuracy or footprint or canary", *workers)
    assert done.returncode == 1, done.stdout + done.stderr
    [message] = set(junit_messages(project).values())
    assert len(junit_messages(project)) == 7
    assert message.startswith("dataset 'digits' lacks 'evaluation_y'")
    said = message.splitlines()[0]
    assert done.stdout.count(said) <= 2, done.stdout  # pytest's failures, the table
    assert "This is why 7 tests of 4 cells failed: linear/ort_fp32/host:cpu" in done.stdout
    assert "error 4 cells (linear/ort_fp32/host:cpu, " in done.stdout
    assert "7 failed" in done.stdout
    assert len(done.stdout.splitlines()) < 45, done.stdout


def test_benchmark_only_does_not_make_a_run_look_judged(project: Project):
    """pytest-benchmark skips the tests of accuracy and footprint: no cell passes, and the run fails, saying why."""
    done = narrow(project, "--benchmark-only", "--benchmark-columns", "median")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "not judged: test_accuracy was skipped by --benchmark-only" in done.stdout
    assert "hint: to judge latency alone: pytest -k latency" in done.stdout
    assert set(project.statuses().values()) == {"error", "rejected"}
