"""TFLite's own benchmark_model, built from Debian sid's source package."""

from __future__ import annotations

from pathlib import Path

from tests.lab.tiers import LabError


def make_tool(folder: Path) -> None:
    """The binary with the libraries that it loads."""
    raise LabError("not written yet")
