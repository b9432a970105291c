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

    They become ``samples`` at ``sample_rate`` Hz, or with None as many as each has, and ``features`` of these.
    """

    sample_rate: int
    samples: int | None
    features: LogMel | None
    packages: ClassVar[tuple[str, ...]] = ("soundfile", "soxr", "numpy")

    def identity(self) -> dict[str, Any]:
        """What checksums are made of."""
        return asdict(self)

    def decode(self, paths: Sequence[Path], out: Path, progress: Callable[[str], None]) -> Decoded:
        """Write float32 to ``out``: waves (N, time), or log-mel energies (N, frames, mels).

        Raises SourceError naming the first sounds that cannot be used.
        """
        assert self.samples
        stored = np.lib.format.open_memmap(out, "w+", np.float32, (len(paths), *self._shape(self.samples)))
        counts: Counter[str] = Counter(cut=0, padded=0)
        problems: list[str] = []
        for number, path in enumerate(paths):
            try:
                wave = read_wave(path, self.sample_rate)
            except SourceError as error:
                problems.append(error.message)
                continue
            counts += Counter(cut=len(wave) > self.samples, padded=len(wave) < self.samples)
            stored[number] = self._features(np.pad(wave[: self.samples], (0, max(0, self.samples - len(wave)))))
            if (number + 1) % REPORT_EVERY == 0:
                progress(f"{number + 1:,} of {len(paths):,} sounds")
        refuse_problems(problems, len(paths), "sounds")
        stored.flush()
        return Decoded(digest([file_digest(out)]), float(stored.min()), float(stored.max()), dict(counts), [])

    def whole(self, path: Path) -> NDArray[np.float64]:
        """A sound as long as it is: its wave (time,), or log-mel energies (frames, mels). Raises SourceError naming the file."""
        wave = read_wave(path, self.sample_rate)
        if not len(wave) or (self.features and not self.features.frames(len(wave))):
            least = self.features.window if self.features else 1
            raise SourceError(
                f"{path} has {len(wave)} samples at {self.sample_rate:,} Hz, fewer than {least}",
                hint="leave out what is so short, or give a shorter 'window_ms'",
            )
        return self._features(wave)

    def _shape(self, samples: int) -> tuple[int, ...]:
        return (self.features.frames(samples), self.features.mels) if self.features else (samples,)

    def _features(self, wave: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.features.of(wave) if self.features else wave

    def described(self) -> str:
        """In a few words, for reports."""
        long = f"{self.samples / self.sample_rate:g} s" if self.samples else "each as long as it is"
        kept = f"{self.sample_rate:,} Hz, {long}"
        each = self.features
        return kept if not each else f"{kept}, {each.mels} log-mel energies ({each.scale}) every {each.hop} samples"


def sound(dataset: Dataset) -> Sound:
    """What an ``audio`` dataset asks for. Raises SourceError where features and lengths do not fit each other."""
    assert dataset.sample_rate
    rate, how = dataset.sample_rate, dataset.features
    samples = round(rate * dataset.seconds) if dataset.seconds else None
    if how == "raw":
        return Sound(rate, samples, None)
    window, hop = round(rate * how.window_ms / 1000), round(rate * how.hop_ms / 1000)
    fft = how.fft or 1 << max(window - 1, 1).bit_length()
    high = rate / 2 if how.high_hz is None else how.high_hz
    features = LogMel(rate, how.mels, window, hop, fft, how.low_hz, high, how.scale, how.log_offset)
    if not hop >= 1 or not 1 <= window <= min(samples or fft, fft):
        fit = f"{samples} samples and " if samples else ""
        raise SourceError(
            f"features: a window of {window} samples every {hop} does not fit {fit}an FFT of {fft}",
            hint="give a longer 'seconds' or 'fft', or another 'window_ms' and 'hop_ms'",
        )
    if not how.low_hz < high <= rate / 2:
        raise SourceError(
            f"features: bands from {how.low_hz:g} to {high:g} Hz, and {rate:,} Hz sample frequencies up to {rate / 2:g}",
            hint="correct 'low_hz' and 'high_hz'",
        )
    features.bands()
    return Sound(rate, samples, features)
