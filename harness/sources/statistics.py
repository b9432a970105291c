"""Statistics of a dataset's channels, and what they say where calibration and evaluation inputs do not match."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.sources.samples import Samples

#: Samples read at a time.
BLOCK = 256
#: Standard deviations that differ by more than this factor are of values that were scaled differently.
SCALED = 20.0
#: Fewer samples say nothing about the order of channels.
ENOUGH = 20
#: Channel means this many standard errors apart are different, and fewer than so many are alike.
DIFFERENT, ALIKE = 10.0, 4.0


@dataclass(frozen=True)
class ChannelStatistics:
    """Per channel over all samples: ``mean``, ``std``, extremes, and the standard error of the mean between samples."""

    count: int
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    error: NDArray[np.float64]


def channel_statistics(samples: Samples, stop: int | None = None) -> ChannelStatistics:
    """Statistics of the values that a model is given, of the first ``stop`` samples or all; reads a block at a time."""
    count = min(len(samples), stop or len(samples))
    means, squares, lows, highs = [], [], [], []
    for start in range(0, count, BLOCK):
        values = samples.read(start, min(start + BLOCK, count))
        means.append(values.mean(axis=(1, 2), dtype=np.float64))
        squares.append(np.square(values, dtype=np.float64).mean(axis=(1, 2)))
        lows.append(values.min(axis=(0, 1, 2)))
        highs.append(values.max(axis=(0, 1, 2)))
    each = np.concatenate(means)
    mean = each.mean(axis=0)
    variance = np.concatenate(squares).mean(axis=0) - np.square(mean)
    return ChannelStatistics(
        count=count,
        mean=mean,
        std=np.sqrt(np.maximum(variance, 0.0)),
        low=np.min(lows, axis=0).astype(np.float64),
        high=np.max(highs, axis=0).astype(np.float64),
        error=each.std(axis=0) / np.sqrt(count),
    )


def mismatch(calibration: ChannelStatistics, evaluation: ChannelStatistics) -> str | None:
    """What is wrong with calibration inputs beside the evaluation inputs, in one sentence, or None.

    Told are another scale (scaled twice, or not at all) and channels in reverse order (RGB for BGR). Channels that have
    the same means, as gray images have, look alike in any order.
    """
    ratio = float(calibration.std.mean() / evaluation.std.mean()) if evaluation.std.mean() > 0 else 1.0
    if ratio > SCALED or 0 < ratio < 1 / SCALED:
        return (
            f"calibration inputs are scaled otherwise than evaluation inputs: values from {calibration.low.min():.4g}"
            f" to {calibration.high.max():.4g} against {evaluation.low.min():.4g} to {evaluation.high.max():.4g}"
        )
    if (
        len(evaluation.mean) == 3
        and min(calibration.count, evaluation.count) >= ENOUGH
        and _reversed(calibration, evaluation)
    ):
        shown = " against ".join("/".join(f"{value:.3g}" for value in side.mean) for side in (calibration, evaluation))
        return f"calibration inputs have their channels in reverse order, RGB for BGR: channel means {shown}"
    return None


def _reversed(one: ChannelStatistics, other: ChannelStatistics) -> bool:
    error = np.maximum(np.hypot(one.error, other.error), 1e-12)
    straight = np.abs(one.mean - other.mean) / error
    backward = np.abs(one.mean[::-1] - other.mean) / np.maximum(np.hypot(one.error[::-1], other.error), 1e-12)
    return bool(straight.max() > DIFFERENT and backward.max() < ALIKE)
