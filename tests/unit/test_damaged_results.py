"""A runner that ended well and left no readable result: an error of its device, in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeworthy.datasets.samples import Samples
from edgeworthy.device_schema import RunnerBackend
from edgeworthy.errors import RunnerCrashed
from edgeworthy.records import Artifact
from edgeworthy.runtimes import RUNTIMES
from edgeworthy.targets.base import Job
from edgeworthy.targets.host import HostTarget


class Damaging(HostTarget):
    """Leaves these bytes where the runner's files should be."""

    def __init__(self, result: bytes, arrays: bytes) -> None:
        super().__init__("host", "cpu", RunnerBackend())
        self.left = {"result.json": result, "arrays.npz": arrays}

    def _execute(self, runtime: str, job: dict[str, Any], folder: Path, timeout_s: float) -> dict[str, float]:
        for name, content in self.left.items():
            (folder / name).write_bytes(content)
        return {}


@pytest.mark.parametrize(
    ("result", "arrays", "name"),
    [
        (b"", b"", "result.json"),
        (b'{"batch": 3', b"", "result.json"),
        (b"\xff\xfe", b"", "result.json"),
        (b"{}", b"", "arrays.npz"),
        (b"{}", b"PK\x03\x04 half a zip", "arrays.npz"),
        (b"{}", b"rubbish", "arrays.npz"),
    ],
)
def test_truncated_result_is_named(tmp_path: Path, result: bytes, arrays: bytes, name: str) -> None:
    """Which file, on which target."""
    np.save(tmp_path / "x.npy", np.zeros((1, 8, 8, 1), np.float32))
    artifact = Artifact("0" * 64, tmp_path / "m.onnx", "fp32", RUNTIMES["onnxruntime"], "nchw", 1, 1)
    with pytest.raises(
        RunnerCrashed, match=f"^host:cpu: the runner ended with status 0, but its {name} cannot be read"
    ):
        Damaging(result, arrays).outputs(Job(artifact, Samples(tmp_path / "x.npy"), 10))
