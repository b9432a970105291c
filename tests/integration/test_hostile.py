"""A part of the hostile inputs, and one run beside files whose names are hostile; more: ``python -m tests.hostile``."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import REPOSITORY

if TYPE_CHECKING:
    from tests.integration.conftest import Project


def test_hostile_files_names_and_results():
    """No traceback, no hang, nothing unprintable on the terminal, little memory, a hint with every error."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile", "--seed", "0", "--count", "24"],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.stdout == "24 cases, 0 with defects\n", done.stdout + done.stderr


@pytest.mark.parametrize(
    ("kind", "count", "said"), [("inputs", 14, "14 damaged models and datasets ("), ("stores", 5, "5 damaged stores (")]
)
def test_damaged_inputs_and_stores(kind: str, count: int, said: str):
    """What is damaged is named, or as good as its own runtime says; the healthy model beside it passes."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.hostile.{kind}", "--seed", "2", "--count", str(count)],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(said)
    assert done.stdout.endswith(": 0 defects\n")


def test_a_hostile_file_name_harms_no_other_cell(project: Project):
    """An image whose name is not UTF-8 and holds what steers a terminal: reports are written, the other model passes."""
    pytest.importorskip("PIL")
    images = project.root / "benchmarks" / "images"
    for label in ("0", "1"):
        (images / label).mkdir(parents=True)
        (images / label / os.fsdecode(b"caf\xe9\x1b[2J\x07.png")).write_bytes(b"no image")
    project.models["datasets"]["images"] = {"kind": "images", "path": "images"}
    project.models["models"]["seeing"] = {**project.models["models"]["linear"], "dataset": "images"}
    project.write()
    done = subprocess.run(
        project.command("-k", "accuracy or canary", "--junitxml", "junit.xml"),
        cwd=project.root, env=project.environment(), capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    text = done.stdout.decode()  # also the encoding holds
    assert done.returncode == 1, text
    assert all(sign.isprintable() or sign == "\n" for sign in text), text
    assert r"caf\xe9\x1b[2J\x07.png" in text
    statuses = project.statuses()
    assert {status for cell, status in statuses.items() if cell.startswith("linear/")} == {"pass", "rejected"}
    assert {status for cell, status in statuses.items() if cell.startswith("seeing/")} == {"error"}
    assert r"caf\xe9" in (project.root / "results" / "latest" / "summary.md").read_text().replace("\\\\", "\\")
    ET.parse(project.root / "junit.xml")
