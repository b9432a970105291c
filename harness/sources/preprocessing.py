"""Preprocessing: what is done to an image's pixels before they are stored, and to their values when they are read.

Geometry (resize, centre crop, order of channels) is done by Pillow on whole numbers and stored as uint8. Scale, mean
and standard deviation are one ``value * scale + offset`` per channel, which needs no copy of the images.
"""

from __future__ import annotations

from harness.dataset_schema import Preprocessing
from harness.errors import SourceError
from harness.sources.pixels import Geometry, Size

Step = tuple[tuple[float, ...], tuple[float, ...]]


def geometry(how: Preprocessing | None) -> Geometry:
    """The part of preprocessing that shapes the stored pixels."""
    how = how or Preprocessing()
    return Geometry(how.resize, how.interpolation, how.center_crop, how.channels)


def value_step(how: Preprocessing | None, channels: int) -> Step:
    """``scale`` and ``offset`` per channel such that value * scale + offset is (value * scale - mean) / std.

    Both are empty where nothing is to be done. Raises SourceError where mean or std are not one per channel, or one.
    """
    if how is None or (how.scale == 1 and not how.mean and not how.std):
        return (), ()
    mean, std = (_per_channel(name, values, channels) for name, values in (("mean", how.mean), ("std", how.std)))
    mean, std = mean or [0.0] * channels, std or [1.0] * channels
    return (
        tuple(how.scale / spread for spread in std),
        tuple(-middle / spread for middle, spread in zip(mean, std, strict=True)),
    )


def _per_channel(name: str, values: list[float], channels: int) -> list[float]:
    if len(values) in (0, channels):
        return values
    if len(values) == 1:
        return values * channels
    raise SourceError(
        f"preprocessing.{name} has {len(values)} numbers, the samples have {channels} channels",
        next_step="give one number for each channel, or one for all",
    )


def check_values(how: Preprocessing | None, low: float, high: float) -> None:
    """Refuse to scale twice, or not at all: ``low`` and ``high`` are the extremes of the stored evaluation samples.

    Raises SourceError.
    """
    if how is None:
        return
    if how.scale <= 1 / 50 and high <= 1.0:
        raise SourceError(
            f"evaluation samples are scaled already (values from {low:.3g} to {high:.3g}),"
            f" and preprocessing scales them again by {how.scale:.4g}",
            next_step="take 'scale' out of preprocessing, or give the values as they were before they were scaled",
        )
    if how.scale == 1 and how.std and max(how.std) <= 1 and max(map(abs, how.mean), default=0.0) <= 1 and high > 50:
        raise SourceError(
            f"preprocessing's mean and std are for values from 0 to 1, evaluation samples have values up to {high:.4g}",
            next_step="add 'scale: 1/255' to preprocessing",
        )


def described(how: Preprocessing | None) -> str:
    """In one line, for reports: ``resize 256 bilinear, center_crop 224, rgb, scale 0.003922, mean ..., std ...``."""
    if how is None:
        return "values as they are"
    parts = [f"preset {how.preset}:"] if how.preset else []
    steps = [f"resize {_shown(how.resize)} {how.interpolation}"] if how.resize else []
    steps += [f"center_crop {_shown(how.center_crop)}"] if how.center_crop else []
    steps += [how.channels]
    steps += [f"scale {how.scale:.6g}"] if how.scale != 1 else []
    steps += [
        f"{name} {'/'.join(f'{value:g}' for value in values)}"
        for name, values in (("mean", how.mean), ("std", how.std))
        if values
    ]
    return " ".join([*parts, ", ".join(steps)])


def _shown(size: Size) -> str:
    return str(size) if isinstance(size, int) else f"{size[0]}x{size[1]}"
