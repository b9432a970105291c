"""The lab's devices as fixtures; where a tier cannot be had its tests are skipped with the reason."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn, TypeVar

import numpy as np
import pytest
from filelock import FileLock

from tests.integration.conftest import Digits, Project, linear_tflite, make_project
from tests.lab import build
from tests.lab.board import Board, arm_system, pi_system
from tests.lab.phone import Phone
from tests.lab.roots import register_qemu
from tests.lab.tiers import LabError, Tier


def need(tier: Tier) -> None:
    """Skip where the tier is missing; in continuous integration a required one that is missing fails."""
    if reason := tier.missing():
        unusable(tier, reason)


def unusable(tier: Tier, reason: str) -> NoReturn:
    """Skip, or fail, with the reason why there is no such device."""
    message = f"the lab's {tier.title}: {reason}"
    if tier.required and os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def tflite_tool() -> Path:
    """Tier (e): the folder of TFLite's own benchmark_model with its libraries."""
    need(build.TFLITE)
    return build.TFLITE.folder


@pytest.fixture(scope="session")
def phone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Phone]:
    """Tier (a): a phone on a port of loopback."""
    need(build.PHONE)
    tflite = None if build.TFLITE.missing() else build.TFLITE.folder
    yield from started(build.PHONE, lambda: Phone(tmp_path_factory.mktemp("phone"), build.PHONE.folder, tflite))


@pytest.fixture(scope="session")
def pi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """Tier (b): a board of this machine's architecture."""
    need(build.PI)
    folder = tmp_path_factory.mktemp("pi")
    yield from started(build.PI, lambda: Board(folder, pi_system(folder)))


@pytest.fixture(scope="session")
def arm_board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """Tier (c): an aarch64 board under emulation; its times mean nothing."""
    need(build.ARM_BOARD)
    folder = tmp_path_factory.mktemp("arm")

    def start() -> Board:
        with FileLock(build.ARM_BOARD.folder.with_suffix(".qemu")):  # another worker may be at it
            register_qemu()
        return Board(folder, arm_system(folder, build.ARM_BOARD.folder / "root"))

    yield from started(build.ARM_BOARD, start)


Device = TypeVar("Device", Phone, Board)


def started(tier: Tier, start: Callable[[], Device]) -> Iterator[Device]:
    """The device until the session ends; a machine that does not let it start is as good as one without the tier."""
    try:
        device = start()
    except LabError as error:
        unusable(tier, str(error))
    with contextlib.closing(device):
        yield device


@pytest.fixture(scope="session")
def lab_repository(
    tmp_path_factory: pytest.TempPathFactory, digits: Digits, shared_store: Path, phone: Phone, pi: Board
) -> Project:
    """The small project of the integration tests, with a .tflite model beside it, on host, phone and board.

    That model takes 64 x 64 pixels: benchmark_model tells medians in whole microseconds, and less is none.
    It has 200 samples, for each batch is a process on the phone.
    """
    project = make_project(tmp_path_factory.mktemp("lab"), digits, shared_store)
    benchmarks = project.root / "benchmarks"
    few = {name: array[:200] for name, array in digits.arrays.items()}
    images = {name: array.repeat(8, 1).repeat(8, 2) if array.ndim == 4 else array for name, array in few.items()}
    np.savez(benchmarks / "large.npz", **images)
    weights = digits.weights.reshape(8, 8, -1).repeat(8, 0).repeat(8, 1).reshape(64 * 64, -1) / 64
    (benchmarks / "linear.tflite").write_bytes(linear_tflite(weights, digits.bias, side=64))
    project.models["datasets"]["large"] = {"kind": "npz", "path": "large.npz", "classes": 10}
    project.models["models"]["lite"] = {
        "source": {"path": "linear.tflite"},
        "dataset": "large",
        "variants": {"fp32": {}},
    }
    project.devices["devices"] |= {"phone": phone.devices_entry(), "pi": pi.devices_entry()}
    for device in ("phone", "pi"):
        backends = project.devices["devices"][device]["backends"]
        project.devices["devices"][device]["backends"] = {"cpu": backends["cpu"]}
    project.write()
    done = project.edgeworthy("devices", "setup", "pi")
    if done.returncode:
        unusable(build.PI, f"'edgeworthy devices setup' cannot install the runtimes: {done.stderr.strip()[-500:]}")
    return project


@pytest.fixture
def lab_project(lab_repository: Project) -> Iterator[Project]:
    """The lab's project; what a test changes in its YAML files is undone."""
    models, devices = copy.deepcopy(lab_repository.models), copy.deepcopy(lab_repository.devices)
    yield lab_repository
    lab_repository.models, lab_repository.devices = models, devices
