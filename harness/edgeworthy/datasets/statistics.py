"""Statistics of a dataset's channels, and the likely cause where calibration and evaluation inputs have other ranges."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeworthy.datasets.samples import IMAGE_RANK, Samples
from edgeworthy.tensors import NamedInput, is_ragged

#: About so many bytes of samples are read at a time.
BLOCK_BYTES = 16_000_000
#: At most this many samples of each split are compared, spread evenly over it, since it may be sorted.
COMPARED = 512
#: Fewer samples say nothing about the order of channels, nor, below the second number, about ranges other than by FACTOR.
ENOUGH, FEW = 20, 10
#: The largest absolute values of few samples differ by more than this where the scale does.
FACTOR = 20.0
#: Typical extremes differ where they are apart by more than this share of the wider range.
APART = 0.25
#: A transformation explains a difference where it leaves at most this share of the evaluation range.
EXPLAINED = 0.1
#: Channel means this many standard errors apart are different, and fewer than so many are alike.
DIFFERENT, ALIKE = 10.0, 4.0

Values = NDArray[np.float64]
_MEAN, _STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
#: What may have been done to one split and not to the other: what makes calibration values evaluation values.
CAUSES: dict[str, Callable[[Values], Values]] = {
    "multiplied by 255": lambda x: x * 255,
    "divided by 255": lambda x: x / 255,
    "moved from [0, 1] to [-1, 1]": lambda x: 2 * x - 1,
    "moved from [-1, 1] to [0, 1]": lambda x: (x + 1) / 2,
    "moved from [0, 255] to [-1, 1]": lambda x: x / 127.5 - 1,
    "moved from [-1, 1] to [0, 255]": lambda x: (x + 1) * 127.5,
}
#: The same for three channels.
COLOUR_CAUSES: dict[str, Callable[[Values], Values]] = {
    "normalized by ImageNet's mean and standard deviation": lambda x: (x - _MEAN) / _STD,
    "divided by 255 and normalized by ImageNet's mean and standard deviation": lambda x: (x / 255 - _MEAN) / _STD,
    "freed of ImageNet's mean and standard deviation": lambda x: x * _STD + _MEAN,
    "freed of ImageNet's mean and standard deviation and multiplied by 255": lambda x: (x * _STD + _MEAN) * 255,
}


@dataclass(frozen=True)
class ChannelStatistics:
    """Over all samples, per channel of images, of other samples over all their values alike.

    ``error`` is the standard error of the mean between samples; ``lows`` and ``highs`` (samples, channels) are the extremes
    of each sample.
    """

    count: int
    mean: Values
    std: Values
    low: Values
    high: Values
    error: Values
    lows: Values
    highs: Values

    @property
    def typical(self) -> tuple[Values, Values]:
        """The range of a typical sample: the median of the extremes of each channel."""
        return np.median(self.lows, axis=0), np.median(self.highs, axis=0)

    @property
    def width(self) -> Values:
        """The width of the range of each channel, without the most extreme samples."""
        width: Values = np.quantile(self.highs, 0.9, axis=0) - np.quantile(self.lows, 0.1, axis=0)
        return width


def channel_statistics(samples: Samples, at_most: int | None = None) -> ChannelStatistics:
    """Statistics of the values that a model is given, of all samples or of ``at_most``, spread evenly over them."""
    chosen = np.unique(np.linspace(0, len(samples) - 1, min(len(samples), at_most or len(samples))).astype(np.int64))
    means, squares, lows, highs = [], [], [], []
    block = max(1, BLOCK_BYTES // max(1, samples.read(0, 1).nbytes))
    for start in range(0, len(chosen), block):
        rows = samples.take(chosen[start : start + block])
        for values in _of_sizes(rows, samples.inputs) if is_ragged(samples.inputs) else [_with_channels(rows)]:
            means.append(values.mean(axis=(1, 2), dtype=np.float64))
            squares.append(np.square(values, dtype=np.float64).mean(axis=(1, 2)))
            lows.append(values.min(axis=(1, 2)).astype(np.float64))
            highs.append(values.max(axis=(1, 2)).astype(np.float64))
    each = np.concatenate(means)
    mean = each.mean(axis=0)
    variance = np.concatenate(squares).mean(axis=0) - np.square(mean)
    all_lows, all_highs = np.concatenate(lows), np.concatenate(highs)
    return ChannelStatistics(
        count=len(chosen),
        mean=mean,
        std=np.sqrt(np.maximum(variance, 0.0)),
        low=all_lows.min(axis=0),
        high=all_highs.max(axis=0),
        error=each.std(axis=0) / np.sqrt(len(chosen)),
        lows=all_lows,
        highs=all_highs,
    )


def _with_channels(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Images as they are, (n, H, W, C); any other samples as (n, values, 1, 1), for their columns may be unlike."""
    return values if values.ndim == IMAGE_RANK else values.reshape(len(values), -1, 1, 1)


