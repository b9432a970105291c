"""Calibration inputs with another range than the evaluation inputs are found, with the cause; others are let through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from edgeworthy.dataset_schema import Dataset
from edgeworthy.datasets.prepared import prepare
from edgeworthy.datasets.samples import Samples
from edgeworthy.datasets.statistics import channel_statistics, mismatch
from edgeworthy.errors import SourceError
from edgeworthy.storage import Store
from hypothesis import given, settings
from hypothesis import strategies as st

UNHURRIED = settings(deadline=None, max_examples=60)
LEVEL = np.array([0.7, 0.5, 0.3])
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def images(count: int, seed: int = 0, channels: int = 3) -> np.ndarray:
    """RGB images in [0, 1] of unlike channel means, each of a brightness of its own; sorted by it."""
    random = np.random.default_rng(seed)
    brightness = np.sort(random.normal(0, 0.1, (count, 1, 1, 1)), axis=0)
    return np.clip(LEVEL[:channels] + brightness + random.normal(0, 0.15, (count, 8, 8, channels)), 0, 1)


def found(folder: Path, calibration: np.ndarray, evaluation: np.ndarray) -> str | None:
    """What is found of two arrays (N, H, W, C)."""
    for name, values in (("calibration", calibration), ("evaluation", evaluation)):
        np.save(folder / f"{name}.npy", values.astype(np.float32))
    return mismatch(*(channel_statistics(Samples(folder / f"{name}.npy")) for name in ("calibration", "evaluation")))


@pytest.mark.parametrize(
    ("cause", "made"),
    [
        ("divided by 255: one of the two", lambda x: x * 255),
        ("multiplied by 255", lambda x: x / 255),
        ("moved from [-1, 1] to [0, 1]", lambda x: 2 * x - 1),
        ("freed of ImageNet's mean and standard deviation:", lambda x: (x - MEAN) / STD),
        ("no common preprocessing explains it", lambda x: x * 3 + 2),
    ],
)
@pytest.mark.parametrize("count", [30, 200])
def test_the_cause_of_another_range_is_named(
    tmp_path: Path, cause: str, made: Callable[[np.ndarray], np.ndarray], count: int
) -> None:
    """Scaled once too often or too rarely, centred, normalized: the calibration inputs, or the evaluation inputs."""
    message = found(tmp_path, made(images(count, 1)), images(count))
    assert message is not None
    assert "another range than evaluation inputs: typical samples go from " in message
    assert cause in message
    assert found(tmp_path, images(count, 1), made(images(count))) is not None


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_samples_show_only_another_scale(tmp_path: Path, count: int) -> None:
    """A handful of calibration samples that are divided by 255 is found; one that is merely dark is not."""
    assert found(tmp_path, images(200)[:count] * 255, images(200, 1)) is not None
    assert found(tmp_path, images(200)[:count] / 255, images(200, 1)) is not None
    assert found(tmp_path, images(200)[:count] * 0.3, images(200, 1)) is None
    assert found(tmp_path, np.zeros((count, 8, 8, 3)), images(200, 1)) is None


@UNHURRIED
@given(st.integers(0, 10_000), st.integers(1, 120), st.sampled_from(["first", "last", "any"]), st.integers(1, 3))
def test_small_and_sorted_sets_raise_no_alarm(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int, which: str, channels: int
) -> None:
    """The darkest, the brightest or any of the same images, however few, are calibration samples."""
    everything = images(400, seed, channels)
    order = {"first": slice(None), "last": slice(None, None, -1)}.get(which)
    shuffled = everything[order] if order else np.random.default_rng(seed).permutation(everything)
    assert found(tmp_path_factory.getbasetemp(), shuffled[:count], shuffled[count:]) is None


@UNHURRIED
@given(st.integers(0, 10_000), st.integers(10, 60))
def test_a_class_alone_raises_no_alarm(tmp_path_factory: pytest.TempPathFactory, seed: int, count: int) -> None:
    """Signals whose amplitude depends on the class, sorted by it: the first class for calibration."""
    random = np.random.default_rng(seed)
    amplitude = np.repeat([0.6, 0.8, 1.0, 1.2], count)[:, None, None, None]
    signals = amplitude * random.normal(0, 1, (4 * count, 1, 50, 2))
    assert found(tmp_path_factory.getbasetemp(), signals[: count // 2], signals[count // 2 :]) is None


def test_swapped_channels_are_named(tmp_path: Path) -> None:
    """Calibration inputs in BGR beside evaluation inputs in RGB, where the channels' means tell them apart."""
    assert found(tmp_path, images(30, 1), images(60)) is None
    message = found(tmp_path, images(30, 1)[..., ::-1], images(60))
    assert message is not None
    assert "channels in reverse order, RGB for BGR: channel means 0.29" in message


def test_the_datasets_error_names_the_way_out(tmp_path: Path) -> None:
    """The dataset is prepared; what uses its calibration samples is refused, unless the model's entry allows it."""
    x = images(60).astype(np.float32)
    np.savez(tmp_path / "x.npz", evaluation_x=x, evaluation_y=np.arange(60) % 3, calibration_x=images(30, 1) * 255)
    prepared = prepare(Store(tmp_path / "store"), "mine", Dataset(kind="npz", path="x.npz"), tmp_path)
    with pytest.raises(SourceError, match="dataset 'mine': calibration inputs have another range") as caught:
        prepared.check_calibration()
    assert "expect_weak_reference: true" in caught.value.hint


def test_statistics_are_those_of_all_samples_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = images(50)
    np.save(tmp_path / "x.npy", values.astype(np.float32))
    monkeypatch.setattr("edgeworthy.datasets.statistics.BLOCK_BYTES", 5000)
    statistics = channel_statistics(Samples(tmp_path / "x.npy"))
    np.testing.assert_allclose(statistics.mean, values.mean(axis=(0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(statistics.std, values.std(axis=(0, 1, 2)), rtol=1e-4)
    assert channel_statistics(Samples(tmp_path / "x.npy"), 7).count == 7
