"""``edgeworthy tune`` and ``diagnose`` for a phone: what is made here is tried and judged there."""

from __future__ import annotations

import re

import pytest

from tests.integration.conftest import Project

pytestmark = pytest.mark.usefixtures("phone")
PHONE = "phone:cpu"


def test_tune_tries_variants_on_the_phone(lab_project: Project) -> None:
    """Recipes of the phone's runtime are tried there until one is recommended, or the minutes are over."""
    done = lab_project.edgeworthy("tune", "lite", "--target", PHONE, "--minutes", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"lite on {PHONE}: " in done.stdout
    assert "trying ort_" not in done.stderr
    assert "recommended" in done.stdout
    row = next(line for line in done.stdout.splitlines() if " dynamic_int8 " in line)
    assert re.search(r"\d+\.\d \s+\d+\.\d\d \s+-?\d+\.\d\d \s+\d+\.\d{4}", row), "size, accuracy, what is lost, time"


def test_diagnose_works_for_a_cell_of_the_phone(lab_project: Project) -> None:
    """Layers are compared on the host; the verdicts are of the phone's own answers and times."""
    lab_project.models["models"]["lite"]["variants"]["int8"] = {}
    lab_project.write()
    done = lab_project.edgeworthy("diagnose", "lite", "int8", "--target", PHONE)
    assert done.returncode == 0, done.stderr
    assert f"lite/int8/{PHONE} (int8) against fp32, 64 samples" in done.stdout