def _of_sizes(rows: NDArray[np.float32], inputs: Sequence[NamedInput]) -> Iterator[NDArray[np.float32]]:
    """Each sample (1, values, 1, channels) of inputs that differ in size: of an image its channels, of others the whole."""
    first = next(each for each in inputs if each.ragged)
    for row in rows:
        values = first.of(row[np.newaxis])
        yield values.reshape(1, -1, 1, values.shape[-1] if values.ndim == IMAGE_RANK else 1)


def mismatch_of(inputs: Mapping[str, Path], named: tuple[NamedInput, ...] = ()) -> str | None:
    """``mismatch`` of stored splits, .npy files by name; None where there is no calibration split.

    Of several inputs whose samples have different sizes the first such is looked at.
    """
    if "calibration" not in inputs or not inputs["calibration"].is_file():
        return None
    splits = (Samples(inputs[name], (), named) for name in ("calibration", "evaluation"))
    return mismatch(*(channel_statistics(samples, COMPARED) for samples in splits))


def mismatch(calibration: ChannelStatistics, evaluation: ChannelStatistics) -> str | None:
    """How the ranges of calibration and evaluation inputs differ, with the likely cause, in one sentence, or None.

    Ranges differ where the extremes of nearly all calibration samples lie apart from those of nearly all evaluation
    samples; samples of few classes, as the beginning of sorted data has, are not enough for that. Channels in reverse
    order (RGB for BGR) show in their means, unless these are alike, as gray images have them.
    """
    channel = _other_range(calibration, evaluation)
    if channel is not None:
        (low, high), (wanted_low, wanted_high) = calibration.typical, evaluation.typical
        return (
            "calibration inputs have another range than evaluation inputs: typical samples go from"
            f" {low[channel]:.4g} to {high[channel]:.4g} against {wanted_low[channel]:.4g} to {wanted_high[channel]:.4g}"
            f" in channel {channel}; {_cause(calibration, evaluation)}"
        )
    if (
        len(evaluation.mean) == 3
        and min(calibration.count, evaluation.count) >= ENOUGH
        and _reversed(calibration, evaluation)
    ):
        shown = " against ".join("/".join(f"{value:.3g}" for value in side.mean) for side in (calibration, evaluation))
        return f"calibration inputs have their channels in reverse order, RGB for BGR: channel means {shown}"
    return None


def _other_range(one: ChannelStatistics, other: ChannelStatistics) -> int | None:
    """The channel whose ranges differ most, or None."""
    if min(one.count, other.count) < FEW:
        largest = [np.maximum(np.abs(side.low), np.abs(side.high)) for side in (one, other)]
        with np.errstate(divide="ignore", invalid="ignore"):
            factors = np.nan_to_num(np.abs(np.log(largest[0] / largest[1])), posinf=0.0)
        return int(factors.argmax()) if factors.max() > np.log(FACTOR) else None
    gaps = np.maximum(_gap(one.lows, other.lows), _gap(one.highs, other.highs))
    shares = gaps / np.maximum(np.maximum(one.width, other.width), np.finfo(np.float64).tiny)
    return int(shares.argmax()) if shares.max() > APART else None


def _gap(one: Values, other: Values) -> Values:
    """How far nearly all values of one lie above, or below, nearly all of the other, for each channel."""
    lower, upper = ([np.quantile(side, share, axis=0) for side in (one, other)] for share in (0.1, 0.9))
    gap: Values = np.maximum(lower[0] - upper[1], lower[1] - upper[0])
    return gap


def _cause(calibration: ChannelStatistics, evaluation: ChannelStatistics) -> str:
    causes = {**CAUSES, **(COLOUR_CAUSES if len(evaluation.mean) == 3 else {})}
    wanted = np.stack(evaluation.typical)
    width = max(float((wanted[1] - wanted[0]).max()), np.finfo(np.float64).tiny)
    left = {text: float(np.abs(move(np.stack(calibration.typical)) - wanted).max()) for text, move in causes.items()}
    best = min(left, key=lambda text: left[text])
    if left[best] <= EXPLAINED * width:
        return f"they are alike once calibration inputs are {best}: one of the two is preprocessed once too often or too rarely"
    return "no common preprocessing explains it: other sensors, units, or classes that only one of the two has"


def _reversed(one: ChannelStatistics, other: ChannelStatistics) -> bool:
    error = np.maximum(np.hypot(one.error, other.error), 1e-12)
    straight = np.abs(one.mean - other.mean) / error
    backward = np.abs(one.mean[::-1] - other.mean) / np.maximum(np.hypot(one.error[::-1], other.error), 1e-12)
    return bool(straight.max() > DIFFERENT and backward.max() < ALIKE)
