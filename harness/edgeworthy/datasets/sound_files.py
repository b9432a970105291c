"""Sounds as files have them, read by soundfile and resampled by soxr."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.errors import SourceError
from edgeworthy.readers import reading

#: The suffixes, in lower case, of files that are read as sounds.
SUFFIXES = frozenset({".wav", ".flac"})
Wave = NDArray[np.float64]


@functools.cache
def packages() -> tuple[Any, Any]:
    """``soundfile`` and ``soxr``. Raises SourceError where one of them is not installed."""
    try:
        import soundfile
        import soxr
    except (ImportError, OSError) as error:  # OSError: the system has no libsndfile, and the wheel brings none
        raise SourceError(
            f"sounds are read by soundfile and soxr, which are not installed ({error})",
            hint="pip install 'edgeworthy[audio]'",
        ) from error
    return soundfile, soxr


def read_wave(path: Path, sample_rate: int) -> Wave:
    """The sound in one channel, the mean of the file's, at ``sample_rate`` Hz: (time,), from -1 to 1.

    Raises SourceError where the file cannot be read, or holds no samples, NaN or infinity.
    """
    soundfile, soxr = packages()
    with reading(path, "sound", "replace this file, or leave it out of the dataset"):
        channels, rate = soundfile.read(path, dtype="float64", always_2d=True)
    if not len(channels):
        raise SourceError(f"{path}: has no samples", hint="replace this file, or leave it out of the dataset")
    if not np.isfinite(channels).all():
        raise SourceError(f"{path}: holds NaN or infinity", hint="save the sound again")
    wave: Wave = channels.mean(axis=1)
    return wave if rate == sample_rate else soxr.resample(wave, rate, sample_rate)
