"""The time of every op of an ONNX artifact: from its trace, with intervals over reloads, by the command and in a test."""

from __future__ import annotations

import io
import json
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from edgeworthy.datasets.samples import Samples
from edgeworthy.device_schema import RunnerBackend
from edgeworthy.diagnosis.node_data import times_by_tensor
from edgeworthy.errors import ProfileUnavailable
from edgeworthy.records import Artifact
from edgeworthy.runners.python_runner.op_times import inferences
from edgeworthy.runtimes import RUNTIMES
from edgeworthy.targets.base import Job
from edgeworthy.targets.host import HostTarget
from edgeworthy.targets.op_times import COLUMNS, INTERVALS, of_runner
from onnx import TensorProto, helper

from tests.integration.conftest import Project
from tests.onnx_files import onnx_file

#: A product with so many rows and columns takes most of the time.
SIDE = 1024


def job(folder: Path) -> Job:
    """A node without a name, a Loop that takes three square roots, and a large product."""
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Sqrt", ["seen"], ["root"], name="root")],
        "body",
        [
            value("index", TensorProto.INT64, []),
            value("go", TensorProto.BOOL, []),
            value("seen", TensorProto.FLOAT, None),
        ],
        [value("on", TensorProto.BOOL, []), value("root", TensorProto.FLOAT, None)],
    )
    nodes = [
        helper.make_node("Abs", ["x"], ["positive"]),
        helper.make_node("Loop", ["three", "", "positive"], ["roots"], name="loop", body=body),
        helper.make_node("MatMul", ["roots", "weights"], ["scores"], name="product"),
    ]
    weights = {"three": np.array(3, np.int64), "weights": np.ones((SIDE, SIDE), np.float32)}
    onnx_file(folder / "net.onnx", nodes, {"x": ["batch", SIDE]}, {"scores": ["batch", SIDE]}, weights)
    np.save(folder / "x.npy", np.random.default_rng(0).random((4, SIDE), np.float32))
    artifact = Artifact("key", folder / "net.onnx", "ort_fp32", RUNTIMES["onnxruntime"], "nchw", 1, 1)
    return Job(artifact, Samples(folder / "x.npy"), 60)


def test_every_node_has_its_part_of_the_time(tmp_path: Path) -> None:
    """In the order in which they run, those of a loop's body apart; the product takes most of it, in every reload."""
    given = job(tmp_path)
    with closing(HostTarget("host", "cpu", RunnerBackend())) as host:
        found = host.profile(given)
    assert list(found) == [*COLUMNS, *INTERVALS]
    ran = found[["part", "node_type", "name", "times_called"]].values.tolist()
    assert ran[:2] == [["inference", "Abs", "Abs_0", 1], ["inference", "Loop", "loop", 1]]
    assert ["subgraph", "Sqrt", "root", 3] in ran
    assert ran[-1] == ["inference", "MatMul", "product", 1]
    nodes = found.set_index("name")
    assert nodes.loc["product", "percent"] > 50
    assert found.groupby("part")["percent"].sum().tolist() == pytest.approx([100, 100])
    assert nodes.loc["product", "memory_kb"] == SIDE * 4 / 1024
    assert (found["first_ms"] > 0).all()
    assert (found["low_ms"] > 0).all()
    times = times_by_tensor(found, given.artifact.path)
    assert times.keys() == {"positive", "roots", "scores"}
    assert times["scores"] == nodes.loc["product", "mean_ms"]


