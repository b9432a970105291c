"""Runtimes on a board without pip or internet: fetched here, unpacked there, and used by the runner."""

from __future__ import annotations

import dataclasses
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from edgeworthy.datasets.samples import Samples
from edgeworthy.errors import RuntimeMissing
from edgeworthy.records import Artifact
from edgeworthy.runtimes import RUNTIMES
from edgeworthy.targets import host_state
from edgeworthy.targets.base import Job
from edgeworthy.targets.linux.setup import platforms, set_up
from edgeworthy.targets.open_targets import Targets

from tests.lab.test_linux_target import entry, onnx, opened, samples, work

__all__ = ["entry", "onnx", "samples", "work"]


@pytest.fixture
def bare(entry: dict[str, Any], tmp_path: Path) -> Iterator[Targets]:
    """The board with a Python that has nothing installed."""
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    targets = opened({**entry, "python": str(tmp_path / "bare/bin/python"), "work_folder": str(tmp_path / "work")})
    yield targets
    targets.close()


def test_runtimes_are_installed_and_used(bare: Targets, onnx: Artifact, samples: Samples) -> None:
    """Before: RuntimeMissing. After: the host's own version, and the host's answers; a second time pushes nothing."""
    board, said = bare.board("pi"), []
    with pytest.raises(RuntimeMissing, match="edgeworthy devices setup pi"):
        bare["pi:cpu"].outputs(Job(onnx, samples, 60))
    try:
        installed = set_up(board, [RUNTIMES["onnxruntime"]], said.append)
    except RuntimeMissing as error:
        if "could not fetch" in error.message:
            pytest.skip(f"no package index: {error}")
        raise
    assert installed == {"onnxruntime": host_state.runtime_version(RUNTIMES["onnxruntime"])}
    assert any("numpy" in line for line in said)
    answered = bare["pi:cpu"].outputs(Job(onnx, samples, 60)).values
    assert (answered == bare["host:cpu"].outputs(Job(onnx, samples, 60)).values).all()
    pushed = board.files.pushed_bytes
    set_up(board, [RUNTIMES["onnxruntime"]], said.append)
    assert board.files.pushed_bytes == pushed
    assert not (Path(board.facts.packages + ".new")).exists()


def test_vendors_build_is_left_alone(bare: Targets, tmp_path: Path) -> None:
    """A Jetson's onnxruntime-gpu: a wheel from here would hide it, and CUDA with it."""
    [packages] = (tmp_path / "bare").glob("lib/python3.*/site-packages")
    (packages / "onnxruntime_gpu-1.23.0.dist-info").mkdir()
    (packages / "onnxruntime_gpu-1.23.0.dist-info" / "METADATA").write_text("Name: onnxruntime-gpu\nVersion: 1.23.0\n")
    board, said = bare.board("pi"), []
    assert set_up(board, [RUNTIMES["onnxruntime"]], said.append) == {"onnxruntime": "1.23.0"}
    assert said == ["pi: keeps its own onnxruntime-gpu 1.23.0"]
    assert not Path(board.facts.packages).exists()


def test_missing_wheel_is_reported(bare: Targets) -> None:
    """An old C library and a processor that nobody builds for: which wheel, and what the board is."""
    board = bare.board("pi")
    identity = {**board.facts.identity, "machine": "riscv32"}
    board.__dict__["facts"] = dataclasses.replace(board.facts, identity=identity, glibc="2.17")
    with pytest.raises(
        RuntimeMissing, match=r"pi: no wheel of onnxruntime==.* fits riscv32 with Python 3\.\d+ and glibc 2\.17"
    ):
        set_up(board, [RUNTIMES["onnxruntime"]], lambda text: None)


def test_platform_tags_are_those_the_board_runs(bare: Targets) -> None:
    """From its own C library down to the oldest, and none newer."""
    facts = dataclasses.replace(bare.board("pi").facts, glibc="2.19")
    machine = facts.identity["machine"]
    assert platforms(facts) == [
        *(f"manylinux_2_{minor}_{machine}" for minor in (19, 18, 17)), f"manylinux2014_{machine}", f"linux_{machine}"
    ]  # fmt: skip
