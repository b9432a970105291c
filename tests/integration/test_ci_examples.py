"""The workflows of docs/ci.md are what their systems' schemas allow, and call commands that exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.integration.conftest import REPOSITORY

FILES = sorted((REPOSITORY / "docs" / "ci").glob("*.yml"))


def checked(file: Path) -> subprocess.CompletedProcess[str]:
    """check-jsonschema with the schema that it brings along: nothing is fetched."""
    schema = "vendor.gitlab-ci" if file.name.startswith("gitlab") else "vendor.github-workflows"
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema]
    transform = ["--data-transform", "gitlab-ci"] if schema == "vendor.gitlab-ci" else []
    return subprocess.run([*command, *transform, str(file)], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_workflow_is_valid(file: Path) -> None:
    """Against the schema that the system itself publishes."""
    done = checked(file)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_broken_workflow_is_found(file: Path, tmp_path: Path) -> None:
    """The check is no formality: a key that the system does not know is refused."""
    broken = tmp_path / file.name
    broken.write_text(file.read_text().replace("runs-on:", "run-on:").replace("tags: [edgeworthy-bench]", "tags: 7"))
    assert checked(broken).returncode != 0


def test_every_file_is_shown_on_the_page() -> None:
    """docs/ci.md names each of them, GitHub Actions and GitLab are both there."""
    page = (REPOSITORY / "docs" / "ci.md").read_text()
    assert {file.name.partition("-")[0] for file in FILES} == {"github", "gitlab"}
    assert all(f"(ci/{file.name})" in page for file in FILES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_make_targets_exist(file: Path) -> None:
    """A workflow calls targets that the Makefile has."""
    targets = set(re.findall(r"^([\w-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    called = set(re.findall(r"\bmake ([\w-]+)", file.read_text()))
    assert called
    assert called <= targets


def test_publishing_needs_no_token() -> None:
    """Trusted publishing: only the job that publishes may ask for an identity, and no secret is used."""
    workflow = yaml.safe_load((REPOSITORY / "docs" / "ci" / "github-publish.yml").read_text())
    assert workflow["jobs"]["publish"]["permissions"] == {"id-token": "write"}
    assert "permissions" not in workflow["jobs"]["build"]
    assert "secrets." not in str(workflow)
