"""A part of the random models, one conversion in two damaged; more: ``python -m tests.random_models``."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from tests.integration.conftest import REPOSITORY

PACKAGES = ("torch", "tensorflow", "onnx2tf", "onnxruntime", "ai_edge_litert")


def test_damages_are_caught_and_sound_conversions_pass():
    """Of a PyTorch model: what moves the metric beyond its budget does not pass, what does not, does."""
    if missing := [package for package in PACKAGES if importlib.util.find_spec(package) is None]:
        pytest.skip(f"needs {', '.join(missing)}")
    done = subprocess.run(
        [sys.executable, "-m", "tests.random_models", "--seed", "0", "--models", "1"],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "caught" in done.stdout
    assert "undamaged, passed" in done.stdout
