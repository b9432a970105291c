"""What reads a run's files gives what was written, or a StoreError that names the file: damage is never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeworthy.cells import CellId
from edgeworthy.errors import StoreError
from edgeworthy.records import Artifact, Conditions, Outputs, Verdict
from edgeworthy.reports.frames import load_run
from edgeworthy.runs.journal import Journal
from edgeworthy.runs.run_file import COMPLETE, RunFile, Scope
from edgeworthy.runs.verdict_log import VerdictLog
from edgeworthy.runtimes import RUNTIMES
from edgeworthy.truth import Truth
from hypothesis import given, settings
from hypothesis import strategies as st

CELL = CellId("cnn", "int8", "host:cpu")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a measurement, a truth, a verdict, a dataset and reports."""
    pd = pytest.importorskip("pandas")
    folder = tmp_path_factory.mktemp("run")
    RunFile(folder, [CELL], Scope(("cnn",), (), (), (CELL,)), COMPLETE).write()
    VerdictLog(folder).add(Verdict(CELL, "accuracy", "pass", "exact", "top-1 99 %", metrics={"top1_percent": 99.0}))
    journal = Journal(folder)
    artifact = Artifact("key", Path("x"), "int8", RUNTIMES["litert"], "nhwc", 10, 5)
    journal.save(CELL, "identity", artifact, Outputs(np.eye(3, dtype=np.float32), 1, 1.0, 1.0, Conditions({}, {}, {})))
    journal.save_truth("cnn", Truth(np.arange(3), np.eye(3, dtype=np.float32), "top1", "checksum"))
    journal.save_dataset("digits", "as they are")
    for name in ("cells", "samples"):
        pd.DataFrame({"model": ["cnn"], "p50_ms": [1.5]}).to_parquet(folder / f"{name}.parquet")
    (folder / "environment.json").write_text("{}")
    return folder


def read_all(folder: Path) -> None:
    """Every reader of a run's folder."""
    RunFile.read(folder)
    VerdictLog(folder).read()
    journal = Journal(folder)
    for cell in journal.cells():
        journal.find(Outputs, cell)
        journal.provenance(cell)
    journal.truth("cnn")
    journal.datasets()
    load_run(folder)


FILES = (
    "run.json", "verdicts/main.jsonl", "measurements/cnn+int8+host@cpu.outputs.npz", "truths/cnn.npz", "datasets/digits.txt",
    "cells.parquet", "samples.parquet", "environment.json",
)  # fmt: skip


def harmless(folder: Path, file: Path, damage: Callable[[], None]) -> None:
    """Damage a file, read everything, and put it back."""
    content, refused = file.read_bytes(), None
    try:
        damage()
        read_all(folder)
    except StoreError as error:
        refused = error
    finally:
        file.write_bytes(content)
    if refused is not None:
        assert str(folder) in refused.message
        assert refused.hint
        assert len(refused.message) < 5_000


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(FILES), st.data())
def test_any_damaged_byte_is_read_right_or_refused(written: Path, name: str, data: st.DataObject) -> None:
    """Bytes changed (to none of UTF-8 too), or the end cut off."""
    file = written / name
    content = bytearray(file.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    damaged = (
        content[:at] + data.draw(st.binary(max_size=3)) + content[at + data.draw(st.sampled_from([1, 2, 10**9])) :]
    )
    harmless(written, file, lambda: file.write_bytes(bytes(damaged)))


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every place of a JSON value, as its container and key."""
    items = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    return [(value, key) for key, _ in items] + [place for _, inner in items for place in places(inner)]


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(["run.json", "verdicts/main.jsonl", "facts"]), JSON, st.data())
def test_any_json_in_any_place_is_read_or_refused(written: Path, name: str, given: Any, data: st.DataObject) -> None:
    """A list where a name belongs, a number beyond a double, a name of 5,000 letters."""
    file = written / (FILES[2] if name == "facts" else name)
    arrays = dict(np.load(file)) if name == "facts" else {}
    value = json.loads(str(arrays.pop("facts"))) if name == "facts" else json.loads(file.read_text())
    container, key = data.draw(st.sampled_from(places(value)))
    container[key] = data.draw(st.sampled_from([given, "x" * 5_000, 10**400, ["a"]]))
    text = json.dumps(value)
    if name == "facts":
        harmless(written, file, lambda: np.savez(file, facts=np.array(text), **arrays))
    else:
        harmless(written, file, lambda: file.write_text(text))