def test_intervals_are_those_of_medians_of_reloads() -> None:
    """The median over reloads lies in its interval, and shares are of these medians, whatever a single inference took."""
    median_us = np.array([np.linspace(1, 2, 10), np.full(10, 3.0)])
    means = {"first_us": median_us, "mean_us": np.array([[1e6] * 10, [3.0] * 10])}
    once = {"output_kb": np.ones(2), "calls": np.ones(2)}
    found = of_runner({"median_us": median_us, **means, **once}, [["inference", "Abs", "a"], ["inference", "Mul", "b"]])
    assert found["median_ms"].tolist() == [0.0015, 0.003]
    assert 0.001 <= found.loc[0, "low_ms"] < 0.0015 < found.loc[0, "high_ms"] <= 0.002
    assert found.loc[1, ["low_ms", "high_ms"]].tolist() == [0.003, 0.003]
    assert found["percent"].round(6).tolist() == [33.333333, 66.666667]


def event(name: str, ts: int, dur: int, op: str = "") -> dict[str, Any]:
    args = {"op_name": op, "output_size": "2048", "node_index": "7"} if op else {}
    return {"cat": "Node" if op else "Session", "name": name, "ts": ts, "dur": dur, "args": args}


def test_a_trace_is_read_by_what_lies_in_what() -> None:
    """Nodes stand before the graph that they are in; half a microsecond is added to each time; other events are no nodes."""
    trace = [
        event("session_initialization", 0, 9),
        event("a_fence_before", 10, 0, "Abs"),
        event("a_kernel_time", 10, 4, "Abs"),
        event("inner_kernel_time", 21, 2, "Sqrt"),
        event("SequentialExecutor::Execute", 20, 4),
        event("inner_kernel_time", 25, 3, "Sqrt"),
        event("SequentialExecutor::Execute", 25, 4),
        event("loop_kernel_time", 19, 11, "Loop"),
        event("SequentialExecutor::Execute", 9, 25),
        event("model_run", 9, 26),
        event("a_kernel_time", 40, 5, "Abs"),  # an inference that did not end
    ]
    [found] = inferences(trace)
    assert found.us == {
        ("inference", "Abs", "a", "7"): 4.5,
        ("inference", "Loop", "loop", "7"): 11.5,
        ("subgraph", "Sqrt", "inner", "7"): 6,
    }
    assert found.calls["subgraph", "Sqrt", "inner", "7"] == 2
    assert found.kb["inference", "Abs", "a", "7"] == 2


def test_an_accelerator_is_not_profiled(tmp_path: Path) -> None:
    """The trace says when it was given an op, which is no time of the op's."""
    backend = RunnerBackend(providers=["CUDAExecutionProvider", "CPUExecutionProvider"])
    with closing(HostTarget("host", "gpu", backend)) as host, pytest.raises(ProfileUnavailable, match="when CUDAExec"):
        host.profile(job(tmp_path))


IN_A_TEST = """
def test_profile(edge_cell):
    assert edge_cell.profile()["median_ms"].sum() > 0
"""


def test_the_command_shows_what_a_test_is_given(project: Project) -> None:
    """A line for each node, or CSV with every column; a cell that there is not is one sentence."""
    (project.root / "benchmarks" / "test_profile.py").write_text(IN_A_TEST)
    assert project.run("-k", "test_profile or test_latency", "--edge-variant", "ort_fp32").returncode == 0
    page = (project.root / "results" / "latest" / "report.html").read_text()
    [times] = re.findall(r'"times":(\[\[.*?\]\])', page)
    assert ["Gemm", "the graph", "1"] in [row[:3] for row in json.loads(times)]  # which takes longest is no promise
    shown = project.edgeworthy("profile", "linear/ort_fp32")
    assert shown.returncode == 0, shown.stderr
    assert "linear/ort_fp32/host:cpu" in shown.stdout
    [gemm] = [line.split() for line in shown.stdout.splitlines() if "Gemm" in line]
    assert float(gemm[3]) <= float(gemm[2]) <= float(gemm[5])
    table = project.edgeworthy("profile", "linear/ort_fp32/host:cpu", "--csv")
    assert list(pd.read_csv(io.StringIO(table.stdout))) == [*COLUMNS, *INTERVALS]
    done = project.edgeworthy("profile", "linear")
    assert done.returncode == 2
    assert "'linear' names no cell" in done.stderr
