"""The Linux target on the lab's boards: aarch64 under qemu, and one that is restarted while it measures."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeworthy.datasets.samples import Samples
from edgeworthy.device_schema import DevicesFile
from edgeworthy.records import Artifact
from edgeworthy.runtimes import RUNTIMES
from edgeworthy.storage import file_digest
from edgeworthy.targets.base import Job
from edgeworthy.targets.host import HostTarget
from edgeworthy.targets.open_targets import Targets

from tests.lab.board import Board
from tests.lab.cnn import cnn
from tests.waiting import when


@contextlib.contextmanager
def targets(entry: dict[str, Any]) -> Iterator[Targets]:
    """The targets of a devices.yaml with this one board."""
    with contextlib.closing(
        Targets(DevicesFile.model_validate({"version": 1, "devices": {"board": entry}}), Path("/"))
    ) as opened:
        yield opened


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """The int8 network on 40 images."""
    path = cnn(tmp_path / "model.tflite", quantized=True)
    images = np.random.default_rng(3).integers(0, 256, (40, 32, 32, 1)).astype(np.uint8)
    np.save(tmp_path / "samples.npy", images)
    artifact = Artifact(file_digest(path), path, "int8", RUNTIMES["litert"], "nhwc", path.stat().st_size, 1)
    return Job(artifact, Samples(tmp_path / "samples.npy", (("divide", (255.0,)),)), 300)


def test_aarch64_board_gives_this_machines_int8_outputs(arm_board: Board, job: Job) -> None:
    """The runner, pushed over SSH, gives the host's bytes; the board is told apart by its machine."""
    with targets(arm_board.devices_entry()) as opened:
        target = opened["board:cpu"]
        assert target.identity()["machine"] == "aarch64"
        found = target.outputs(job).values
        assert found.tobytes() == opened.reference.outputs(job).values.tobytes()


def test_board_that_restarts_is_measured_once_more(pi: Board, job: Job) -> None:
    """A real restart in the middle of a run: every process dies, the boot id is another, and the answers are the host's."""
    with targets(pi.devices_entry(python=sys.executable)) as opened:
        target = opened["board:cpu"]
        target.state()
        with when(lambda: list(pi.home.glob(".cache/edgeworthy/**/job.json")), pi.reboot):
            found = target.outputs(job).values
    with contextlib.closing(HostTarget("host", "cpu", opened.devices.devices["board"].backends["cpu"])) as host:
        assert found.tobytes() == host.outputs(job).values.tobytes()


def test_boards_firmware_reports_throttling(pi: Board) -> None:
    """The bits and the temperature of ``vcgencmd`` are the target's state."""
    pi.telemetry.set(temperature_c=82.5, throttled=0x40004)
    try:
        with targets(pi.devices_entry(python=sys.executable)) as opened:
            state = opened["board:cpu"].state()
    finally:
        pi.telemetry.set()
    assert state["temperature_c"] >= 82.5
    assert (state["throttled"], state["throttled_since_boot"]) == (1, 4)
