"""``pytest benchmarks/`` on a real phone's daemon and a real board: the same verdicts and reports as on the host."""

from __future__ import annotations

import numpy as np
import pytest

from harness.measurements.journal import Journal
from harness.records import CellId, Outputs, Timing
from tests.integration.conftest import Project

pytestmark = pytest.mark.usefixtures("phone", "pi")
PHONE, PI, HOST = "phone:cpu", "pi:cpu", "host:cpu"


@pytest.fixture(scope="module")
def measured(lab_project: Project) -> Project:
    """One run on host, phone and board."""
    done = lab_project.run()
    assert done.returncode == 0, done.stdout + done.stderr
    return lab_project


def test_every_cell_is_judged_on_every_device(measured: Project) -> None:
    """All variants pass on all targets that can run them; each target rejects its canaries."""
    statuses = measured.statuses()
    assert {cell.rpartition("/")[2] for cell in statuses} == {HOST, PHONE, PI}
    assert all(status == ("rejected" if "/canary/" in cell else "pass") for cell, status in statuses.items()), statuses


@pytest.mark.parametrize("target", [PHONE, PI])
def test_answers_equal_the_hosts_sample_by_sample(measured: Project, target: str) -> None:
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
