"""What a target's noise hides is measured, said in every report, and no tolerance may lie below it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from edgeworthy.device_schema import RunnerBackend
from edgeworthy.targets.host import HostTarget
from edgeworthy.verdicts.noise import Noise

if TYPE_CHECKING:
    from tests.integration.conftest import Project

TARGET = "host:cpu"


def seeded(project: Project, smallest: float | None) -> Path:
    """A study of this very target, as the command would have written it."""
    noise = Noise.model_validate(
        {
            "version": 1,
            "target": TARGET,
            "fingerprint": HostTarget("host", "cpu", RunnerBackend()).identity(),
            "models": {
                "linear": {"p50_us": 5, "trials": 20, "false_alarms": 1, "smallest_percent": smallest, "rounds": 40}
            },
        }
    )
    path = project.root / "results" / "noise" / "host@cpu.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(noise.model_dump_json())
    return path


def test_command_measures_and_keeps_a_study(project: Project) -> None:
    """Equal artifacts, then seeded slowdowns; the sentence, and the study on disk."""
    project.write()
    done = project.edgeworthy("noise", "--target", TARGET, "--trials", "2", "--max-seconds", "1")
    assert done.returncode == 0, done.stderr
    assert "of 2 comparisons of equal artifacts found a slowdown" in done.stdout
    study = json.loads((project.root / "results" / "noise" / "host@cpu.json").read_text())
    assert study["models"]["linear"]["p50_us"] > 0
    assert "is not visible here with" in done.stdout


def test_report_says_what_is_not_visible(project: Project) -> None:
    """Every report names, per target, the slowdowns that its noise hides, or how to find out."""
    assert f"edgeworthy noise --target {TARGET}" in project.run().stdout
    seeded(project, 3)
    done = project.run()
    said = f"{TARGET}: a slowdown under 3 % is not visible here with 40 rounds; 5.0 % of 20 comparisons"
    assert said in done.stdout
    assert "a slowdown under 3 % is not visible here" in (project.root / "results/latest/summary.md").read_text()


def test_study_of_another_machine_says_nothing_here(project: Project) -> None:
    """A study holds for one fingerprint."""
    path = seeded(project, 3)
    study = json.loads(path.read_text())
    study["fingerprint"]["processor"] = "another"
    path.write_text(json.dumps(study))
    assert "the smallest visible slowdown is unknown" in project.run().stdout


@pytest.mark.parametrize(("smallest", "shown"), [(8.0, "8 %"), (None, "inf %")])
def test_tolerance_below_the_noise_is_refused(project: Project, smallest: float | None, shown: str) -> None:
    """With the number, before anything is measured."""
    seeded(project, smallest)
    done = project.run("--edge-baseline")
    assert done.returncode == 4
    assert f"on {TARGET} a slowdown under {shown} is not visible" in done.stdout + done.stderr


def test_broken_study_is_named(project: Project) -> None:
    """A study that is not one is an error with its file, key and the command that makes it again."""
    seeded(project, 3).write_text('{"version": 1, "target": "host:cpu", "fingerprint": {}, "models": {}}')
    done = project.run()
    assert done.returncode == 1
    assert "host@cpu.json: models" in done.stdout
