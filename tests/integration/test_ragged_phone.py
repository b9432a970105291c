"""A phone is given each sample in its own size, and each sequence in its own length: one process for each, or for each step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from edgeworthy.datasets.ragged import framed
from edgeworthy.datasets.samples import Samples
from edgeworthy.device_schema import RunnerBackend
from edgeworthy.errors import ArtifactUnusable, InputMismatch
from edgeworthy.records import Artifact
from edgeworthy.runtimes import RUNTIMES
from edgeworthy.targets.android.target import AndroidTarget
from edgeworthy.targets.base import Job, Side
from edgeworthy.targets.host import HostTarget
from edgeworthy.tensors import in_a_row, state

from tests import tflite_files
from tests.integration.test_android_target import PLAIN, PLAN, phone
from tests.local_link import LocalLink
from tests.unit.test_device_jobs import link

__all__ = ["link"]
WEIGHTS = np.random.default_rng(0).normal(size=(3, 3, 3, 2)).astype(np.float32)


@pytest.fixture
def target(link: LocalLink, tmp_path: Path) -> AndroidTarget:
    return phone(link, tmp_path, PLAIN)


@pytest.fixture
def reference() -> Iterator[HostTarget]:
    """This host, with the same kernels."""
    with closing(HostTarget("host", "reference", RunnerBackend(delegate=False))) as found:
        yield found


def ragged(folder: Path, name: str, arrays: list[np.ndarray]) -> Samples:
    """These arrays of different sizes as samples; the third one is timed."""
    whole, sizes = framed({f"evaluation_{name}": arrays})
    [values], [own] = whole.values(), sizes.values()
    inputs = in_a_row({name: values}, {name: tuple(np.flatnonzero(np.ptp(own, axis=0)).tolist())})
    shown = own[:, list(inputs[0].ragged)]
    np.save(folder / f"{name}.npy", np.concatenate([values.reshape(len(values), -1), shown], axis=1).astype(np.float32))
    return Samples(folder / f"{name}.npy", (), inputs, timed=2)


def images(count: int = 6) -> list[np.ndarray]:
    random = np.random.default_rng(1)
    return [random.normal(size=(*random.integers(4, 9, 2), 2)).astype(np.float32) for _ in range(count)]


def of_pixels(folder: Path, side: int | None = None) -> Job:
    """Images of different sizes for a model that leaves these open, or takes those of one ``side``."""
    path = tflite_files.pixels(folder / f"pixels-{side}.tflite", WEIGHTS, side)
    artifact = Artifact("abc", path, "fp32", RUNTIMES["litert"], "nhwc", path.stat().st_size, 1, inputs={"x": "image"})
    sizes = np.array([[*image.shape[:2], 3] for image in images()])
    return Job(artifact, ragged(folder, "x", images()), 60, sizes=sizes)


def test_each_image_is_run_in_its_own_size(target: AndroidTarget, reference: HostTarget, tmp_path: Path) -> None:
    """Bit by bit what the host gives for each; the sample of median size is timed, by two artifacts too."""
    asked = of_pixels(tmp_path)
    found, expected = target.outputs(asked), reference.outputs(asked)
    assert found.shapes == expected.shapes
    np.testing.assert_array_equal(found.sizes, expected.sizes)
    np.testing.assert_array_equal(found.values, expected.values)
    assert len({image.shape for image in images()}) > 4
    [told] = target.told  # type: ignore[attr-defined]
    assert "one process for each of 6 samples, about" in told
    assert len(target.timing(asked, PLAN).first_ns) == PLAN.loads
    side = Side(asked.artifact)
    assert target.interleaved(side, side, asked.inputs, rounds=2, timeout_s=60).medians_ns.shape == (2, 2)
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize("link", ["sh"], indirect=True)
def test_what_cannot_be_resized_is_one_sentence(target: AndroidTarget, reference: HostTarget, tmp_path: Path) -> None:
    """It names both shapes, as the host does; outputs of other sizes than the reference's are named too."""
    asked = of_pixels(tmp_path, side=8)
    with pytest.raises(
        InputMismatch, match=r"takes 8x8x2 \(nhwc\) as image, the dataset gives [?]x[?]x2: samples of diff"
    ):
        target.outputs(asked)
    with pytest.raises(InputMismatch, match="takes 8x8x2"):
        reference.outputs(asked)
    asked = of_pixels(tmp_path)
    with pytest.raises(InputMismatch, match=r"wrote \d+ bytes of outputs for a sample, by the reference's \d+x\d+x4"):
        target.outputs(replace(asked, sizes=asked.sizes + np.array([0, 0, 1])))


