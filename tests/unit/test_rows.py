"""Rows of a report: every planned cell has one, with the documented columns, the worst first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from edgeworthy.cells import CellId
from edgeworthy.metrics import FIDELITY, QUALITIES
from edgeworthy.records import Artifact, Conditions, Delegation, Outputs, Timing, Verdict
from edgeworthy.reports.frames import SAMPLE_COLUMNS, load_run, write_frames
from edgeworthy.reports.rows import COLUMNS, STATUSES, cell_rows
from edgeworthy.runs.journal import Journal
from edgeworthy.runs.verdict_log import VerdictLog
from edgeworthy.runtimes import RUNTIMES
from edgeworthy.storage import write_json
from edgeworthy.tasks.table import TASKS
from edgeworthy.truth import Truth
from edgeworthy.verdicts.accuracy import judge_accuracy
from edgeworthy.verdicts.consistency import judge_consistency
from edgeworthy.verdicts.footprint import judge_footprint
from edgeworthy.verdicts.latency import judge_latency

CELL = CellId("cnn", "int8", "host:cpu")
ARTIFACT = Artifact("abc", Path("artifact.onnx"), "ort_dynamic", RUNTIMES["onnxruntime"], "nchw", 2000, 1000)
STATE = {"temperature_c": 30.0, "battery_percent": 80.0, "cpu_mhz": 2000.0, "load_1min": 0.5, "throttled": 0.0}
CONDITIONS = Conditions({"runtime": "onnxruntime 1"}, STATE, STATE, during={**STATE, "telemetry_samples": 3.0})
LABELS = np.arange(60) % 10
VALUES = np.eye(10, dtype=np.float32)[LABELS] + np.random.default_rng(0).normal(0, 0.1, (60, 10)).astype(np.float32)
OUTPUTS = Outputs(VALUES, 32, 0.5, 0.6, CONDITIONS)
TIMING = Timing(
    samples_ns=np.arange(100, 130) * 1000,
    load_of=np.repeat(np.arange(3), 10),
    load_ns=np.array([10, 11, 12]) * 10**6,
    first_ns=np.array([2, 3, 4]) * 10**6,
    peak_memory_bytes=5_000_000,
    cpu_percent=99.0,
    delegation=Delegation("XNNPACK", 7, 8, "7 of 8"),
    window_seconds=0.5,
    conditions=CONDITIONS,
)


def verdict(status: str, cell: CellId = CELL, axis: str = "accuracy") -> Verdict:
    return Verdict(cell, axis, status, "exact", f"{axis} {status}", "do this")  # type: ignore[arg-type]


def full_run(folder: Path) -> tuple[list[Verdict], Journal]:
    """Every axis judged, and both measurements journaled."""
    journal = Journal(folder)
    journal.save(CELL, "identity", ARTIFACT, OUTPUTS)
    journal.save(CELL, "identity", ARTIFACT, TIMING)
    journal.save_truth(CELL.model, Truth(LABELS, VALUES, "top1", "checksum"))
    verdicts = [
        judge_accuracy(CELL, VALUES, Truth(LABELS, VALUES, "top1", "checksum"), {}),
        judge_latency(CELL, TIMING, {}),
        judge_footprint(CELL, ARTIFACT, TIMING, {}),
        judge_consistency(CELL, VALUES, CELL, VALUES, {}, Truth(LABELS, VALUES, "top1", "checksum")),
    ]
    return verdicts, journal


#: Columns of metrics that nothing is judged by without its task.
OF_TASKS = {
    f"{QUALITIES[name].metric}{end}"
    for name in QUALITIES.keys() - {name for task in TASKS.values() for name in task.DIRECT} - {FIDELITY}
    for end in ("", "_low", "_high")
}


def by_other_metrics(folder: Path) -> list[Verdict]:
    """The cell as if its model were judged by every metric that is no accuracy."""
    (folder / "mine.py").write_text("def first(outputs, targets):\n    return outputs[:, 0]\n")
    asked = {"mse": False, "psnr": True, "mine.py:first": True}
    truths = [Truth(VALUES, VALUES + 1, name, "checksum", better, "", str(folder)) for name, better in asked.items()]
    truths.append(Truth(VALUES, VALUES + 1, "mine.py:first", "checksum", False, "", str(folder)))
    truths.append(Truth(np.zeros((len(VALUES), 0)), VALUES, "fidelity", "checksum", False))
    return [judge_accuracy(CELL, VALUES + 0.5, truth, {}) for truth in truths]


def test_every_documented_column_is_filled_and_every_metric_documented(tmp_path: Path):
    """A fully measured cell has a value in every column; no metric of a verdict is lost for want of one.

    Those of tasks are filled in tests/integration/test_tasks.py.
    """
    verdicts, journal = full_run(tmp_path)
    verdicts += by_other_metrics(tmp_path)
    verdicts.append(
        judge_footprint(CELL, ARTIFACT, replace(OUTPUTS, needs={"arena_kb": 1, "flash_kb": 2, "cpu_ops": 0}), {})
    )
    [row] = cell_rows([CELL], verdicts, journal, {CELL.target: "htp"})
    assert list(row) == list(COLUMNS)
    assert {name for name, value in row.items() if value is None} == OF_TASKS
    assert {name for one in verdicts for name in one.metrics} <= set(COLUMNS)
    assert all(COLUMNS.values())


def test_columns_keep_their_units(tmp_path: Path):
    """Milliseconds, KB of 1,000 bytes, MB of 1,000,000 bytes, percent."""
    verdicts, journal = full_run(tmp_path)
    [row] = cell_rows([CELL], verdicts, journal)
    assert row["p50_ms"] == pytest.approx(0.1145)
    assert (row["load_ms"], row["first_inference_ms"]) == (11, 3)
    assert (row["size_kb"], row["gzip_kb"], row["peak_memory_mb"]) == (2, 1, 5)
    assert (row["delegated_percent"], row["delegated_nodes"], row["graph_nodes"]) == (87.5, 7, 8)
    assert (row["loads"], row["samples"], row["recipe"], row["artifact"]) == (3, 30, "ort_dynamic", "abc")


def test_worst_cell_is_first_and_shows_its_worst_axis(tmp_path: Path):
    """Errors before failures before what was not run; a cell is as good as its worst axis."""
    cells = [
        CellId("cnn", name, "host:cpu")
        for name in ("good", "missing", "slow", "broken", "canary", "refused", "waived", "hot", "away", "npu")
    ]
    good, _, slow, broken, canary, refused, waived, hot, away, npu = cells
    verdicts = [
        verdict("pass", good), verdict("pass", slow), verdict("fail", slow, "latency"), verdict("error", broken),
        verdict("pass", canary, "canary"), verdict("refused", refused), verdict("waived", waived),
        verdict("not comparable", hot, "latency"), verdict("absent", away),
        verdict("emulated", npu, "latency"),
    ]  # fmt: skip
    rows = cell_rows(cells, verdicts, Journal(tmp_path))
    assert [(row["variant"], row["status"]) for row in rows] == [
        ("broken", "error"), ("slow", "fail"), ("hot", "not comparable"), ("missing", "not run"), ("waived", "waived"),
        ("away", "absent"),
        ("refused", "refused"),
        ("good", "pass"), ("npu", "emulated"),
        ("canary", "rejected"),
    ]  # fmt: skip
    assert [row["status"] for row in rows] == list(STATUSES)
    assert (rows[1]["axis"], rows[1]["message"]) == ("latency", "latency fail")
    assert "--edge-resume" in rows[3]["hint"]


def test_accepted_canary_is_a_failure(tmp_path: Path):
    """Only a canary that was rejected is called that."""
    canary = CellId("cnn", "canary", "host:cpu")
    [row] = cell_rows([canary], [verdict("fail", canary, "canary")], Journal(tmp_path))
    assert row["status"] == "fail"


@pytest.mark.parametrize("planned", [[], [CELL], [CELL, CellId("cnn", "other", "host:cpu")]])
def test_frames_are_read_as_documented(tmp_path: Path, planned: Sequence[CellId]):
    """cells and samples have exactly their documented columns, also where little or nothing was measured."""
    verdicts, journal = full_run(tmp_path) if planned else ([], Journal(tmp_path))
    write_json(tmp_path / "environment.json", {})
    write_frames(tmp_path, cell_rows(planned, verdicts, journal), journal)
    run = load_run(tmp_path)
    assert list(run.cells.columns) == list(COLUMNS)
    assert list(run.samples.columns) == list(SAMPLE_COLUMNS)
    assert len(run.cells) == len(planned)
    assert run.samples["duration_ns"].tolist() == (TIMING.samples_ns.tolist() if planned else [])


def test_truncated_log_line_is_skipped(tmp_path: Path):
    """What a killed process was writing is lost; of several verdicts on one axis the worst counts."""
    log = VerdictLog(tmp_path)
    for status in ("pass", "fail", "pass"):
        log.add(verdict(status))
    with (log.folder / "gw0.jsonl").open("w") as stream:
        stream.write('{"cell": ["cnn", "int8", "ho')
    assert [found.status for found in log.read()] == ["fail"]
    log.clear()
    assert log.read() == []


def test_a_broken_budget_hides_no_regression(tmp_path: Path):
    """The message has every axis that failed; one that failed for the same reason is not repeated."""
    failed = [verdict("fail"), verdict("fail", axis="regression"), verdict("pass", axis="latency")]
    [row] = cell_rows([CELL], failed, Journal(tmp_path))
    assert row["message"] == "accuracy fail; also regression, fail: regression fail"
    same = [Verdict(CELL, axis, "error", "exact", "the image is corrupt") for axis in ("accuracy", "footprint")]
    [row] = cell_rows([CELL], same, Journal(tmp_path))
    assert row["message"] == "the image is corrupt"
    assert list(tmp_path.iterdir()) == []  # reading a run writes nothing
