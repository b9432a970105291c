"""The workflows of docs/ci.md are what their systems' schemas allow, and call commands that exist."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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
    broken.write_text(file.read_text().replace("runs-on:", "run-on:").replace("tags: [edgegate-bench]", "tags: 7"))
    assert checked(broken).returncode != 0


def test_every_file_is_shown_on_the_page() -> None:
    """docs/ci.md names each of them, GitHub Actions and GitLab are both there."""
    page = (REPOSITORY / "docs" / "ci.md").read_text()
    assert [file.name for file in FILES] == ["github-nightly.yml", "github-release.yml", "gitlab-ci.yml"]
    assert all(f"(ci/{file.name})" in page for file in FILES)
