"""A run holds everything that a verdict needs: it is judged again on another machine, from its folder alone."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from tests.integration.conftest import BESIDE_OTHER_TESTS, linear_model
from tests.integration.test_cli import edgeworthy

if TYPE_CHECKING:
    from tests.integration.conftest import Digits, Project

METRIC = """
import numpy as np
from helpers.softmax import softmax

def surprise(outputs, targets):
    return -np.log(softmax(outputs)[np.arange(len(targets)), targets])
"""
SOFTMAX = """
import numpy as np

def softmax(outputs):
    powers = np.exp(outputs)
    return powers / powers.sum(axis=1, keepdims=True)
"""


def test_a_metric_of_ones_own_goes_with_the_run(project: Project, digits: Digits, tmp_path: Path) -> None:
    """The function imports a package beside it. Elsewhere, with nothing but the run and the baselines, both read-only, the
    run is judged and compared as it was; where another module of that name would be imported, it is refused.
    """
    folder = project.root / "benchmarks"
    linear_model(folder / "linear.onnx", digits.weights, digits.bias)
    (folder / "mine.py").write_text(METRIC)
    (folder / "helpers").mkdir()
    (folder / "helpers" / "__init__.py").touch()
    (folder / "helpers" / "softmax.py").write_text(SOFTMAX)
    linear = project.models["models"]["linear"]
    linear["metric"] = {"function": "mine.py:surprise", "better": "lower", "unit": "nats"}
    linear["variants"] = {"ort_fp32": {}, "ort_int8_minmax": {}}
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
    judge = ("gate", "--run", "run", "--baseline", "accepted")
    again = edgeworthy(elsewhere, *judge)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "cells: 3 pass" in again.stdout or "unchanged" in again.stdout

    other = tmp_path / "other" / "helpers"
    other.mkdir(parents=True)
    (other / "__init__.py").touch()
    (other / "softmax.py").write_text("def softmax(outputs):\n    return outputs\n")
    confused = edgeworthy(elsewhere, *judge, path=other.parent)
    assert confused.returncode == 2, confused.stdout
    assert "'helpers.softmax' would be imported from" in confused.stderr
    assert os.fspath(other.parent) in confused.stderr


def _texts(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
