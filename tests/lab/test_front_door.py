"""``pytest benchmarks/`` on a real phone's daemon and a real board: the same verdicts and reports as on the host."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from edgeworthy.cells import CellId
from edgeworthy.config import load_devices
from edgeworthy.records import Outputs, Timing
from edgeworthy.runs.journal import Journal

from tests.integration.conftest import Project
from tests.lab.board import Board
from tests.lab.phone import Phone

pytestmark = pytest.mark.usefixtures("phone", "pi")
PHONE, PI, HOST = "phone:cpu", "pi:cpu", "host:cpu"
TARGETS = ("--edge-target", "real:*", "--edge-target", "pi:*", "--edge-target", "host:*")


@pytest.fixture(scope="module")
def measured(lab_repository: Project) -> Project:
    """One run on host, phone and board."""
    done = lab_repository.run()
    assert done.returncode == 0, done.stdout + done.stderr
    return lab_repository


def test_every_cell_is_judged_on_every_device(measured: Project) -> None:
    """All variants pass on all targets that can run them; each target rejects its canaries."""
    statuses = measured.statuses()
    assert {cell.rpartition("/")[2] for cell in statuses} == {HOST, PHONE, PI}
    assert all(status == ("rejected" if "/canary/" in cell else "pass") for cell, status in statuses.items()), statuses


@pytest.mark.parametrize("target", [PHONE, PI])
def test_outputs_equal_the_hosts_sample_by_sample(measured: Project, target: str) -> None:
    """Every artifact, float and int8, answers on the device what it answers on the host."""
    journal = Journal(measured.root / "results" / "latest")
    cells = [cell for cell in journal.cells() if cell.target == target and cell.variant != "canary"]
    assert cells
    for cell in cells:
        there, here = journal.find(Outputs, cell), journal.find(Outputs, CellId(cell.model, cell.variant, HOST))
        assert there is not None
        assert here is not None
        np.testing.assert_array_equal(there.values.argmax(axis=1), here.values.argmax(axis=1))
        np.testing.assert_allclose(there.values, here.values, rtol=0, atol=1e-5)


def test_conditions_and_evidence_are_stored(measured: Project) -> None:
    """A phone's cell has its battery, temperature and thermal state, who it is, and what its delegate took."""
    timing = Journal(measured.root / "results" / "latest").find(Timing, CellId("lite", "fp32", PHONE))
    assert timing is not None
    assert timing.conditions.before.keys() >= {"battery_percent", "temperature_c", "throttled", "load_1min"}
    assert timing.conditions.fingerprint.keys() >= {"model", "abi", "runtime"}
    assert timing.delegation is not None
    assert timing.delegation.percent == 100
    assert timing.statistic == "median"


PROFILING = """
import pytest
from edgeworthy.errors import ProfileUnavailable

def test_profile(edge_cell):
    if edge_cell.id.target.startswith("real:"):
        ops = edge_cell.profile()
        assert ops[ops["part"] == "inference"]["node_type"].tolist() == ["FULLY_CONNECTED"], ops
    else:
        with pytest.raises(ProfileUnavailable, match="only phones report the time of single ops"):
            edge_cell.profile()
"""


def test_a_test_may_ask_for_the_profile(lab_project: Project, phone: Phone, tflite_tool: Path) -> None:
    """On the phone the time of every op, by TFLite's own tool; elsewhere one typed error."""
    real = phone.devices_entry(benchmark_model={phone.abi: str(phone.tflite_benchmark_model)})
    real["backends"] = {"reference": real["backends"]["reference"]}
    suite = lab_project.root / "benchmarks" / "test_profile.py"
    suite.write_text(PROFILING)
    lab_project.devices["devices"]["real"] = real
    try:
        done = lab_project.run("-k", "test_profile", "--edge-model", "lite", *TARGETS)
    finally:
        suite.unlink()
    assert done.returncode == 0, done.stdout
    assert "benchmarks/test_profile.py ..." in done.stdout
    [kept] = (lab_project.root / "results" / "latest" / "profiles").iterdir()
    assert kept.name.startswith("lite+fp32+real@reference.")
    assert kept.read_text().splitlines()[0].startswith("part,node_type,first_ms,mean_ms,percent")


def test_devices_are_added_set_up_and_shown(lab_project: Project, phone: Phone, pi: Board) -> None:
    """A phone and a bare board: `add` writes what answers, `setup` installs the runtimes, `devices` says that all works."""
    path = lab_project.root / "new.yaml"
    file = ("--devices", str(path))
    at_phone = ("--address", phone.address, "--port", str(phone.port), "--key", str(phone.key))
    done = lab_project.edgeworthy(
        "devices", "add", "mine", *at_phone, "--benchmark-model", "/lab/bin/benchmark_model", *file
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "wrote mine with cpu to" in done.stdout
    assert "mine:nnapi litert: no" in done.stdout
    at_pi = ("--address", pi.address, "--port", str(pi.port), "--user", pi.user, "--key", str(pi.key))
    done = lab_project.edgeworthy("devices", "add", "board", *at_pi, "--known-hosts", str(pi.known_hosts), *file)
    assert done.returncode == 0, done.stdout + done.stderr
    done = lab_project.edgeworthy("devices", "setup", "board", *file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "board has litert" in done.stdout
    assert list(load_devices(path)[0].devices["mine"].backends) == ["cpu"]
    done = lab_project.edgeworthy("devices", "--json", *file)
    assert done.returncode == 0, done.stdout + done.stderr
    works = {
        (tried["target"], tried["runtime"]): tried["works"]
        for report in json.loads(done.stdout)
        for tried in report["backends"]
    }
    assert works == {("mine:cpu", "litert"): True, ("board:cpu", "litert"): True, ("board:cpu", "onnxruntime"): True}
