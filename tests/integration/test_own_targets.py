"""Targets of a user's own: planned, measured, judged, stored and compared as all others are."""

from __future__ import annotations

import json

import pytest

from tests.integration.conftest import Project

TARGET = """
import numpy as np
import onnxruntime

class Base:
    def __init__(self, loss=0.0):
        self.loss = loss

    def outputs(self, artifact, samples):
        session = onnxruntime.InferenceSession(artifact.path)
        name = session.get_inputs()[0].name
        found = np.concatenate([session.run(None, {name: each[None]})[0] for each in samples])
        lost = samples.reshape(len(samples), -1).sum(axis=1).astype(int) % 10 < 10 * self.loss
        return np.where(lost[:, None], -found, found)

    def times_ns(self, artifact, sample, count):
        return [1_000_000 + number % 7 for number in range(count)]

    def state(self):
        return {"temperature_c": 41}

class Untimed(Base):
    times_ns = None

class Broken(Base):
    def outputs(self, artifact, samples):
        return samples["no such"]

class Narrow(Base):
    def outputs(self, artifact, samples):
        return super().outputs(artifact, samples)[:-1]

class Random(Base):
    def outputs(self, artifact, samples):
        return super().outputs(artifact, samples) + np.random.normal(size=(len(samples), 1))

class Instant(Base):
    def times_ns(self, artifact, sample, count):
        return [0] * count

class Refuses(Base):
    def __init__(self, speed):
        pass
"""


@pytest.fixture
def simulated(project: Project) -> Project:
    """A project on a target of its own, with a backend that loses a tenth of the predictions."""
    (project.root / "stand.py").write_text(TARGET)
    backends = {"good": {"runtimes": ["onnxruntime"]}, "bad": {"runtimes": ["onnxruntime"], "options": {"loss": 0.1}}}
    project.devices["devices"]["stand"] = {"kind": "own", "target": "stand.py:Base", "backends": backends}
    project.models["models"]["linear"]["variants"] = {"ort_fp32": {}}
    project.models["budgets"] = [{"max_drop_points": 1}, {"target": "stand:*", "max_p50_ms": 2}]
    return project


def test_it_is_judged_as_every_target_is(simulated: Project) -> None:
    """Its own loss fails, its times are the report's, and the host is not affected."""
    simulated.run()
    assert {cell: status for cell, status in simulated.statuses().items() if "canary" not in cell} == {
        "linear/ort_fp32/host:cpu": "pass",
        "linear/ort_fp32/stand:good": "pass",
        "linear/ort_fp32/stand:bad": "fail",
    }
    assert set(simulated.result().cells.query("variant == 'canary'").status) == {"rejected"}
    cells = simulated.result().cells.set_index(["variant", "target"])
    good, bad = (cells.loc[("ort_fp32", f"stand:{name}")] for name in ("good", "bad"))
    assert good.drop_points == 0
    assert 5 < bad.drop_points < 20
    assert good.p50_ms == pytest.approx(1, abs=1e-4)
    listed = simulated.edgeworthy("devices", "--json", "--only", "stand")
    assert listed.returncode == 0, listed.stdout + listed.stderr
    [report] = json.loads(listed.stdout)
    assert report["state"] == {"temperature_c": 41}
    assert [backend["target"] for backend in report["backends"]] == ["stand:good", "stand:bad"]


def test_a_change_of_its_file_is_measured_anew(simulated: Project) -> None:
    """A resumed run takes what was measured, unless the class's file says something else by now."""
    simulated.devices["devices"]["stand"]["backends"].pop("bad")
    assert simulated.run("-k", "latency", "--edge-target", "stand:good").returncode == 0
    file = simulated.root / "stand.py"
    file.write_text(TARGET.replace("1_000_000", "3_000_000"))
    again = simulated.run("-k", "latency", "--edge-target", "stand:good", "--edge-resume")
    assert again.returncode == 1
    assert simulated.result().cells.set_index("variant").loc["ort_fp32"].p50_ms == pytest.approx(3, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Untimed", "what stand.py:Untimed makes has no method times_ns"),
        ("Broken", "stand:good: outputs of stand.py:Broken raised IndexError"),
        ("Narrow", "outputs of stand.py:Narrow returned float32 (696, 10) for 697 samples of a model with 1 output"),
        ("Random", "has other outputs for the same samples when they are run again"),
        ("Instant", "times_ns of stand.py:Instant returned int64"),
        ("Refuses", "stand:good: it of stand.py:Refuses raised TypeError"),
        ("Baes", "stand.py has no function 'Baes'"),
    ],
)
def test_what_goes_wrong_there_is_one_sentence(simulated: Project, name: str, said: str) -> None:
    """The cell is an error with it; the host's is judged."""
    simulated.devices["devices"]["stand"]["target"] = f"stand.py:{name}"
    simulated.devices["devices"]["stand"]["backends"].pop("bad")
    simulated.run("-k", "accuracy or latency")
    statuses = simulated.statuses()
    assert statuses["linear/ort_fp32/host:cpu"] == "pass"
    assert statuses["linear/ort_fp32/stand:good"] == "error"
    assert said in simulated.message("ort_fp32", target="stand:good")
