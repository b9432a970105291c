"""Log-mel energies are those of the formulas that are given."""

from __future__ import annotations

import numpy as np
import pytest
from edgeworthy.datasets.log_mel import LogMel, mel_edges
from edgeworthy.errors import SourceError
from scipy import signal

#: Frequencies of 40 mels from 0 to 11025 Hz, as librosa's documentation of mel_frequencies prints them.
LIBROSA = [
    0.0, 85.317, 170.635, 255.952, 341.269, 426.586, 511.904, 597.221, 682.538, 767.855, 853.173, 938.49, 1024.856,
    1119.114, 1222.042, 1334.436, 1457.167, 1591.187, 1737.532, 1897.337, 2071.84, 2262.393, 2470.47, 2697.686, 2945.799,
    3216.731, 3512.582, 3835.643, 4188.417, 4573.636, 4994.285, 5453.621, 5955.205, 6502.92, 7101.009, 7754.107, 8467.272,
    9246.028, 10096.408, 11025.0,
]  # fmt: skip


def features(**changes: object) -> LogMel:
    given = {
        "sample_rate": 16000, "mels": 40, "window": 400, "hop": 160, "fft": 512, "low_hz": 20.0, "high_hz": 7600.0,
        "scale": "htk", "log_offset": 1e-6,
    }  # fmt: skip
    return LogMel(**{**given, **changes})


def test_slaneys_scale_is_librosas() -> None:
    np.testing.assert_allclose(mel_edges(0, 11025, 40, "slaney"), LIBROSA, atol=5e-4)


def test_htks_scale_has_1000_mels_at_1000_hz() -> None:
    """2595 log10(1 + f/700): evenly spaced in mels, and 1000 Hz is 999.99 mel."""
    points = mel_edges(0, 8000, 50, "htk")
    steps = np.diff(1127.0104803 * np.log1p(points / 700))  # the natural logarithm's form of it
    np.testing.assert_allclose(steps, steps[0], rtol=1e-8)
    assert mel_edges(0, 1000, 11, "htk")[1] == pytest.approx(700 * (10 ** (99.9985537 / 2595) - 1), rel=1e-7)


@pytest.mark.parametrize("scale", ["htk", "slaney"])
@pytest.mark.parametrize(("window", "hop", "fft"), [(400, 160, 512), (400, 160, 400), (511, 100, 1024)])
def test_energies_are_those_of_scipys_spectra_in_bands(scale: str, window: int, hop: int, fft: int) -> None:
    """Spectra by scipy's ShortTimeFFT, band by band and frequency by frequency."""
    how = features(scale=scale, window=window, hop=hop, fft=fft, mels=20)
    wave = np.random.default_rng(0).normal(0, 0.1, 16000)
    spectra = signal.ShortTimeFFT(signal.windows.hann(window, sym=False), hop, 16000, mfft=fft, phase_shift=None)
    frames = how.frames(len(wave))
    middle = window // 2
    power = np.array(
        [
            np.abs(spectra.stft_detrend(wave, None, p0=0, p1=1, k_offset=middle + hop * frame)[:, 0]) ** 2
            for frame in range(frames)
        ]
    )
    edges = mel_edges(20, 7600, 22, scale)
    wanted = np.zeros((frames, 20))
    for band, (left, peak, right) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        for number in range(fft // 2 + 1):
            hz = number * 16000 / fft
            weight = (hz - left) / (peak - left) if hz <= peak else (right - hz) / (right - peak)
            height = 2 / (right - left) if scale == "slaney" else 1.0
            wanted[:, band] += max(0.0, weight) * height * power[:, number]
    energies = how.of(wave)
    assert energies.shape == (frames, 20)
    np.testing.assert_allclose(energies, np.log(wanted + 1e-6), rtol=1e-9, atol=1e-9)


def test_a_tone_is_loudest_in_the_band_of_its_frequency() -> None:
    how = features()
    middles = mel_edges(20, 7600, 42, "htk")[1:-1]
    tone = np.sin(2 * np.pi * middles[25] * np.arange(16000) / 16000)
    assert (how.of(tone).argmax(axis=1) == 25).all()
    np.testing.assert_allclose(how.of(np.zeros(400)), np.log(1e-6))


def test_bands_without_a_frequency_are_refused() -> None:
    with pytest.raises(SourceError, match="of 128 mel bands have no frequency of an FFT of 256"):
        features(mels=128, window=256, fft=256).bands()
