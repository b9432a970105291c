"""One device with a trouble of its own: its cells are red, no other's, and the trouble is met once, not once for each cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.conftest import Project


@pytest.fixture
def beside_the_host(project: Project) -> Project:
    """The host, and a board that is worked on beside it."""
    project.devices["devices"]["pi"] = {"kind": "linux", "address": "pi.invalid", "user": "pi", "backends": {"cpu": {}}}
    project.models["models"]["linear"]["variants"] = {"ort_fp32": {}, "ort_dynamic": {}}
    return project


#: A board that is asked what it is: so it comes.
FACTS = """
from edgeworthy.errors import DeviceRefuses
from edgeworthy.targets.linux.board import Board

def facts(self):
    with open("asked", "a") as file:
        print("asked", file=file)
    {fault}

Board.facts = property(facts)
"""


def test_what_one_device_meets_is_no_error_of_another(beside_the_host: Project) -> None:
    """The host's timing waits for the board's accuracy, which failed as nobody foresaw: the host's cells are green."""
    (beside_the_host.root / "conftest.py").write_text(FACTS.format(fault="before, said = ''.splitlines()"))
    done = beside_the_host.run("-k", "accuracy or latency or canary")
    assert done.returncode == 1, done.stdout
    statuses = beside_the_host.statuses()
    assert {cell: status for cell, status in statuses.items() if "host:cpu" in cell} == {
        "linear/ort_fp32/host:cpu": "pass",
        "linear/ort_dynamic/host:cpu": "pass",
        "linear/canary/host:cpu": "rejected",
    }, done.stdout
    assert statuses["linear/ort_fp32/pi:cpu"] in ("error", "fail")


def test_a_device_that_refuses_is_asked_once(beside_the_host: Project) -> None:
    """Its host key is another one: every cell says so, and none tries again."""
    fault = "raise DeviceRefuses('pi: another host key', hint='compare it')"
    (beside_the_host.root / "conftest.py").write_text(FACTS.format(fault=fault))
    done = beside_the_host.run("--edge-target", "pi:*", "-k", "accuracy or latency")
    assert done.returncode == 1, done.stdout
    for variant in ("ort_fp32", "ort_dynamic"):
        assert beside_the_host.message(variant, target="pi:cpu") == "pi: another host key"
    assert (beside_the_host.root / "asked").read_text() == "asked\n"


#: A host that has a hygiene, and is hot for its first readings.
STATE = """
from edgeworthy.device_schema import HostDevice, Hygiene
from edgeworthy.targets.host import HostTarget

HostDevice.hygiene = Hygiene(max_temperature_c=60, settle_s=0.1, poll_s=0.2)
readings = iter([80.0] * {hot})
HostTarget.state = lambda self: {{"temperature_c": next(readings, 40.0)}}
"""


@pytest.mark.parametrize(("hot", "second"), [(1, "pass"), (1000, "error")])
def test_a_device_that_did_not_settle_is_looked_at_and_not_waited_for(project: Project, hot: int, second: str) -> None:
    """The first cell waits in vain. The second one waits no more: it fails at once, or is measured where a look finds it fit."""
    (project.root / "conftest.py").write_text(STATE.format(hot=hot))
    project.models["models"]["linear"]["variants"] = {"ort_fp32": {}, "ort_dynamic": {}}
    project.run("-k", "latency")
    statuses = project.statuses()
    assert statuses["linear/ort_fp32/host:cpu"] == "error"
    assert project.message("ort_fp32").endswith("cooling: 80.0 C, at most 60 C wanted, after 0.1 s of waiting")
    assert statuses["linear/ort_dynamic/host:cpu"] == second
    if second == "error":
        assert project.message("ort_dynamic").endswith("an earlier cell waited 0.1 s without success")
