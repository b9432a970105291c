"""The journal: what is saved comes back as it was, and a file that cannot be read says so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from edgeworthy.cells import CellId
from edgeworthy.errors import StoreError
from edgeworthy.records import Artifact, Conditions, Delegation, OpTime, Outputs, Provenance, Timing
from edgeworthy.runs.journal import Journal
from edgeworthy.runtimes import RUNTIMES
from edgeworthy.targets.android.op_profile import parse_profile
from edgeworthy.truth import Truth
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

CELL = CellId("cnn", "int8", "host:cpu")
ARTIFACT = Artifact("abc", Path("artifact.onnx"), "ort_dynamic", RUNTIMES["onnxruntime"], "nchw", 1, 1)
CONDITIONS = Conditions({"runtime": "onnxruntime 1"}, {"load_1min": 0.5}, {"load_1min": 1.5})
INT64 = hnp.arrays(np.int64, st.integers(0, 20), elements=st.integers(0, 2**62))
FLOAT32 = hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2), elements=st.floats(width=32))
DELEGATIONS = st.none() | st.builds(Delegation, st.text(), st.integers(0, 9), st.integers(0, 9), st.text())
UNHURRIED = settings(deadline=None)


def outputs(values: np.ndarray | None = None) -> Outputs:
    return Outputs(np.zeros((2, 3), np.float32) if values is None else values, 32, 0.5, 0.6, CONDITIONS)


def file_of(folder: Path) -> Path:
    """The one file of a journal that holds CELL's outputs."""
    journal = Journal(folder)
    journal.save(CELL, "identity", ARTIFACT, outputs())
    return journal.folder / "cnn+int8+host@cpu.outputs.npz"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@UNHURRIED
@given(FLOAT32)
def test_outputs_roundtrip_is_exact(folder: Path, values: np.ndarray):
    """Also NaN, infinities and the sign of zero."""
    journal = Journal(folder)
    journal.save(CELL, "identity", ARTIFACT, outputs(values))
    found = journal.find(Outputs, CELL)
    assert found.values.tobytes() == values.tobytes()
    assert (found.values.shape, found.values.dtype) == (values.shape, values.dtype)
    assert (found.batch, found.seconds, found.conditions) == (32, 0.5, CONDITIONS)


@UNHURRIED
@given(INT64, DELEGATIONS)
def test_timing_roundtrip_is_exact(folder: Path, samples: np.ndarray, delegation: Delegation | None):
    """With its delegation evidence, whatever a runtime put into its words."""
    journal = Journal(folder)
    timing = Timing(samples, samples * 0, samples[:1], samples[:1], 5, 99.5, delegation, 1.25, CONDITIONS)
    journal.save(CELL, "identity", ARTIFACT, timing)
    found = journal.find(Timing, CELL)
    np.testing.assert_array_equal(found.samples_ns, samples, strict=True)
    assert (found.delegation, found.conditions, found.window_seconds) == (delegation, CONDITIONS, 1.25)


def test_only_the_same_identity_is_found(tmp_path: Path):
    """A measurement of another artifact, dataset or backend does not stand for this one."""
    journal = Journal(tmp_path)
    assert journal.find(Outputs, CELL) is None
    journal.save(CELL, "one", ARTIFACT, outputs())
    assert journal.find(Outputs, CELL, "another") is None
    assert journal.find(Outputs, CELL, "one") is not None
    assert journal.find(Timing, CELL) is None
    assert journal.cells() == [CELL]
    assert journal.provenance(CELL) == Provenance("ort_dynamic", "nchw", "abc", size_bytes=1, gzip_bytes=1)


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_truncated_file_is_a_store_error(tmp_path: Path, kept: float):
    """The error names the file and what to do."""
    path = file_of(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(StoreError, match="not a readable measurement") as caught:
        Journal(tmp_path).find(Outputs, CELL)
    assert str(path) in str(caught.value)
    assert "delete it" in caught.value.hint


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_damaged_file_is_read_right_or_refused(folder: Path, data: st.DataObject):
    """One changed byte never gives other numbers, and never another exception."""
    path = file_of(folder)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(content))
    try:
        found = Journal(folder).find(Outputs, CELL)
    except StoreError:
        return
    finally:
        path.unlink()
    assert found is not None
    np.testing.assert_array_equal(found.values, outputs().values)


@pytest.mark.parametrize(
    ("facts", "said"),
    [({"version": 99}, "format version 99, this edgeworthy reads"), ({}, "not a readable"), ([], "not a readable")],
)
def test_foreign_file_is_a_store_error(tmp_path: Path, facts: object, said: str):
    """A newer format is called that; what is no measurement at all is not readable."""
    path = file_of(tmp_path)
    np.savez(path, facts=np.array(json.dumps(facts)))
    with pytest.raises(StoreError, match=said):
        Journal(tmp_path).find(Outputs, CELL)


def test_truth_roundtrip(tmp_path: Path):
    """A run can be judged again by what it was judged by."""
    truth = Truth(np.arange(3), np.eye(3, dtype=np.float32), "top5", "checksum")
    Journal(tmp_path).save_truth("cnn", truth)
    found = Journal(tmp_path).truth("cnn")
    np.testing.assert_array_equal(found.labels, truth.labels, strict=True)
    np.testing.assert_array_equal(found.reference, truth.reference, strict=True)
    assert (found.metric, found.dataset) == ("top5", "checksum")
    assert Journal(tmp_path).truth("other") is None


def test_pickles_are_never_loaded(tmp_path: Path):
    """An array of objects is refused, not unpickled."""
    path = file_of(tmp_path)
    np.savez(path, facts=np.array([{"a": 1}], dtype=object))
    with pytest.raises(StoreError, match="not a readable measurement"):
        Journal(tmp_path).find(Outputs, CELL)


def test_profile_is_that_of_its_artifact(tmp_path: Path) -> None:
    """A table of TFLite's own tool, row for row; another artifact has none, and a damaged file is named."""
    journal, cell = Journal(tmp_path), CellId("net", "int8", "phone:cpu")
    table = parse_profile((Path(__file__).parents[1] / "data" / "benchmark_model-2.14" / "op_profile.csv").read_text())
    journal.save_profile(cell, "a" * 64, table.to_csv(index=False))
    rows = table[["part", "node_type", "mean_ms", "percent"]].itertuples(index=False)
    assert journal.profile(cell, "a" * 64) == [OpTime(*row) for row in rows]
    assert journal.profile(cell, "b" * 64) == []
    [path] = journal.profiles.iterdir()
    path.write_text("part,node_type\ninference,CONV_2D\n")
    with pytest.raises(StoreError, match="not a readable profile") as caught:
        journal.profile(cell, "a" * 64)
    assert "delete it" in caught.value.hint
