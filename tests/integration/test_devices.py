"""``edgegate devices``: what is there, what works, and why something does not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

HOST = {"kind": "host", "backends": {"cpu": {}, "plain": {"delegate": False, "runtimes": ["litert"]}}}


def edgegate(folder: Path, devices: dict[str, Any], *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "devices.yaml").write_text(yaml.safe_dump({"version": 1, "devices": devices}))
    command = [sys.executable, "-c", "from harness.cli import main; main()", "devices", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_the_host_is_listed_with_what_works(tmp_path: Path) -> None:
    """Every backend runs the tiny model in each of its runtimes, with the evidence of where it ran."""
    done = edgegate(tmp_path, {"host": HOST}, "--json")
    assert done.returncode == 0, done.stderr
    [report] = json.loads(done.stdout)
    assert report["identity"]["machine"]
    assert report["state"]["load_1min"] >= 0
    tried = {(backend["target"], backend["runtime"]): backend for backend in report["backends"]}
    assert tried.keys() == {("host:cpu", "litert"), ("host:cpu", "onnxruntime"), ("host:plain", "litert")}
    assert all(backend["works"] for backend in tried.values())
    assert "XNNPACK took 4 of 4 nodes" in tried["host:cpu", "litert"]["said"]
    assert "XNNPACK took 0 of 4 nodes" in tried["host:plain", "litert"]["said"]


def test_a_backend_that_does_not_work_says_why_and_the_others_are_tried(tmp_path: Path) -> None:
    """A core that the machine does not have: the backend is told with its reason, the exit status is 1."""
    odd = {**HOST, "backends": {"odd": {"cores": [1000]}, **HOST["backends"]}}
    done = edgegate(tmp_path, {"host": odd})
    assert done.returncode == 1
    assert "cores [1000] are not all there" in done.stdout
    assert "host:plain" in done.stdout


def test_an_unknown_device_is_named_with_the_nearest(tmp_path: Path) -> None:
    """--only with a name that devices.yaml does not have."""
    done = edgegate(tmp_path, {"host": HOST}, "--only", "hots")
    assert done.returncode == 2
    assert "did you mean 'host'" in done.stderr
