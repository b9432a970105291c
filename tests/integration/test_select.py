"""``edgegate select`` answers from a run that was really measured, and says which."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import make_project

if TYPE_CHECKING:
    from tests.integration.conftest import Digits, Project


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, digits: Digits, shared_store: Path) -> Project:
    """A run on two targets, in which one variant was measured on the first only."""
    project = make_project(tmp_path_factory.mktemp("select"), digits, shared_store)
    project.devices["devices"]["host"]["backends"]["plain"] = {"threads": 1, "delegate": False}
    done = project.run("-k", "(accuracy or latency or footprint or canary) and not (dynamic and plain)")
    assert done.returncode == 0, done.stdout
    return project


def select(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("edgegate")), "select", *arguments]
    return subprocess.run(
        command, cwd=project.root, env=project.environment(), capture_output=True, text=True, check=False, timeout=60
    )


def test_choice_names_the_run_and_its_numbers(measured: Project) -> None:
    """Within wide limits the fastest is chosen, with the very numbers of the run."""
    limits = ("--max-latency-ms", "50", "--min-accuracy", "80", "--max-size-mb", "1")
    done = select(measured, "--target", "host:cpu", *limits)
    assert done.returncode == 0, done.stderr
    cells = measured.result().cells
    here = cells[(cells.target == "host:cpu") & (cells.variant != "canary")].sort_values("p50_ms").iloc[0]
    first, chosen = done.stdout.splitlines()[:2]
    assert first == f"from run {(measured.root / 'results' / 'latest').resolve().name}, measured on host:cpu:"
    assert chosen.startswith(f"linear: {here.variant}: p50 latency {here.p50_ms:.4f} ms (")
    assert f"top-1 accuracy {here.top1_percent:.2f} %" in chosen
    assert done.stdout.count("fits too") == 2


def test_nothing_fits_is_status_1_with_the_nearest(measured: Project) -> None:
    """No variant has no bytes: the smallest is nearest, and its number is told."""
    done = select(measured, "--target", "host:cpu", "--max-size-mb", "0.0001")
    smallest = measured.result().cells.set_index("variant").drop("canary").size_kb.idxmin()
    assert done.returncode == 1
    assert f"linear: no measured variant fits; the nearest is {smallest}: file size " in done.stdout


def test_what_was_not_measured_on_the_target_is_unknown(measured: Project) -> None:
    """It is not guessed from the other target."""
    done = select(measured, "--target", "host:plain", "--max-latency-ms", "50")
    assert done.returncode == 0
    assert "    unknown: ort_dynamic: not measured on host:plain" in done.stdout.splitlines()


def test_a_share_is_not_taken_for_percent(measured: Project) -> None:
    """0.95 is meant as 95 %, and held by anything."""
    done = select(measured, "--target", "host:cpu", "--min-accuracy", "0.95")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: --min-accuracy 0.95 is in percent")
    assert "--min-accuracy 95 " in done.stderr


def test_wrong_name_is_one_sentence(measured: Project) -> None:
    """Exit status 2, and what there is."""
    done = select(measured, "--target", "host:gpu")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: --target host:gpu: nothing of that name was measured in the run ")
    assert "known: host:cpu, host:plain" in done.stderr
