"""A run holds everything that a verdict needs: it is judged again on another machine, from its folder alone."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import BESIDE_OTHER_TESTS, linear_model
from tests.integration.test_cli import edgeworthy

if TYPE_CHECKING:
    from tests.integration.conftest import Digits, Project

#: A dataclass looks its own module up while it is made.
METRIC = """
from __future__ import annotations
from dataclasses import dataclass
import numpy as np
from helpers.softmax import softmax

@dataclass
class Score:
    nats: object

def surprise(outputs, targets):
    return Score(-np.log(softmax(outputs)[np.arange(len(targets)), targets])).nats
"""
SOFTMAX = """
import numpy as np

def softmax(outputs):
    powers = np.exp(outputs)
    return powers / powers.sum(axis=1, keepdims=True)
"""


def test_a_metric_of_ones_own_goes_with_the_run(
    project: Project, digits: Digits, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Two models are judged by one function, which imports a package beside it. Elsewhere, with nothing but the run and the
    baselines, the run read-only and another module of that name on Python's path, they are judged and compared as they were.
    """
    tmp_path = tmp_path_factory.mktemp("another machine")
    elsewhere = _taken_elsewhere(project, digits, tmp_path)
    other = tmp_path / "other" / "helpers"
    other.mkdir(parents=True)
    (other / "softmax.py").write_text("def softmax(outputs):\n    return outputs\n")
    before = sorted(path for path in (elsewhere / "run").rglob("*"))
    judge = ("gate", "--run", "run", "--baseline", "accepted")
    again = edgeworthy(elsewhere, *judge, path=other.parent)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "cells: 6 pass" in again.stdout
    assert "regressed" not in again.stdout
    assert sorted(path for path in (elsewhere / "run").rglob("*")) == before
    same = edgeworthy(elsewhere, "baseline", "diff", "run", "run", path=other.parent)
    assert same.returncode == 0, same.stderr
    assert "regressed" not in same.stdout


def test_a_changed_copy_of_the_function_is_refused(
    project: Project, digits: Digits, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What the run says of the metric's text would not be true."""
    tmp_path = tmp_path_factory.mktemp("another machine")
    elsewhere = _taken_elsewhere(project, digits, tmp_path)
    [copied, _] = sorted((elsewhere / "run" / "truths").rglob("softmax.py"))
    copied.chmod(0o644)
    copied.write_text(SOFTMAX.replace("powers /", "2 * powers /"))
    refused = edgeworthy(elsewhere, "gate", "--run", "run", "--baseline", "accepted")
    assert refused.returncode == 2
    assert "are not those that the run wrote" in refused.stderr


def _taken_elsewhere(project: Project, digits: Digits, tmp_path: Path) -> Path:
    """A run and its baselines in a folder of their own; the project is no more."""
    folder = project.root / "benchmarks"
    linear_model(folder / "linear.onnx", digits.weights, digits.bias)
    (folder / "mine.py").write_text(METRIC)
    (folder / "helpers").mkdir()
    (folder / "helpers" / "softmax.py").write_text(SOFTMAX)
    linear = project.models["models"]["linear"]
    linear["metric"] = {"function": "mine.py:surprise", "better": "lower", "unit": "nats"}
    linear["variants"] = {"ort_fp32": {}, "ort_int8_minmax": {}}
    project.models["models"]["twin"] = dict(linear)
    project.models["budgets"] = [{"max_metric_drop_percent": 5.0}]
    project.models["regression"] = BESIDE_OTHER_TESTS
    done = project.run()
    assert done.returncode == 0, done.stdout + done.stderr
    accepted = edgeworthy(project.root, "baseline", "accept", "--reason", "first", store=project.store)
    assert accepted.returncode == 0, accepted.stderr
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree((project.root / "results" / "latest").resolve(), elsewhere / "run")
    shutil.copytree(project.root / "results" / "baselines", elsewhere / "accepted")
    (elsewhere / "benchmarks").mkdir()
    shutil.copy(folder / "models.yaml", elsewhere / "benchmarks")
    shutil.rmtree(project.root)
    for path in (elsewhere / "run").rglob("*"):
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    assert str(project.root) not in "".join(map(str, _texts(elsewhere / "run")))
    return elsewhere


def _texts(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
