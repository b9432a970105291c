"""Emulated targets: outputs, accuracy and the share taken are judged, and no time of theirs is anywhere."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from edgeworthy.metrics import METRICS

from tests.browser import chromium, opened
from tests.commands import PYTEST, ended
from tests.integration.conftest import Digits, Project, make_project

if find_spec("onnxruntime_qnn") is None:
    pytest.skip("onnxruntime-qnn is not installed: make accelerators", allow_module_level=True)

NPU = "npu:htp"
TIMED = [name for name, metric in METRICS.items() if metric.timed]
#: Columns of cells.csv that a timing fills.
OF_TIMING = ["loads", "samples", "statistic", "cpu_percent", "window_s", "telemetry_samples"]


def emulated(**backend: Any) -> dict[str, Any]:
    """The entry of an emulated NPU."""
    return {"kind": "emulated", "backends": {"htp": {"emulator": "htp", **backend}}}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, digits: Digits) -> Project:
    """A run on the host and on an emulated NPU, with every report that can be asked for."""
    root = tmp_path_factory.mktemp("emulated")
    made = make_project(root, digits, root / "store")
    made.devices["devices"]["npu"] = {**emulated(), "stands_for": "host:cpu"}
    made.models["models"]["linear"]["variants"] = {"ort_fp32": {}, "ort_int8_minmax": {}}
    made.write()
    asked = ["--junitxml", "junit.xml", "--benchmark-json", "times.json", "--verbose"]
    done = ended([*PYTEST, "benchmarks", *asked], root, made.environment(), 300)
    (root / "terminal.txt").write_text(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    return made


def test_outputs_are_judged_and_the_share_is_held(ran: Project) -> None:
    """Accuracy, fidelity, consistency with the host and the share of nodes are those of any other cell."""
    cells = ran.result().cells
    found = cells[cells.target == NPU].set_index("variant")
    assert set(found.status) == {"pass", "rejected"}
    assert (found.loc[["ort_fp32", "ort_int8_minmax"], "delegated_percent"] == 100).all()
    assert (found.graph_nodes.dropna() >= 1).all()
    assert found.consistency_percent.notna().any()
    real = cells[(cells.target == "host:cpu") & (cells.variant == "ort_fp32")]
    assert real.consistency_percent.notna().all()  # with what the emulation of it gave
    assert found.loc["ort_fp32", "top1_percent"] > 90
    assert found.loc["ort_fp32", "size_kb"] > 0
    assert re.fullmatch(r"onnxruntime \S+, onnxruntime-qnn \S+", found.loc["ort_fp32", "runtime"])


def test_no_time_of_an_emulated_cell_is_in_any_report(ran: Project) -> None:
    """cells.csv, parquet, samples, summary, page, JUnit, pytest-benchmark's file and the run's own folder."""
    folder = ran.root / "results" / "latest"
    for cells in (pd.read_csv(folder / "cells.csv"), pd.read_parquet(folder / "cells.parquet")):
        ours, others = cells[cells.target == NPU], cells[cells.target != NPU]
        timed = [name for name in cells if name in OF_TIMING or re.sub("_(low|high)$", "", name) in TIMED]
        assert ours[timed].isna().all(axis=None)
        assert others[timed].notna().any(axis=None)
        assert (ours.emulated == "htp").all()
        assert others.emulated.isna().all()
    samples = pd.read_parquet(folder / "samples.parquet")
    assert NPU not in set(samples.target)
    assert not list((folder / "measurements").glob("*htp*timing*"))
    benchmarks = json.loads((ran.root / "times.json").read_text())["benchmarks"]
    assert benchmarks
    assert all(each["extra_info"]["target"] != NPU for each in benchmarks)
    for line in (folder / "summary.md").read_text().splitlines():
        if line.startswith("|") and NPU in line:
            assert "emulated" in line
            assert " ms" not in line
    assert f"{NPU} is emulated (htp)" in (folder / "summary.md").read_text()
    _check_page((folder / "report.html").read_text())
    _check_junit((ran.root / "junit.xml").read_text())


def test_what_is_emulated_has_its_own_look(ran: Project) -> None:
    """In the page's matrix it is told from what a device measured, by words too, and no time of it looks like zero."""
    page = ran.root / "results" / "latest" / "report.html"
    with chromium() as browser, opened(browser, page) as found:
        assert [text for text in found.texts("#matrix thead th") if "emulated" in text] == [f"{NPU}\nemulated"]
        ours = found.page.locator("#matrix td.stand-in")
        assert ours.count() == 3  # two variants and the canary
        looks = "one => getComputedStyle(one).outlineStyle"
        assert ours.first.evaluate(looks) == "dotted"
        assert found.page.locator("#matrix td.pass:not(.stand-in)").first.evaluate(looks) != "dotted"
        found.page.get_by_label("Latency", exact=True).check()
        assert {text.splitlines()[-1] for text in found.texts("#matrix td.stand-in")} == {"emulated"}
        assert found.violations() == []


