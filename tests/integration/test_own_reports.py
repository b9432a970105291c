"""Reports of a user's own: called with each run that has ended, by pytest and by edgeworthy run."""

from __future__ import annotations

import pytest

from tests.integration.conftest import Project

REPORTS = """
def broken(run):
    return run.cells["no such column"]

def names(run):
    found = sorted(set(run.cells.variant))
    (run.folder / "names.txt").write_text(" ".join(found))
"""


@pytest.fixture
def reporting(project: Project) -> Project:
    (project.root / "benchmarks" / "mine.py").write_text(REPORTS)
    project.models["reports"] = ["mine.py:broken", "mine.py:names"]
    project.write()
    return project


def test_each_ended_run_is_given_to_them(reporting: Project) -> None:
    """One that fails is a warning with its line, and stops neither the next one nor the run."""
    for done in (reporting.run("-k", "accuracy"), reporting.edgeworthy("run", "--variant", "ort_fp32")):
        assert done.returncode == 0, done.stdout + done.stderr
        said = done.stdout + done.stderr
        assert "the report mine.py:broken raised KeyError: 'no such column' (mine.py:3:" in said
        assert "correct the function" in said
    runs = [run for run in (reporting.root / "results").iterdir() if not run.is_symlink()]
    assert len(runs) == 2
    written = {(run / "names.txt").read_text() for run in runs}
    assert written == {"canary ort_fp32", "canary ort_dynamic ort_fp32 ort_int8_minmax"}


@pytest.mark.parametrize(
    ("name", "said"),
    [("mine.py:nmaes", "reports: mine.py has no function 'nmaes'"), ("other.py:names", "other.py: no such file")],
)
def test_a_wrong_name_shows_before_anything_is_measured(reporting: Project, name: str, said: str) -> None:
    reporting.models["reports"] = [name]
    done = reporting.run()
    assert done.returncode == 4, done.stdout + done.stderr
    assert said in done.stderr
    assert not (reporting.root / "results").exists()
