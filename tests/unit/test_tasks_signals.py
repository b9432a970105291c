"""Images against scikit-image, and sound against torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
from edgeworthy.errors import SourceError
from edgeworthy.tasks.audio import MOST_DB, Audio
from edgeworthy.tasks.images import Images, peak
from skimage.metrics import structural_similarity

from tests.task_values import check_against, check_nan, fitted, value

SEEDS = range(3)


def images(seed: int, channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets = rng.random((5, 12, 14, channels)).astype(np.float32)
    return np.clip(targets + rng.normal(0, 0.1, targets.shape), 0, 1).astype(np.float32), targets


def ssim(outputs: np.ndarray, targets: np.ndarray, data_range: float) -> float:
    """The mean over channels and samples, each by itself, with the settings of Wang et al. (2004)."""
    found = [
        structural_similarity(
            one[..., channel].astype(np.float64), two[..., channel].astype(np.float64), data_range=data_range,
            gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        )
        for one, two in zip(targets, outputs, strict=True)
        for channel in range(one.shape[-1])
    ]  # fmt: skip
    return float(np.mean(found))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_is_scikit_images(seed: int, channels: int) -> None:
    """Channels last and first, and without any."""
    outputs, targets = images(seed, channels)
    task = fitted(Images(), outputs, targets)
    check_against(lambda *each: ssim(*each, 1.0), task, "ssim", outputs, targets, seed)
    expected = value(task, "ssim", outputs, targets)
    first = np.moveaxis(outputs, -1, 1)
    assert value(fitted(Images(), first, targets), "ssim", first, targets) == pytest.approx(expected, abs=1e-12)
    check_nan(task, outputs, targets, seed)
    if channels == 1:
        flat = outputs[..., 0]
        assert value(fitted(Images(), flat, targets), "ssim", flat, targets) == pytest.approx(expected, abs=1e-12)
        only = fitted(Images(), outputs, targets[..., 0])
        assert value(only, "ssim", outputs, targets[..., 0]) == pytest.approx(expected, abs=1e-12)


def test_ssim_is_the_same_in_255_steps() -> None:
    outputs, targets = images(0)
    whole = np.round(255 * targets).astype(np.uint8)
    task = fitted(Images(), 255 * outputs, whole)
    assert value(task, "ssim", 255 * outputs, whole) == pytest.approx(ssim(255 * outputs, whole, 255.0), abs=1e-9)


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0, 0.7, 1), (0, 1, 1), (0, 200, 255), (-1, 1, 2), (0, 4095, 4095)]
)
def test_the_range_is_that_of_the_targets_kind(low: float, high: float, expected: float) -> None:
    assert peak(np.array([low, high])) == expected


def test_images_that_do_not_fit_are_refused() -> None:
    outputs, targets = images(0)
    with pytest.raises(SourceError, match=r"does not fit targets of 24 x 28") as refused:
        fitted(Images(), outputs, np.zeros((5, 24, 28, 3)))
    assert refused.value.hint == "give targets of the output's size, 12 x 14"
    with pytest.raises(SourceError, match="a sample's target"):
        fitted(Images(), outputs, targets[..., :1])
    with pytest.raises(SourceError, match="smaller than SSIM's window of 11 pixels"):
        fitted(Images(), outputs[:, :10], targets[:, :10])
    with pytest.raises(SourceError, match="all pixels of the targets are 0"):
        fitted(Images(), outputs, 0 * targets)
    with pytest.raises(SourceError, match="give images"):
        fitted(Images(), outputs, targets[0, 0])


def sounds(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets = rng.normal(0.3, 1, (6, 2, 200)).astype(np.float32)
    return (0.7 * targets + rng.normal(0.1, 0.3, targets.shape)).astype(np.float32), targets


def si_sdr(outputs: np.ndarray, targets: np.ndarray) -> float:
    """As torchmetrics has it, channel by channel: the error beside the part of the output that is the target, scaled."""
    ratios = []
    for given, wanted in zip(
        outputs.reshape(-1, 200).astype(float), targets.reshape(-1, 200).astype(float), strict=True
    ):
        given, wanted = given - given.mean(), wanted - wanted.mean()
        part = given @ wanted / (wanted @ wanted) * wanted
        ratios.append(10 * np.log10((part @ part) / ((given - part) @ (given - part))))
    return float(np.mean(ratios))


@pytest.mark.parametrize("seed", SEEDS)
def test_si_sdr_is_that_of_its_definition(seed: int) -> None:
    outputs, targets = sounds(seed)
    task = fitted(Audio(), outputs, targets)
    check_against(si_sdr, task, "si_sdr", outputs, targets, seed)
    check_nan(task, outputs, targets, seed)
    louder = 3 * outputs + 5
    assert value(task, "si_sdr", louder, targets) == pytest.approx(value(task, "si_sdr", outputs, targets), abs=1e-4)


def test_si_sdr_is_torchmetrics() -> None:
    """The number is that of torchmetrics 1.9, ScaleInvariantSignalDistortionRatio(zero_mean=True): it needs torch to run."""
    outputs, targets = np.array([[2.5, 0, 2, 8]], np.float32), np.array([[3, -0.5, 2, 7]], np.float32)
    assert value(Audio(), "si_sdr", outputs, targets) == pytest.approx(15.091756165757422, abs=1e-9)


def test_si_sdr_is_bounded_and_silence_is_the_worst() -> None:
    outputs, targets = sounds(0)
    assert value(Audio(), "si_sdr", targets, targets) == MOST_DB
    assert value(Audio(), "si_sdr", 0 * outputs + 1, targets) == -MOST_DB


def test_sounds_agree_within_30_db() -> None:
    outputs, _ = sounds(0)
    noise = np.random.default_rng(1).normal(0, 1, outputs.shape).astype(np.float32)
    assert Audio().agree(outputs, outputs + 0.01 * noise).all()
    assert not Audio().agree(outputs, outputs + 0.1 * noise).any()


def test_sounds_that_do_not_fit_are_refused() -> None:
    outputs, targets = sounds(0)
    quiet = targets.copy()
    quiet[3, 1] = 0.25
    with pytest.raises(
        SourceError, match="1 targets are silent or have a silent channel, the first is that of sample 3"
    ):
        fitted(Audio(), outputs, quiet)
    with pytest.raises(SourceError, match="a sample's target"):
        fitted(Audio(), outputs.transpose(0, 2, 1), targets)
    with pytest.raises(SourceError, match="the targets have shape"):
        fitted(Audio(), outputs, targets[0, 0])
