"""Samples on disk: every reader gets the same bits, and nobody reads more than asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from harness.runners import python_runner
from harness.sources.samples import Samples

UNHURRIED = settings(deadline=None)

STEPS = st.sampled_from(
    [
        ((), ()),
        ((1 / 255, 1 / 255, 1 / 255), (0.0, 0.0, 0.0)),
        ((0.017124753, 0.017507, 0.017429193), (-2.117904, -2.0357, -1.8044)),
    ]
)
STORED = st.one_of(
    hnp.arrays(np.uint8, (5, 2, 3, 3)),
    hnp.arrays(np.float32, (5, 2, 3, 3), elements=st.floats(-1e6, 1e6, width=32)),
)


def runner_inputs(samples: Samples, layout: str = "nhwc") -> python_runner.Inputs:
    return python_runner.Inputs({"inputs": samples.to_json(), "layout": layout})


@UNHURRIED
@given(STORED, STEPS, st.integers(0, 5), st.integers(0, 5))
def test_runner_and_harness_read_the_same_bits(
    tmp_path_factory: pytest.TempPathFactory, stored: np.ndarray, step: tuple, start: int, stop: int
) -> None:
    """The runner feeds exactly what Samples.read gives: float32 of value * scale + offset, rounded twice."""
    path = tmp_path_factory.getbasetemp() / "samples.npy"
    np.save(path, stored)
    samples = Samples(path, *step)
    read = samples.read(start, stop)
    fed = runner_inputs(samples)[start:stop]
    assert read.dtype == fed.dtype == np.float32
    np.testing.assert_array_equal(read, fed)
    np.testing.assert_array_equal(runner_inputs(samples, "nchw")[start:stop], fed.transpose(0, 3, 1, 2))
    scale, offset = (np.array(part, np.float32) for part in step) if step[0] else (np.float32(1), np.float32(0))
    np.testing.assert_array_equal(read, stored[start:stop].astype(np.float32) * scale + offset)


def test_the_runner_gives_pages_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is read, no more than the limit stays mapped."""
    np.save(tmp_path / "x.npy", np.zeros((50, 4, 4, 1), np.uint8))
    monkeypatch.setattr(python_runner, "RESIDENT_BYTES", 100)
    inputs = runner_inputs(Samples(tmp_path / "x.npy"))
    for start in range(50):
        assert inputs[start : start + 1].shape == (1, 4, 4, 1)
        assert inputs.resident <= 100


def test_the_step_is_part_of_the_checksum(tmp_path: Path) -> None:
    """Other contents or another step are other samples; without a step the checksum is the file's."""
    np.save(tmp_path / "a.npy", np.zeros((2, 1, 1, 1), np.uint8))
    np.save(tmp_path / "b.npy", np.ones((2, 1, 1, 1), np.uint8))
    a, b = tmp_path / "a.npy", tmp_path / "b.npy"
    different = [
        Samples(a),
        Samples(b),
        Samples(a, (1.0,), (0.0,)),
        Samples(a, (1.0,), (0.5,)),
        Samples(a, (2.0,), (0.0,)),
    ]
    assert len({samples.checksum() for samples in different}) == len(different)
    assert len(Samples(a)) == 2
    assert Samples.from_json(Samples(a, (2.0,), (0.5,)).to_json()) == Samples(a, (2.0,), (0.5,))
