"""Baseline files: what is written comes back, and what cannot be is refused with file, key and next step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeworthy.cells import CellId
from edgeworthy.errors import StoreError
from edgeworthy.verdicts import baselines
from edgeworthy.verdicts.baselines import BaselineFile, Baselines, parse, write
from edgeworthy.verdicts.packing import Packed, pack, unpack
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

INT32 = hnp.arrays(np.int32, st.integers(0, 300))
P50 = [95_000, 100_000, 105_000]
LOADS = [4_000_000, 5_000_000]


def stored_cell(**changes: Any) -> dict[str, Any]:
    """A consistent cell as plain data."""
    correct = np.array([1, 1, 1, 0])
    return {
        "accepted": {"run": "r1", "utc": "2026-01-01T00:00:00+00:00", "git_revision": "abc", "reason": "first"},
        "artifact": "a" * 64,
        "fingerprint": {"runtime": "litert 2.3.0"},
        "versions": {"numpy": "2.0"},
        "metrics": {"top1_percent": 75.0, "size_kb": 1.5, "gzip_kb": 1.0, "p50_ms": 0.1, "load_ms": 4.5},
        "p50_loads_ns": P50,
        "load_loads_ns": LOADS,
        "predictions": pack(np.array([3, -1, 2**31 - 1, 0])).model_dump(),
        "correct": pack(correct).model_dump(),
        **changes,
    }


def file_data(**changes: Any) -> dict[str, Any]:
    cells = {"int8": {"host:cpu": stored_cell()}}
    return {
        "version": 1, "model": "cnn", "metric": "top1", "dataset": "d" * 64, "labels": "e" * 64, "cells": cells, **changes
    }  # fmt: skip


def with_cell(**changes: Any) -> dict[str, Any]:
    return file_data(cells={"int8": {"host:cpu": stored_cell(**changes)}})


def with_metric(name: str, value: object) -> dict[str, Any]:
    return with_cell(metrics={**stored_cell()["metrics"], name: value})


@given(INT32)
def test_packing_roundtrip(values: np.ndarray):
    """Every int32, on one line."""
    packed = pack(values)
    np.testing.assert_array_equal(unpack(packed), values, strict=True)
    assert "\n" not in packed.data


@given(INT32, st.data())
def test_damaged_packing_is_refused(values: np.ndarray, data: st.DataObject):
    """A changed sign of the data, another count or another checksum never gives other numbers."""
    packed = pack(values)
    at = data.draw(st.integers(0, len(packed.data) - 1))
    sign = data.draw(st.sampled_from("ABCdef019+/=!"))
    edited = Packed(
        count=packed.count + data.draw(st.integers(0, 1)),
        sha256=packed.sha256,
        data=packed.data[:at] + sign + packed.data[at + 1 :],
    )
    try:
        found = unpack(edited)
    except ValueError:
        return
    np.testing.assert_array_equal(found, values)


def test_values_out_of_range_are_not_packed():
    """No number is cut silently; a bomb is not unpacked."""
    for values in (np.array([2**31]), np.array([0.5]), np.zeros((2, 2), int)):
        with pytest.raises(ValueError, match="32-bit"):
            pack(values)
    bomb = pack(np.zeros(10_000_000, np.int32)).model_copy(update={"count": 1})
    with pytest.raises(ValueError, match="not the 1 that"):
        unpack(bomb)


KEYS = st.sampled_from(["version", "model", "cells", "int8", "metrics", "x"])
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,9}", fullmatch=True)
CELLS = st.dictionaries(NAMES, st.builds("{}:{}".format, NAMES, NAMES), min_size=1, max_size=3)


@settings(deadline=None)
@given(CELLS, st.lists(st.integers(1, 10**12), min_size=1, max_size=9), hnp.arrays(np.int32, st.integers(1, 50)))
def test_baseline_roundtrip_is_stable(
    tmp_path_factory: pytest.TempPathFactory, cells: dict[str, str], loads: list[int], answers: np.ndarray
):
    """The snapshot has the numbers that were accepted; the bytes are the same each time."""
    folder = tmp_path_factory.mktemp("baselines")
    correct = (answers % 2).astype(np.int64)
    metrics = {
        "top1_percent": baselines.significant(100 * float(correct.mean())), "size_kb": 1.0, "gzip_kb": 1.0,
        "p50_ms": baselines.significant(float(np.median(loads)) / 1e6),
        "load_ms": baselines.significant(float(np.median(loads)) / 1e6),
    }  # fmt: skip
    cell = stored_cell(
        metrics=metrics, p50_loads_ns=loads, load_loads_ns=loads,
        predictions=pack(answers).model_dump(), correct=pack(correct).model_dump(),
    )  # fmt: skip
    file = BaselineFile.model_validate(file_data(cells={name: {target: cell} for name, target in cells.items()}))
    path = write(folder, file)
    first = path.read_bytes()
    found = Baselines.from_folder(folder)
    assert sorted(found.cells()) == sorted(CellId("cnn", name, target) for name, target in cells.items())
    snapshot = found.find(found.cells()[0])
    assert snapshot is not None
    assert snapshot.predictions is not None
    assert snapshot.predictions.tolist() == answers.tolist()
    assert snapshot.latency_loads_ns.tolist() == loads
    write(folder, found.files["cnn"])
    assert path.read_bytes() == first


def test_means_stay_means(tmp_path: Path):
    """Of a device whose tool tells means only, a file holds the loads' means, called that."""
    metrics = {"top1_percent": 75.0, "size_kb": 1.5, "gzip_kb": 1.0, "mean_ms": 0.11, "load_ms": 4.5}
    cell = {**stored_cell(metrics=metrics, mean_loads_ns=[90_000, 100_000, 140_000])}
    del cell["p50_loads_ns"]
    write(tmp_path, BaselineFile.model_validate(file_data(cells={"int8": {"phone:cpu": cell}})))
    snapshot = Baselines.from_folder(tmp_path).find(CellId("cnn", "int8", "phone:cpu"))
    assert snapshot is not None
    assert (snapshot.statistic, snapshot.latency_ms) == ("mean", 0.11)
    assert snapshot.latency_loads_ns.tolist() == [90_000, 100_000, 140_000]