def _check_page(page: str) -> None:
    """A cell's section is JSON: of ours it has no latency, and no timed number."""
    sections = [
        json.loads(found) for found in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.S)
    ]
    text = json.dumps(sections)
    assert "evidence" in page
    ours = [each for each in _mappings(sections) if ["emulator", "htp"] in each.get("identity", [])]
    assert ours, text[:500]
    for section in ours:
        assert "latency" not in section
        assert not {number[0] for number in section["numbers"]} & set(TIMED)
        assert section["ran"]["taken"] == section["ran"]["total"]


def _mappings(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [found for each in value for found in _mappings(each)]
    if isinstance(value, dict):
        return [value, *(found for each in value.values() for found in _mappings(each))]
    return []


def _check_junit(text: str) -> None:
    """A skipped test says why; no property of ours is a time."""
    cases = [case for case in re.findall(r"<testcase.*?</testcase>", text, re.S) if NPU in case]
    assert any("is emulated: its times and its memory are those of this machine" in case for case in cases)
    for case in cases:
        assert not set(re.findall(r'name="edge_(\w+?)(?:_low|_high)?"', case)) & set(TIMED), case


def test_gate_selects_and_baselines_without_times(ran: Project) -> None:
    """What was emulated is accepted, compared and chosen by its outputs and its size."""
    chosen = ran.edgeworthy("select", "--target", NPU, "--run", "results/latest")
    assert chosen.returncode == 0, chosen.stdout + chosen.stderr
    assert "which is emulated: no times are known" in chosen.stdout
    assert " ms" not in chosen.stdout
    refused = ran.edgeworthy("select", "--target", NPU, "--run", "results/latest", "--budget", "max_p50_ms=5")
    assert f"{NPU} is emulated, and has no times and no memory" in refused.stderr
    accepted = ran.edgeworthy("baseline", "accept", "results/latest", "--reason", "first")
    assert accepted.returncode == 0, accepted.stderr
    stored = json.loads((ran.root / "results/baselines/linear.json").read_text())["cells"]["ort_fp32"]
    assert not set(stored[NPU]["metrics"]) & set(TIMED)
    assert "p50_loads_ns" in stored["host:cpu"]
    compared = ran.edgeworthy("compare", "results/latest", "results/baselines")
    assert compared.returncode == 0, compared.stdout + compared.stderr
    gate = ran.edgeworthy("gate", "--run", "results/latest", "--baseline", "results/baselines")
    assert gate.returncode == 0, gate.stdout + gate.stderr


def test_budget_of_times_for_an_emulated_target_is_refused(project: Project) -> None:
    """It names what nobody can measure: an error of the file, with its key."""
    project.devices["devices"]["npu"] = emulated()
    project.models["budgets"].append({"target": NPU, "max_p50_ms": 5})
    done = project.run("--collect-only")
    assert done.returncode != 0
    assert "budgets.1.max_p50_ms" in done.stdout + done.stderr
    assert f"{NPU} is emulated: an emulation has no times and no memory of its own" in done.stdout + done.stderr
    project.devices["devices"]["npu"]["stands_for"] = "host:gpu"
    done = project.run("--collect-only")
    assert "devices.npu.stands_for: unknown target of a device 'host:gpu'" in done.stdout + done.stderr


def shrunk(project: Project, digits: Digits) -> None:
    """The linear model with an op at its end that the NPU has not; it changes nothing."""
    path = project.root / "benchmarks" / "linear.onnx"
    model = onnx.load(path)
    model.graph.node[-1].output[0] = "raw"
    model.graph.node.append(onnx.helper.make_node("Shrink", ["raw"], ["scores"], "shrink", lambd=0.0, bias=0.0))
    onnx.save(model, path)


def test_what_keeps_an_accelerator_from_being_used_is_one_sentence(project: Project, digits: Digits) -> None:
    """Nodes left are named, or counted where a share is allowed; a chip, a package or a device that there is not is named."""
    shrunk(project, digits)
    project.models["models"]["linear"]["variants"] = {"ort_fp32": {}}
    ours = {"package": "onnxruntime-qnn", "name": "QNNExecutionProvider", "options": {"backend_type": "htp"}}
    project.devices["devices"] = {
        "host": {
            "kind": "host",
            "backends": {
                "cpu": {},
                "qnn": {"ep": ours},
                "none": {"ep": {"package": "no-such", "name": "NoSuchExecutionProvider"}},
            },
        },
        "npu": {
            "kind": "emulated",
            "backends": {
                "whole": {"emulator": "htp"},
                "half": {"emulator": "htp", "min_delegated_percent": 50},
                "most": {"emulator": "htp", "min_delegated_percent": 90},
                "chip": {"emulator": "htp", "soc": 99999},
            },
        },
    }
    project.write()
    done = project.edgeworthy("run")
    assert done.returncode == 1, done.stdout + done.stderr
    cells = project.result().cells.set_index(["variant", "target"])
    for target, status, message, hint in (
        (
            "npu:whole",
            "error",
            "QNNExecutionProvider leaves 1 node (Shrink 'shrink') of 3 to the processor",
            "allow a share",
        ),
        (
            "npu:most",
            "fail",
            "66.7 %, at least 90.0 % wanted: QNNExecutionProvider took 2 of 3 nodes",
            "delegate takes",
        ),
        ("npu:chip", "error", "does not start as asked: QNN SetupBackend failed", "correct the options of npu:chip"),
        ("host:none", "error", "no-such, which has NoSuchExecutionProvider, is not installed", "pip install no-such"),
        ("host:qnn", "error", "QNNExecutionProvider emulates its accelerator on x86_64", "kind 'emulated'"),
    ):
        found = cells.loc["ort_fp32", target]
        assert (found.status, message in found.message, hint in found.hint) == (status, True, True), (
            target,
            dict(found),
        )
    half = cells.loc["ort_fp32", "npu:half"]
    assert (half.status, half.delegated_nodes, half.graph_nodes) == ("pass", 2, 3)
    assert "there is no int8 canary" in cells.loc["canary", "npu:whole"].message


def test_diagnosis_names_the_op_that_an_accelerator_computes_otherwise(project: Project) -> None:
    """All scores around 5, times a million, and back: float16 cannot hold them. The run fails, and names the op."""
    path = project.root / "benchmarks" / "linear.onnx"
    model = onnx.load(path)
    model.graph.node[-1].output[0] = "raw"
    steps = (
        ("Add", "shift", 5.0, "raw", "moved"),
        ("Mul", "up", 1e6, "moved", "wide"),
        ("Mul", "down", 1e-6, "wide", "scores"),
    )
    for op, name, number, taken, made in steps:
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(number), name))
        model.graph.node.append(onnx.helper.make_node(op, [taken, name], [made], name=name))
    onnx.save(model, path)
    project.models["models"]["linear"]["variants"] = {"ort_fp32": {}}
    project.devices["devices"]["npu"] = emulated(soc=57, htp_arch=75, precision="float16")
    done = project.run("--edge-target", NPU, "--edge-variant", "ort_fp32", "-o", "edge_diagnose=true")
    assert done.returncode == 1, done.stdout + done.stderr
    assert project.statuses()[f"linear/ort_fp32/{NPU}"] == "fail", done.stdout
    assert f"Mul wide is the first op that goes wrong on {NPU}" in done.stdout
    found = project.edgeworthy("diagnose", "linear", "ort_fp32", "--target", NPU)
    assert found.returncode == 0, found.stdout + found.stderr
    assert f"Mul wide is the first op that goes wrong on {NPU}" in found.stdout, found.stdout
    assert "min_delegated_percent" in found.stdout
