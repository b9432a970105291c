"""Preprocessing: what is done to an image's pixels before they are stored, and to their values when they are read.

Geometry (resize, centre crop, letterbox, order of channels) is done by Pillow on whole numbers and stored as uint8. Scale, mean
and standard deviation are steps in float32, done whenever samples are read, so that no copy of the images is needed.
"""

from __future__ import annotations

import numpy as np

from edgeworthy.dataset_schema import Preprocessing
from edgeworthy.datasets.geometry import Geometry, Letterbox, Size
from edgeworthy.datasets.samples import Step
from edgeworthy.errors import SourceError


def geometry(how: Preprocessing | None) -> Geometry:
    """The part of preprocessing that shapes the stored pixels."""
    how = how or Preprocessing()
    return Geometry(
        how.resize,
        how.interpolation,
        how.center_crop,
        how.channels,
        how.alpha,
        how.exif_orientation,
        Letterbox(**how.letterbox.model_dump()) if how.letterbox else None,
    )


def value_steps(how: Preprocessing | None, channels: int) -> tuple[Step, ...]:
    """The steps of (value * scale - mean) / std for each channel; none where nothing is to be done.

    A scale such as 1/255 is a division by 255, as torchvision and Keras compute it: multiplying by the reciprocal gives
    other last bits. Raises SourceError where mean or std are not one per channel, or one.
    """
    if how is None:
        return ()
    steps = [] if how.scale == 1 else [_scaling(how.scale, channels)]
    for name, operation, values in (("mean", "subtract", how.mean), ("std", "divide", how.std)):
        if values:
            steps.append((operation, _per_channel(name, values, channels)))
    return tuple(steps)


def _scaling(scale: float, channels: int) -> Step:
    """Divide where ``scale`` is the reciprocal of a float32 number, else multiply."""
    divisor = float(np.float32(1 / scale))
    return ("divide", (divisor,) * channels) if 1 / divisor == scale else ("multiply", (scale,) * channels)


def _per_channel(name: str, values: list[float], channels: int) -> tuple[float, ...]:
    if len(values) == channels:
        return tuple(values)
    if len(values) == 1:
        return tuple(values * channels)
    raise SourceError(
        f"preprocessing.{name} has {len(values)} numbers, the samples have {channels} channels",
        hint="give one number for each channel, or one for all",
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
            hint="remove 'scale' from preprocessing, or give the values before scaling",
        )
    if how.scale == 1 and how.std and max(how.std) <= 1 and max(map(abs, how.mean), default=0.0) <= 1 and high > 50:
        raise SourceError(
            f"preprocessing's mean and std are for values from 0 to 1, evaluation samples have values up to {high:.4g}",
            hint="add 'scale: 1/255' to preprocessing",
        )


def described(how: Preprocessing | None) -> str:
    """In one line, for reports: ``resize 256 bilinear, center_crop 224, rgb, scale 0.003922, mean ..., std ...``."""
    if how is None:
        return "values as they are"
    letterbox = geometry(how).letterbox
    parts = [f"preset {how.preset}:"] if how.preset else []
    steps = [f"resize {_shown(how.resize)} {how.interpolation}"] if how.resize else []
    steps += [f"center_crop {_shown(how.center_crop)}"] if how.center_crop else []
    steps += [_letterboxed(letterbox, how.interpolation)] if letterbox else []
    steps += [how.channels]
    steps += ["EXIF orientation applied"] if how.exif_orientation else []
    steps += [f"alpha over {how.alpha}"] if how.alpha != "drop" else []
    steps += [f"scale {how.scale:.6g}"] if how.scale != 1 else []
    steps += [
        f"{name} {'/'.join(f'{value:g}' for value in values)}"
        for name, values in (("mean", how.mean), ("std", how.std))
        if values
    ]
    return " ".join([*parts, ", ".join(steps)])


def _letterboxed(letterbox: Letterbox, interpolation: str) -> str:
    corner = " top left" if letterbox.align == "top_left" else ""
    return f"letterbox {_shown(letterbox.size)}{corner} {interpolation}, padded with {letterbox.color}"


def _shown(size: Size) -> str:
    return str(size) if isinstance(size, int) else f"{size[0]}x{size[1]}"
