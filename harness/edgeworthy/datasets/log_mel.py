"""Log-mel energies of a sound, as models of speech and of sounds take them.

Frames of ``window`` samples, one every ``hop``, the last one whole (nothing is padded); a periodic Hann window; the power
spectrum ``|FFT|^2``; triangular bands, linear in Hz, between edges that are evenly spaced on a mel scale; then
``ln(energy + log_offset)``. Two conventions of mel:

- ``htk``: 2595 log10(1 + f/700) (S. Young et al., The HTK Book, 2006, eq. 5.13), bands of height 1; torchaudio's default.
- ``slaney``: 3 f/200 up to 1000 Hz, and 15 + 27 ln(f/1000)/ln(6.4) above (M. Slaney, Auditory Toolbox, Interval Research
  TR 1998-010), bands of area 1 in Hz; librosa's default.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeworthy.errors import SourceError

Values = NDArray[np.float64]
#: Slaney's scale is linear up to this frequency, which is 15 mels there.
_KNEE_HZ, _KNEE_MELS = 1000.0, 15.0
_STEP = np.log(6.4) / 27


@dataclass(frozen=True)
class LogMel:
    """The keys of ``features``; lengths are in samples, frequencies in Hz."""

    sample_rate: int
    mels: int
    window: int
    hop: int
    fft: int
    low_hz: float
    high_hz: float
    scale: str
    log_offset: float

    def frames(self, samples: int) -> int:
        """How many whole frames so many samples have."""
        return max(0, 1 + (samples - self.window) // self.hop)

    def of(self, wave: Values) -> Values:
        """Log-mel energies (frames, mels) of a sound (time,)."""
        frames = np.lib.stride_tricks.sliding_window_view(wave, self.window)[:: self.hop]
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.window) / self.window)
        power = np.abs(np.fft.rfft(frames * hann, self.fft)) ** 2
        energies: Values = np.log(power @ self.bands() + self.log_offset)
        return energies

    def bands(self) -> Values:
        """The weight of each frequency of the FFT in each band, (fft // 2 + 1, mels).

        Raises SourceError where a band is so narrow that it has no frequency.
        """
        frequencies = np.arange(self.fft // 2 + 1) * self.sample_rate / self.fft
        edges = mel_edges(self.low_hz, self.high_hz, self.mels + 2, self.scale)
        left, middle, right = edges[:-2], edges[1:-1], edges[2:]
        rising = (frequencies[:, None] - left) / (middle - left)
        falling = (right - frequencies[:, None]) / (right - middle)
        bands: Values = np.clip(np.minimum(rising, falling), 0, None)
        empty = int((bands.sum(axis=0) == 0).sum())
        if empty:
            raise SourceError(
                f"features: {empty} of {self.mels} mel bands have no frequency of an FFT of {self.fft}",
                hint="ask for fewer 'mels', or a larger 'fft'",
            )
        return bands * 2 / (right - left) if self.scale == "slaney" else bands


def mel_edges(low_hz: float, high_hz: float, count: int, scale: str) -> Values:
    """Frequencies in Hz, (count,), that are evenly spaced on a mel scale from the lowest to the highest."""
    ends = _to_mel(np.array([low_hz, high_hz]), scale)
    return _to_hz(np.linspace(ends[0], ends[1], count), scale)


def _to_mel(hz: Values, scale: str) -> Values:
    if scale == "htk":
        return np.asarray(2595 * np.log10(1 + hz / 700))
    above = _KNEE_MELS + np.log(np.maximum(hz, _KNEE_HZ) / _KNEE_HZ) / _STEP
    return np.where(hz < _KNEE_HZ, hz * _KNEE_MELS / _KNEE_HZ, above)


def _to_hz(mels: Values, scale: str) -> Values:
    if scale == "htk":
        return np.asarray(700 * (10 ** (mels / 2595) - 1))
    above = _KNEE_HZ * np.exp(_STEP * (np.maximum(mels, _KNEE_MELS) - _KNEE_MELS))
    return np.where(mels < _KNEE_MELS, mels * _KNEE_HZ / _KNEE_MELS, above)
