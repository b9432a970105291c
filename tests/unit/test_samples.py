"""Samples on disk: every reader gets the same bits, and nobody reads more than asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edgeworthy.datasets.samples import Samples, in_layout
from edgeworthy.runners.python_runner import inputs as runner
from edgeworthy.tensors import constant, in_a_row
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

UNHURRIED = settings(deadline=None)

STEPS = st.sampled_from(
    [
        (),
        (("divide", (255.0,) * 3),),
        (("multiply", (0.017124753,) * 3), ("subtract", (0.485, 0.456, 0.406)), ("divide", (0.229, 0.224, 0.225))),
    ]
)
STORED = st.one_of(
    hnp.arrays(np.uint8, (5, 2, 3, 3)),
    hnp.arrays(np.int16, (5, 2, 3, 3)),
    hnp.arrays(np.float32, (5, 2, 3, 3), elements=st.floats(-1e6, 1e6, width=32)),
)


def runner_inputs(samples: Samples, layout: str = "nhwc") -> runner.Inputs:
    return runner.Inputs({"inputs": samples.to_json(), "layout": layout})


@UNHURRIED
@given(STORED, STEPS, st.integers(0, 5), st.integers(0, 5))
def test_runner_and_harness_read_the_same_bits(
    tmp_path_factory: pytest.TempPathFactory, stored: np.ndarray, steps: tuple, start: int, stop: int
) -> None:
    """The runner feeds what Samples.read gives: each step in float32, one after the other; integers as they are stored."""
    path = tmp_path_factory.getbasetemp() / "samples.npy"
    np.save(path, stored)
    samples = Samples(path, steps)
    read = samples.read(start, stop)
    (fed,) = runner_inputs(samples)[start:stop]
    assert read.dtype == np.float32
    assert fed.dtype == (np.float32 if steps else stored.dtype)
    np.testing.assert_array_equal(read, fed)
    np.testing.assert_array_equal(runner_inputs(samples, "nchw")[start:stop][0], fed.transpose(0, 3, 1, 2))
    wanted = stored[start:stop].astype(np.float32)
    for operation, operand in steps:
        wanted = getattr(np, operation)(wanted, np.array(operand, np.float32))
    np.testing.assert_array_equal(read, wanted)


@UNHURRIED
@given(st.lists(hnp.array_shapes(min_dims=0, max_dims=3, max_side=3), min_size=1, max_size=4), st.integers(0, 4))
def test_runner_and_harness_take_rows_apart_alike(
    tmp_path_factory: pytest.TempPathFactory, shapes: list[tuple[int, ...]], stop: int
) -> None:
    """Each of several inputs is what went into the row, images in the artifact's layout; a number is that for all samples."""
    random = np.random.default_rng(0)
    arrays = {
        f"input {place}": random.normal(size=(4, *shape)).astype(np.float32) for place, shape in enumerate(shapes)
    }
    path = tmp_path_factory.getbasetemp() / "rows.npy"
    np.save(path, np.concatenate([values.reshape(4, -1) for values in arrays.values()], axis=1))
    samples = Samples(path, (), (*in_a_row(arrays)[::-1], constant("rate", 16000)))
    rows = samples.read(0, stop)
    *fed, rate = runner_inputs(samples, "nchw")[:stop]
    assert rate == 16000
    for named, values in zip(samples.inputs, fed, strict=False):
        np.testing.assert_array_equal(named.of(rows), arrays[named.name][:stop])
        np.testing.assert_array_equal(values, in_layout(arrays[named.name][:stop], "nchw"))
    assert Samples.from_json(samples.to_json()) == samples


def test_the_runner_gives_pages_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is read, no more than the limit stays mapped."""
    np.save(tmp_path / "x.npy", np.zeros((50, 4, 4, 1), np.uint8))
    monkeypatch.setattr(runner, "RESIDENT_BYTES", 100)
    inputs = runner_inputs(Samples(tmp_path / "x.npy"))
    for start in range(50):
        assert inputs[start : start + 1][0].shape == (1, 4, 4, 1)
        assert inputs.resident <= 100


def test_the_steps_are_part_of_the_checksum(tmp_path: Path) -> None:
    """Other contents or other steps are other samples; without steps the checksum is the file's."""
    np.save(tmp_path / "a.npy", np.zeros((2, 1, 1, 1), np.uint8))
    np.save(tmp_path / "b.npy", np.ones((2, 1, 1, 1), np.uint8))
    a, b = tmp_path / "a.npy", tmp_path / "b.npy"
    different = [
        Samples(a),
        Samples(b),
        Samples(a, (("divide", (1.0,)),)),
        Samples(a, (("divide", (1.0,)), ("subtract", (0.5,)))),
        Samples(a, (("divide", (2.0,)),)),
    ]
    assert len({samples.checksum() for samples in different}) == len(different)
    assert len(Samples(a)) == 2
    assert Samples.from_json(different[3].to_json()) == different[3]
