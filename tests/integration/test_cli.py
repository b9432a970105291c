"""The command line, as a user starts it: in a folder, with its exit status and what it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest
import yaml

from harness.cli import SCHEMAS
from tests.integration.conftest import REPOSITORY

if TYPE_CHECKING:
    from tests.integration.conftest import Project

EDGEGATE = Path(sys.executable).with_name("edgegate")
YAML_FILES = [
    ("models", "benchmarks/models.yaml"),
    ("models", "harness/templates/models.yaml"),
    ("devices", "devices.yaml"),
    ("devices", "harness/templates/devices.yaml"),
]


def edgegate(folder: Path, *arguments: str, store: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("EDGE_", "PYTEST_"))}
    return subprocess.run(
        [EDGEGATE, *arguments],
        cwd=folder,
        env={**environment, **({"EDGE_STORE": str(store)} if store else {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def said(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_init_makes_a_repository_that_is_green(tmp_path: Path, shared_store: Path):
    """In an empty folder: init, then ``pytest benchmarks/``, as it says; the model is trained on first use."""
    assert "next: pytest benchmarks/" in said(edgegate(tmp_path, "init"))
    environment = {**os.environ, "EDGE_STORE": str(shared_store)}
    command = [sys.executable, "-m", "pytest", "benchmarks/"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 pass, 1 rejected" in done.stdout
    assert "training cnn" in done.stdout
    assert (tmp_path / "results" / "latest" / "cells.parquet").is_file()
    assert "3 pass, 1 rejected" in said(edgegate(tmp_path, "report"))


@pytest.mark.parametrize("existing", ["devices.yaml", "benchmarks/models.yaml", "benchmarks/test_edgegate.py"])
def test_init_overwrites_nothing(tmp_path: Path, existing: str):
    """Where one of its files exists, none is written."""
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / existing).write_text("mine")
    done = edgegate(tmp_path, "init")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{existing} exists already" in done.stderr
    assert [path.read_text() for path in tmp_path.rglob("*.*")] == ["mine"]


def test_models_lists_cells_with_their_limits(project: Project):
    """One line a cell, without making anything."""
    project.models["budgets"].append({"variant": "ort_dynamic", "max_p50_ms": 2})
    project.write()
    lines = said(edgegate(project.root, "models")).splitlines()
    assert lines[:2] == [
        "linear/ort_fp32/host:cpu  max_drop_points=2 max_metric_drop_percent=1 max_p50_ms=50 min_consistency_percent=99",
        "linear/ort_dynamic/host:cpu  max_drop_points=2 max_metric_drop_percent=1 max_p50_ms=2 min_consistency_percent=99",
    ]
    assert len(lines) == 3


@pytest.mark.parametrize(("name", "file"), YAML_FILES, ids=[file for _, file in YAML_FILES])
def test_checked_in_files_fit_their_schema(name: str, file: str):
    """An editor that follows the schema finds nothing wrong in them."""
    schema = json.loads((REPOSITORY / f"docs/schema/{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load((REPOSITORY / file).read_text()), schema)


@pytest.mark.parametrize("name", SCHEMAS)
def test_published_schema_is_the_one_that_validates(tmp_path: Path, name: str):
    """docs/schema/ is what ``edgegate schema`` prints, and it refuses an unknown key."""
    printed = json.loads(said(edgegate(tmp_path, "schema", name)))
    published = REPOSITORY / f"docs/schema/{name}.schema.json"
    assert printed == json.loads(published.read_text()), f"run: edgegate schema {name} > {published}"
    with pytest.raises(jsonschema.ValidationError, match="nonsense"):
        jsonschema.validate({"version": 1, "nonsense": 1, "devices": {}, "models": {}, "datasets": {}}, printed)


def test_prune_frees_what_nobody_uses(tmp_path: Path):
    """The least recently used entries above the size go; what was used within the hour stays."""
    for name, age in (("old", 9000), ("new", 0)):
        entry = tmp_path / "artifacts" / name
        entry.mkdir(parents=True)
        (entry / "artifact.onnx").write_bytes(bytes(3_000_000))
        used = entry.stat().st_mtime - age
        os.utime(entry, (used, used))
    assert said(edgegate(tmp_path, "prune", "--max-gb", "0", store=tmp_path)) == "freed 3.0 MB\n"
    assert [path.name for path in (tmp_path / "artifacts").iterdir()] == ["new"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["init", "/dev/null/folder"], "/dev/null/folder/benchmarks/models.yaml: cannot be written"),
        (["models"], "benchmarks/models.yaml"),
        (["models", "--models", "bad.yaml"], "bad.yaml"),
        (["report", "nowhere"], "nowhere: there is no run"),
        (["report", "newer"], "newer: run format 99, this edgegate reads"),
        (["report", "broken"], "broken/run.json: cannot be read"),
        (["schema", "model"], "there is no schema 'model'; known: models, devices"),
        (["prune", "--max-gb", "1"], ".edgegate: there is no store"),
        (["prune", "--max-gb", "-1"], "'--max-gb'"),
        (["frobnicate"], "No such command 'frobnicate'"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_error_is_one_sentence_and_exit_status_2(tmp_path: Path, arguments: list[str], sentence: str):
    """It names the file or the word that is wrong; no traceback."""
    (tmp_path / "bad.yaml").write_text("version: [1")
    for run, content in (("newer", '{"version": 99}'), ("broken", '{"vers')):
        (tmp_path / run).mkdir()
        (tmp_path / run / "run.json").write_text(content)
    done = edgegate(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) <= 1
