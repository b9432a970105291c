"""What inner runs of all tests share: the data, and the artifact store."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from tests.integration.conftest import Digits, Project, make_project

# Timings are judged by make perf, never in a test: a machine may be busy. Examples are the same each time, so that a run is
# red for what changed; HYPOTHESIS_PROFILE=search looks for new ones.
hypothesis.settings.register_profile("same", deadline=None, derandomize=True)
hypothesis.settings.register_profile("search", deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

# None waits for a run outside of the suite. xdist's workers do not wait for one another either, since no test judges a time.
os.environ.setdefault("XDG_STATE_HOME", f"{tempfile.gettempdir()}/tests-of-edgeworthy-{os.getuid()}")
# Taken out of the environment, so that inner runs are those of a user, and no workers of this one.
if WORKER := os.environ.pop("PYTEST_XDIST_WORKER", ""):
    os.environ["XDG_STATE_HOME"] += f"/{WORKER}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """For xdist's workers: the lab's files, which mostly wait, evenly among those that compute; the quick ones last."""
    if not WORKER:
        return
    folders: dict[str, list[Path]] = {}
    for path in dict.fromkeys(item.path for item in items):
        folders.setdefault(path.parent.name, []).append(path)
    place = {
        path: (folder == "unit", index / len(paths))
        for folder, paths in folders.items()
        for index, path in enumerate(paths)
    }
    items.sort(key=lambda item: place[item.path])


@pytest.fixture(scope="session")
def digits() -> Digits:
    """Splits and weights, made once."""
    from sklearn.datasets import load_digits

    found = load_digits()
    x = (found.images / 16.0).astype(np.float32)[..., None]
    order = np.random.default_rng(0).permutation(len(x))
    train, calibration, evaluation = order[:1000], order[1000:1100], order[1100:]
    flat = np.c_[x[train].reshape(len(train), -1), np.ones(len(train))]
    solution = np.linalg.lstsq(flat, np.eye(10)[found.target[train]], rcond=None)[0]
    arrays = {
        "evaluation_x": x[evaluation],
        "evaluation_y": found.target[evaluation].astype(np.int64),
        "calibration_x": x[calibration],
    }
    return Digits(arrays, solution[:-1], solution[-1])


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One artifact store for all inner runs of the session, those of other xdist workers included."""
    return tmp_path_factory.getbasetemp().parent / "store" if WORKER else tmp_path_factory.mktemp("store")


@pytest.fixture
def project(tmp_path: Path, digits: Digits, shared_store: Path) -> Project:
    """A repository with the embedded suites, one model, three variants and one target; green as it is."""
    return make_project(tmp_path, digits, shared_store)
