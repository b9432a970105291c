"""The command line, as a user starts it: in a folder, with its exit status and what it says."""

from __future__ import annotations

import json
import os
import subprocess
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest
import yaml
from edgeworthy.cli import SCHEMAS

from tests import commands
from tests.commands import PYTEST, Ended, ended
from tests.integration.conftest import REPOSITORY

if TYPE_CHECKING:
    from tests.integration.conftest import Project

YAML_FILES = [
    ("models", "benchmarks/models.yaml"),
    ("models", "harness/edgeworthy/templates/models.yaml"),
    ("devices", "devices.yaml"),
    ("devices", "harness/edgeworthy/templates/devices.yaml"),
]


def edgeworthy(folder: Path, *arguments: str, store: Path | None = None, path: Path | None = None) -> Ended:
    """Run a command in a folder, with an artifact store and a folder of modules where they are given."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("EDGE_", "PYTEST_"))}
    given = {"EDGE_STORE": store, "PYTHONPATH": path}
    environment |= {name: str(value) for name, value in given.items() if value}
    return commands.edgeworthy(*arguments, cwd=folder, env=environment, timeout=60)


def said(done: Ended) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_init_makes_a_repository_that_is_green(tmp_path: Path, shared_store: Path):
    """In an empty folder: init, then ``pytest benchmarks/``, as it says; the model comes trained, as an ONNX file."""
    assert "next: pytest benchmarks/" in said(edgeworthy(tmp_path, "init"))
    environment = {**os.environ, "EDGE_STORE": str(shared_store)}
    done = ended([*PYTEST, "benchmarks/"], tmp_path, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 pass, 1 rejected" in done.stdout
    assert (tmp_path / "results" / "latest" / "cells.parquet").is_file()
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    status = ["git", "status", "--porcelain", "--untracked-files=all"]
    shown = subprocess.run(status, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert sorted(
        line[3:] for line in shown.splitlines() if "__pycache__" not in line and ".pytest_cache" not in line
    ) == [
        ".gitignore",
        "benchmarks/models.yaml",
        "benchmarks/test_consistency.py",
        "benchmarks/test_edgeworthy.py",
        "devices.yaml",
    ]
    assert "3 pass, 1 rejected" in said(edgeworthy(tmp_path, "report"))


def test_init_adds_to_a_gitignore(tmp_path: Path):
    """What it has stays, and no line is there twice."""
    (tmp_path / ".gitignore").write_text("*.pyc\n/.edgeworthy/")
    assert "added to .gitignore" in said(edgeworthy(tmp_path, "init"))
    assert (tmp_path / ".gitignore").read_text() == (
        "*.pyc\n/.edgeworthy/\n# Written by edgeworthy; accepted baselines are reviewed and committed.\n"
        "/results/*\n!/results/baselines/\n"
    )


def test_version_is_that_of_the_distribution(tmp_path: Path):
    """``edgeworthy --version``."""
    assert said(edgeworthy(tmp_path, "--version")) == f"edgeworthy {metadata.version('edgeworthy')}\n"


def test_commands_read_the_ini_values_of_pytest(project: Project):
    """Also below pytest's root folder: commands see the files that a run sees."""
    project.write()
    (project.root / "conf").mkdir()
    (project.root / "benchmarks" / "models.yaml").rename(project.root / "benchmarks" / "mine.yaml")
    (project.root / "devices.yaml").rename(project.root / "conf" / "devices.yaml")
    with (project.root / "pytest.ini").open("a") as stream:
        stream.write("edge_models = benchmarks/mine.yaml\nedge_devices = conf/devices.yaml\nedge_results = out\n")
    assert "linear/ort_fp32/host:cpu" in said(edgeworthy(project.root / "conf", "models"))
    missing = edgeworthy(project.root / "benchmarks", "report")
    assert missing.stderr.startswith("error: ../out/latest: there is no run")


@pytest.mark.parametrize("existing", ["devices.yaml", "benchmarks/models.yaml", "benchmarks/test_edgeworthy.py"])
def test_init_overwrites_nothing(tmp_path: Path, existing: str):
    """Where one of its files exists, none is written."""
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / existing).write_text("mine")
    done = edgeworthy(tmp_path, "init")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{existing} exists already" in done.stderr
    assert [path.read_text() for path in tmp_path.rglob("*.*")] == ["mine"]


def test_models_lists_cells_with_their_limits(project: Project):
    """One line a cell, without making anything."""
    project.models["budgets"].append({"variant": "ort_dynamic", "max_p50_ms": 2})
    project.write()
    lines = said(edgeworthy(project.root, "models")).splitlines()
    limits = (
        "max_column_drop_points=10 max_drop_points=2 max_metric_drop_percent=1 max_p50_ms={} min_consistency_percent=99"
    )
    assert lines[:2] == [
        f"linear/ort_fp32/host:cpu  {limits.format(50)}",
        f"linear/ort_dynamic/host:cpu  {limits.format(2)}",
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
    """docs/schema/ is what ``edgeworthy schema`` prints, and it refuses an unknown key."""
    printed = json.loads(said(edgeworthy(tmp_path, "schema", name)))
    published = REPOSITORY / f"docs/schema/{name}.schema.json"
    assert printed == json.loads(published.read_text()), f"run: edgeworthy schema {name} > {published}"
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
    assert said(edgeworthy(tmp_path, "prune", "--max-gb", "0", store=tmp_path)) == "freed 3.0 MB\n"
    assert [path.name for path in (tmp_path / "artifacts").iterdir()] == ["new"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["models", "--models", "x" * 300], "File name too long"),
        (["init", "/dev/null/folder"], "/dev/null/folder/benchmarks/models.yaml: cannot be written"),
        (["models"], "benchmarks/models.yaml"),
        (["models", "--models", "bad.yaml"], "bad.yaml"),
        (["report", "nowhere"], "nowhere: there is no run"),
        (["report", "newer"], "newer: run format 99, this edgeworthy reads"),
        (["report", "broken"], "broken/run.json: not a readable run"),
        (["schema", "model"], "there is no schema 'model'; known: models, devices"),
        (["prune", "--max-gb", "1"], ".edgeworthy: no store here"),
        (["prune", "--max-gb", "-1"], "'--max-gb'"),
        (["frobnicate"], "No such command 'frobnicate'"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_error_is_one_sentence_and_exit_status_2(tmp_path: Path, arguments: list[str], message: str):
    """It names the file or the word that is wrong; no traceback."""
    (tmp_path / "bad.yaml").write_text("version: [1")
    for run, content in (("newer", '{"version": 99}'), ("broken", '{"vers')):
        (tmp_path / run).mkdir()
        (tmp_path / run / "run.json").write_text(content)
    done = edgeworthy(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) <= 1
