"""Sound files become one .npy of float32: waves, or log-mel energies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgeworthy.dataset_schema import Dataset
from edgeworthy.datasets.decoding import Decoded, refuse_problems
from edgeworthy.datasets.log_mel import LogMel
from edgeworthy.datasets.sound_files import read_wave
from edgeworthy.errors import SourceError
from edgeworthy.storage import digest, file_digest

#: Progress is reported after so many sounds.
REPORT_EVERY = 1000


@dataclass(frozen=True)
class Sound:
    """What is done to sounds before they are stored, by ``packages``.

    They become ``samples`` at ``sample_rate`` Hz, and ``features`` of these.
    """

    sample_rate: int
    samples: int
    features: LogMel | None
    packages: ClassVar[tuple[str, ...]] = ("soundfile", "soxr", "numpy")

    def identity(self) -> dict[str, Any]:
        """What checksums are made of."""
        return asdict(self)

    def decode(self, paths: Sequence[Path], out: Path, progress: Callable[[str], None]) -> Decoded:
        """Write float32 to ``out``: waves (N, time), or log-mel energies (N, frames, mels).

        Raises SourceError naming the first sounds that cannot be used.
        """
        stored = np.lib.format.open_memmap(out, "w+", np.float32, (len(paths), *self._shape()))
        counts: Counter[str] = Counter(cut=0, padded=0)
        problems: list[str] = []
        for number, path in enumerate(paths):
            try:
                wave = read_wave(path, self.sample_rate)
            except SourceError as error:
                problems.append(error.message)
                continue
            counts += Counter(cut=len(wave) > self.samples, padded=len(wave) < self.samples)
            stored[number] = self._features(wave)
            if (number + 1) % REPORT_EVERY == 0:
                progress(f"{number + 1:,} of {len(paths):,} sounds")
        refuse_problems(problems, len(paths), "sounds")
        stored.flush()
        return Decoded(digest([file_digest(out)]), float(stored.min()), float(stored.max()), dict(counts), [])

    def _shape(self) -> tuple[int, ...]:
        return (self.features.frames(self.samples), self.features.mels) if self.features else (self.samples,)

    def _features(self, wave: NDArray[np.float64]) -> NDArray[np.float64]:
        """Cut at the end or followed by zeros."""
        exact = np.pad(wave[: self.samples], (0, max(0, self.samples - len(wave))))
        return self.features.of(exact) if self.features else exact

    def described(self) -> str:
        """In a few words, for reports."""
        kept = f"{self.sample_rate:,} Hz, {self.samples / self.sample_rate:g} s"
        each = self.features
        return kept if not each else f"{kept}, {each.mels} log-mel energies ({each.scale}) every {each.hop} samples"


def sound(dataset: Dataset) -> Sound:
    """What an ``audio`` dataset asks for. Raises SourceError where features and lengths do not fit each other."""
    assert dataset.sample_rate
    assert dataset.seconds
    rate, how = dataset.sample_rate, dataset.features
    samples = round(rate * dataset.seconds)
    if how == "raw":
        return Sound(rate, samples, None)
    window, hop = round(rate * how.window_ms / 1000), round(rate * how.hop_ms / 1000)
    fft = how.fft or 1 << max(window - 1, 1).bit_length()
    high = rate / 2 if how.high_hz is None else how.high_hz
    features = LogMel(rate, how.mels, window, hop, fft, how.low_hz, high, how.scale, how.log_offset)
    if not hop >= 1 or not 1 <= window <= min(samples, fft):
        raise SourceError(
            f"features: a window of {window} samples every {hop} does not fit {samples} samples and an FFT of {fft}",
            hint="give a longer 'seconds' or 'fft', or another 'window_ms' and 'hop_ms'",
        )
    if not how.low_hz < high <= rate / 2:
        raise SourceError(
            f"features: bands from {how.low_hz:g} to {high:g} Hz, and {rate:,} Hz sample frequencies up to {rate / 2:g}",
            hint="correct 'low_hz' and 'high_hz'",
        )
    features.bands()
    return Sound(rate, samples, features)
