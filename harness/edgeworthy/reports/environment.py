"""What a run was made with: machine, versions, revision."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgeworthy.installed import ABSENT, installed_version
from edgeworthy.targets import host_state

PACKAGES = (
    "edgeworthy", "numpy", "pandas", "scipy", "pytest", "pytest-benchmark", "ai-edge-litert", "onnx", "onnxruntime",
    "onnx2tf", "tf2onnx", "tensorflow", "keras", "torch",
)  # fmt: skip


def environment(root: Path) -> dict[str, Any]:
    """Plain data for environment.json: no host name, user name or environment variable goes into it."""
    return {
        "made_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": host_state.hardware(),
        "governor": host_state.governor(),
        "load_1min": os.getloadavg()[0],
        "versions": {package: version for package in PACKAGES if (version := installed_version(package)) != ABSENT},
        "git_revision": _git(root, "rev-parse", "HEAD"),
        "git_modified": bool(_git(root, "status", "--porcelain", "--untracked-files=no")),
    }


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
