"""A run in MLflow: one run there for the run, and below it one for each cell, with the numbers of cells.parquet."""

from __future__ import annotations

import contextlib
import math
import os
import time
import urllib.parse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgeworthy.errors import StoreError
from edgeworthy.metrics import METRICS
from edgeworthy.reports.columns import Row, id_of
from edgeworthy.reports.run_folder import rows_of
from edgeworthy.runs.run import Run
from edgeworthy.storage import read_json
from edgeworthy.text import one_line

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: The reports of a run that go with it, where it has them.
_FILES = ("report.html", "summary.md", "cells.csv", "environment.json")
#: What a cell is, beside its numbers.
_PARAMETERS = ("model", "variant", "target", "recipe", "layout", "runtime", "artifact")
_TAGS = ("status", "axis", "evidence", "message", "hint", "metric")
#: By this tag a run is found again.
_NAME = "edgeworthy.run"
#: MLflow's own limits of a text.
_LONGEST = 5000


def track_run(run: Run, uri: str, experiment: str) -> str:
    """Log a finished run to the tracking store at ``uri``; what that has of the same run is replaced. Returns its id there.

    Raises StoreError where the extra is missing, the run did not finish, or the store cannot be used.
    """
    run.check_complete(", so nothing of it is logged")
    rows, environment = rows_of(run), read_json(run.folder / "environment.json")
    with _using(uri):
        client = _client(uri)
        where = _experiment(client, experiment)
        earlier = client.search_runs([where], f"tags.`{_NAME}` = '{run.name}'", max_results=10_000)
        tags = {_NAME: run.name, "edgeworthy.revision": str(environment.get("git_revision"))}
        parent: str = client.create_run(where, tags=tags, run_name=run.name).info.run_id
        for row in rows:
            _log_cell(client, where, row, {**tags, "mlflow.parentRunId": parent})
        for name in _FILES:
            if (run.folder / name).is_file():
                client.log_artifact(parent, str(run.folder / name))
        client.set_terminated(parent)
        for old in earlier:  # only now: what fails half way leaves what there was
            client.delete_run(old.info.run_id)
    return parent


def _client(uri: str) -> MlflowClient:
    # MLflow tells its authors of each use; what a gate measures is nobody else's.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        from mlflow import MlflowClient
    except ModuleNotFoundError as error:
        raise StoreError("logging a run needs MLflow", hint="pip install 'edgeworthy[mlflow]'") from error
    return MlflowClient(tracking_uri=uri)


def _experiment(client: MlflowClient, name: str) -> str:
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id) if found else str(client.create_experiment(name))


def _log_cell(client: MlflowClient, experiment: str, row: Row, tags: dict[str, str]) -> None:
    from mlflow.entities import Metric, Param

    name, now = str(id_of(row)), int(time.time() * 1000)
    own = {f"edgeworthy.{tag}": one_line(str(row[tag]))[:_LONGEST] for tag in _TAGS if row[tag]}
    made = client.create_run(experiment, tags={**tags, **own}, run_name=name)
    metrics = [Metric(column, value, now, 0) for column, value in _numbers(row)]
    parameters = [Param(each, one_line(str(row[each]))[:_LONGEST]) for each in _PARAMETERS if row[each]]
    client.log_batch(made.info.run_id, metrics=metrics, params=parameters)
    client.set_terminated(made.info.run_id, "FINISHED" if row["status"] in ("pass", "rejected") else "FAILED")


def _numbers(row: Row) -> Iterator[tuple[str, float]]:
    """The metrics that are known, with the ends of their intervals."""
    for column in METRICS:
        for name in (column, f"{column}_low", f"{column}_high"):
            value = row.get(name)
            if value is not None and math.isfinite(value):
                yield name, float(value)


@contextlib.contextmanager
def _using(uri: str) -> Iterator[None]:
    """Whatever the client raises, of a server, a database or a file, as StoreError without the address's password."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        said = one_line(str(error).replace(uri, shown_address(uri)))[:_LONGEST]
        raise StoreError(
            f"{shown_address(uri)}: MLflow cannot log the run there ({type(error).__name__}: {said})",
            hint="check the address, and that you may write there",
        ) from error


def shown_address(uri: str) -> str:
    """Without its password."""
    secret = urllib.parse.urlsplit(uri).password if "://" in uri else None
    return uri.replace(f":{secret}@", ":***@") if secret else uri
