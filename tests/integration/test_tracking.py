"""``edgeworthy track``: a run in a real local tracking store of MLflow, read back by its client."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeworthy import load_run
from edgeworthy.metrics import METRICS
from edgeworthy.runs.run_file import RunFile
from edgeworthy.runs.verdict_log import VerdictLog

from tests.integration import test_gate as stored
from tests.integration.conftest import Project
from tests.integration.test_gate import INT8, Said

#: Of MLflow's own tables.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
needs_mlflow = pytest.mark.skipif(
    importlib.util.find_spec("mlflow") is None, reason="nothing is logged: install the extra mlflow"
)
measured, project, edgeworthy = stored.measured, stored.project, stored.edgeworthy
STORE = "sqlite:///mlflow.db"


def runs_in(store: str) -> list[Any]:
    """Every run that the experiment has."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name("edgeworthy")
    return list(client.search_runs([experiment.experiment_id], max_results=1000))


@needs_mlflow
@pytest.mark.filterwarnings("default")
def test_run_is_logged_once_with_its_own_numbers(project: Project, edgeworthy: Callable[..., Said]) -> None:
    """A run for the run with its reports, one below it for each cell with the numbers of cells.parquet; again replaces it."""
    log = VerdictLog(Path("results/latest"), "seeded")
    latency = next(verdict for verdict in log.read() if verdict.cell == INT8 and verdict.axis == "latency")
    log.add(dataclasses.replace(latency, status="fail", message="<b>slow</b>\x1b[31m"))
    for _ in range(2):
        done = edgeworthy("track", "--to", STORE)
        assert done.status == 0, done.out
    cells = load_run("results/latest").cells
    found = runs_in(STORE)
    [parent] = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    children = {run.info.run_name: run for run in found if run is not parent}
    assert parent.info.run_name == Path("results/latest").resolve().name
    assert f"is run {parent.info.run_id} of {STORE}" in done.out
    assert {path.name for path in Path(parent.info.artifact_uri.removeprefix("file://")).iterdir()} >= {
        "summary.md",
        "cells.csv",
    }
    assert len(children) == len(cells)
    for row in cells.to_dict("records"):
        child = children[f"{row['model']}/{row['variant']}/{row['target']}"]
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        known = {name: row[name] for name in METRICS if np.isfinite(row[name])}
        assert known
        assert {name: child.data.metrics[name] for name in known} == known
        assert child.data.params["recipe"] == row["recipe"]
    slow = children[str(INT8)]
    assert (slow.info.status, slow.data.tags["edgeworthy.message"]) == ("FAILED", "<b>slow</b>\\x1b[31m")


@needs_mlflow
@pytest.mark.filterwarnings("default")
def test_address_that_cannot_be_used_is_shown_without_its_password(
    project: Project, edgeworthy: Callable[..., Said]
) -> None:
    """Status 2 with a hint."""
    done = edgeworthy("track", "--to", "mysterious://me:geheim@127.0.0.1:9/db")
    assert (done.status, "mysterious://me:***@127.0.0.1:9/db: MLflow cannot log" in done.out) == (2, True), done.out
    assert "geheim" not in done.out
    assert "Hint: " in done.out


def test_without_the_extra_it_is_named(
    project: Project, edgeworthy: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a run that did not finish is not logged at all."""
    monkeypatch.setitem(sys.modules, "mlflow", None)
    done = edgeworthy("track", "--to", STORE)
    assert (done.status, "pip install 'edgeworthy[mlflow]'" in done.out) == (2, True), done.out
    dataclasses.replace(RunFile.read(Path("results/latest")), status="unfinished").write()
    done = edgeworthy("track", "--to", STORE)
    assert (done.status, "did not finish, so nothing of it is logged" in done.out) == (2, True), done.out
    assert json.loads(Path("results/latest/run.json").read_text())["status"] == "unfinished"