@pytest.mark.parametrize("link", ["sh"], indirect=True)
def test_a_sample_that_cannot_be_run_is_shown(target: AndroidTarget, tmp_path: Path) -> None:
    """By the shape that the tool was given."""
    asked = of_pixels(tmp_path)
    broken = tflite_files.pixels(tmp_path / "pixels-None.tflite", WEIGHTS[..., :1])  # kernels of one channel
    with pytest.raises(ArtifactUnusable, match=r"given inputs of .*\d,\d,2.*: benchmark_model cannot run it"):
        target.outputs(replace(asked, artifact=replace(asked.artifact, path=broken)))


def of_sequences(folder: Path) -> tuple[Job, list[np.ndarray]]:
    """Sequences of different lengths, and the sums that a state begun at 0.5 has after each of their steps."""
    path = tflite_files.summing(folder / "summing.tflite")
    names, back = {"seen": "x", "sum": "before"}, {"sum": "after"}
    artifact = Artifact(
        "abc", path, "fp32", RUNTIMES["litert"], "nhwc", path.stat().st_size, 1, "", ("twice",), names, back
    )
    random = np.random.default_rng(3)
    steps = [(random.integers(-8, 9, (length, 4)) / 8).astype(np.float32) for length in (2, 1, 3)]
    samples = ragged(folder, "seen", steps)
    inputs = (replace(samples.inputs[0], stepped=True), state("sum", "after", 0.5, ()))
    return Job(artifact, replace(samples, inputs=inputs), 60), [0.5 + np.cumsum(each, axis=0) for each in steps]


def test_each_sequence_is_run_in_its_own_length(target: AndroidTarget, reference: HostTarget, tmp_path: Path) -> None:
    """The host's outputs and numpy's at every real step; each begins with the initial state."""
    asked, sums = of_sequences(tmp_path)
    for where in (target, reference):
        found = where.outputs(asked)
        assert (found.batch, found.shapes) == (1, ((3, 4),))
        assert found.sizes is not None
        assert found.sizes.tolist() == [[len(each), 4] for each in sums]
        for values, each in zip(found.values.reshape(-1, 3, 4), sums, strict=True):
            np.testing.assert_array_equal(values[: len(each)], 2 * each)
            assert not values[len(each) :].any()
    told = target.told[0]  # type: ignore[attr-defined]
    assert f"one process for each of {sum(map(len, sums))} steps, about" in told
    for where in (target, reference):
        assert len(where.timing(asked, PLAN).first_ns) == PLAN.loads


@pytest.mark.parametrize("link", ["sh"], indirect=True)
def test_files_of_many_samples_are_cut_where_a_sequence_ends(
    target: AndroidTarget, reference: HostTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However little goes into one, every sample and every sequence is in one of them, whole."""
    for name in ("shards", "ragged"):
        monkeypatch.setattr(f"edgeworthy.targets.android.{name}.SHARD_BYTES", 1)
    asked, sums = of_sequences(tmp_path)
    last = target.outputs(replace(asked, inputs=replace(asked.inputs, last=True)))
    assert last.sizes is None
    np.testing.assert_array_equal(last.values, [2 * each[-1] for each in sums])
    asked = of_pixels(tmp_path)
    np.testing.assert_array_equal(target.outputs(asked).values, reference.outputs(asked).values)
