"""Words that nobody said: vowels made of two gliding formants and a pitch, in noise.

Recordings of words are large and not embedded anywhere, so these are synthesized; what a keyword spotter does with them is the
same: log-mel spectra in, one word of twelve out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from edgeworthy.datasets.log_mel import LogMel
from numpy.typing import NDArray

RATE, SAMPLES = 8000, 8000
#: Frequencies of the first two formants in Hz, of the vowels of Peterson and Barney (1952, men): i, e, a, o, u.
VOWELS = np.array([[270, 2290], [530, 1840], [730, 1090], [570, 840], [300, 870]])
#: Each word is three of the vowels.
WORDS = np.array(
    [
        [0, 2, 0], [0, 2, 4], [2, 0, 2], [2, 4, 1], [4, 1, 4], [4, 0, 3],
        [1, 3, 1], [1, 3, 0], [3, 0, 1], [3, 2, 3], [2, 1, 0], [0, 4, 2],
    ]
)  # fmt: skip
FEATURES = LogMel(
    sample_rate=RATE, mels=32, window=256, hop=160, fft=256, low_hz=0, high_hz=RATE / 2, scale="htk", log_offset=1e-3
)

Random = np.random.Generator


def words(count: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Log-mel spectra float32 (samples, 49, 32, 1) and the number of the word in each."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % len(WORDS)
    spectra = np.stack([FEATURES.of(_spoken(WORDS[label], random)) for label in labels])
    return spectra[..., None].astype(np.float32), labels


def _spoken(word: NDArray[Any], random: Random) -> NDArray[np.float64]:
    """One second of a voice of its own that says the word somewhere in it, in noise."""
    length = int(random.uniform(0.35, 0.75) * SAMPLES)
    formants = _glides(VOWELS[word] * random.uniform(0.88, 1.14) * random.normal(1, 0.05, (3, 2)), length)
    pitch = np.linspace(*random.uniform(90, 220, 2), length)
    voiced = 0.5 + 0.5 * np.sin(2 * np.pi * np.cumsum(pitch) / RATE)
    tones = np.sin(2 * np.pi * np.cumsum(formants, axis=0) / RATE) @ [1, random.uniform(0.3, 0.8)]
    sound = np.zeros(SAMPLES)
    start = random.integers(SAMPLES - length)
    sound[start : start + length] = tones * voiced * np.hanning(length) ** 0.3
    return sound * random.uniform(0.3, 1) + random.normal(0, random.uniform(0.05, 0.4), SAMPLES)


def _glides(targets: NDArray[Any], length: int) -> NDArray[np.float64]:
    """Frequencies (length, 2) that rest at each of the three targets and glide to the one after it."""
    at = np.linspace(0, 1, length)
    rests, held = [0, 0.22, 0.4, 0.6, 0.78, 1], np.repeat(targets, 2, axis=0)
    return np.stack([np.interp(at, rests, column) for column in held.T], axis=1)
