"""One device whose answers nobody foresaw: its own cells are red, and no other's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.conftest import Project

#: A board that is asked for what it is, and something happens that is no error of edgegate's.
CONFTEST = """
from harness.targets.linux.board import Board

def facts(self):
    before, said = "".splitlines()

Board.facts = property(facts)
"""


@pytest.fixture
def beside_the_host(project: Project) -> Project:
    """The host, and a board that is worked on beside it."""
    project.devices["devices"]["pi"] = {"kind": "linux", "address": "pi.invalid", "user": "pi", "backends": {"cpu": {}}}
    project.models["models"]["linear"]["variants"] = {"ort_fp32": {}}
    return project


def test_what_one_device_meets_is_no_error_of_another(beside_the_host: Project) -> None:
    """The host's timing waits for the board's accuracy, which failed: the host's cells are green, the board's say why."""
    (beside_the_host.root / "conftest.py").write_text(CONFTEST)
    done = beside_the_host.run("-k", "accuracy or latency or canary")
    assert done.returncode == 1, done.stdout
    statuses = beside_the_host.statuses()
    assert {cell: status for cell, status in statuses.items() if "host:cpu" in cell} == {
        "linear/ort_fp32/host:cpu": "pass",
        "linear/canary/host:cpu": "rejected",
    }, done.stdout
    assert statuses["linear/ort_fp32/pi:cpu"] in ("error", "fail")