def test_file_is_readable_as_a_diff(tmp_path: Path):
    """Sorted keys, one value a line, packed numbers on one line."""
    lines = write(tmp_path, BaselineFile.model_validate(file_data())).read_text().splitlines()
    assert sum('"data":' in line for line in lines) == 2
    assert any(line.strip() == '"p50_ms": 0.1,' for line in lines)
    text = "\n".join(lines)
    assert json.dumps(json.loads(text), indent=1, sort_keys=True) == text


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({**file_data(), "version": 2}, "version: format 2 is newer than this edgeworthy reads (1)"),
        ({**file_data(), "version": 0}, "version: "),
        ({**file_data(), "version": "1"}, "version: "),
        ({**file_data(), "extra": 1}, "unknown key 'extra'"),
        ({**file_data(), "model": "net"}, "model: is 'net'"),
        ({**file_data(), "dataset": "beef"}, "dataset: "),
        (file_data(cells={"../up": {"host:cpu": stored_cell()}}), "'../up' is not a name"),
        (file_data(cells={"int8": {"host": stored_cell()}}), "'host' is not a name"),
        (with_metric("top1_percent", 101.0), "cells.int8.host:cpu.metrics.top1_percent: "),
        (with_metric("top1_percent", 80.0), "top1_percent or top5_percent says 80.0, but the stored samples give 75"),
        (with_metric("p50_ms", 0.05), "p50_ms says 0.05, but the stored samples give 0.1"),
        (with_metric("load_ms", 4.0), "load_ms says 4.0"),
        (with_metric("size_kb", -1.0), "cells.int8.host:cpu.metrics.size_kb: "),
        (with_metric("size_kb", "small"), "cells.int8.host:cpu.metrics.size_kb: "),
        (with_metric("speed", 1.0), "unknown key 'speed'"),
        (with_cell(p50_loads_ns=None), "give either p50_loads_ns or mean_loads_ns"),
        (with_cell(mean_loads_ns=[1]), "give either p50_loads_ns or mean_loads_ns"),
        (with_cell(p50_loads_ns=[]), "cells.int8.host:cpu.p50_loads_ns: "),
        (with_cell(p50_loads_ns=[0, 1]), "cells.int8.host:cpu.p50_loads_ns.0: "),
        (with_cell(fingerprint={}), "cells.int8.host:cpu.fingerprint: "),
        (with_cell(correct=pack(np.array([1, 1, 1, 2])).model_dump()), "'correct' must say 0 or 1"),
        (with_cell(correct=pack(np.array([1, 0])).model_dump()), "'correct' must say 0 or 1"),
        (with_cell(predictions={"count": 4, "sha256": "0" * 64, "data": "AAAA"}), "packed numbers"),
        ([], "the file: "),
        ("text", "the file: "),
        (None, "the file: "),
    ],
)  # fmt: skip
def test_nonsense_is_a_store_error_with_file_and_key(data: object, said: str):
    """A newer schema, an unknown key, an impossible number, numbers that contradict each other."""
    with pytest.raises(StoreError) as caught:
        parse("results/baselines/cnn.json", json.dumps(data).encode())
    assert caught.value.message.startswith("results/baselines/cnn.json: ")
    assert said in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "not a baseline"),
        (b"\xff\xfe", "not a baseline"),
        (b"{" * 100_000, "not a baseline"),
        (b'{"version": 1, "version": 1}', "the key 'version' appears twice"),
        (json.dumps(file_data()).replace("0.1", "NaN", 1).encode(), "NaN is not a finite number"),
        (json.dumps(file_data()).replace("1.5", "1e999", 1).encode(), "metrics.size_kb"),
        (b"<<<<<<< HEAD\n{}", "not a baseline"),
    ],
)
def test_broken_json_is_a_store_error(text: bytes, said: str):
    """Truncated, merged badly, a key twice, numbers that JSON does not have."""
    with pytest.raises(StoreError, match=r"cnn\.json") as caught:
        parse("cnn.json", text)
    assert said in caught.value.message


@settings(deadline=None, max_examples=200)
@given(ANY_JSON)
def test_any_json_is_read_or_refused(data: object):
    """No text raises anything but StoreError."""
    with pytest.raises(StoreError):
        parse("cnn.json", json.dumps(data).encode())


def test_consistent_file_is_read():
    """The data that the tests above break is right as it is."""
    assert parse("x/cnn.json", json.dumps(file_data()).encode()).ids() == [CellId("cnn", "int8", "host:cpu")]
