"""Made sounds for the models that listen, with what is in them: the notes of tones, and where a voice speaks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Arrays = dict[str, NDArray[Any]]
SEED = 0
#: basic-pitch: samples a second, samples from frame to frame, frames of two seconds, keys of a piano, the lowest one in Hz.
PITCH_RATE, FRAME, FRAMES, KEYS, LOWEST_HZ = 22_050, 256, 172, 88, 27.5
#: silero-vad: samples a second, those of a step, and how many of the step before it is given with them.
VOICE_RATE, STEP, BEFORE, STEPS = 16_000, 512, 64, 62
#: The first three resonances of six vowels, in Hz.
VOWELS = (
    (270, 2290, 3010),
    (390, 1990, 2550),
    (530, 1840, 2480),
    (730, 1090, 2440),
    (570, 840, 2410),
    (300, 870, 2240),
)


def tones() -> Arrays:
    """Two seconds of six struck notes with harmonics, (43844, 1), and which of 88 keys sounds in which of 172 frames."""
    random = np.random.default_rng(SEED)
    x, y = zip(*(_notes(random, 43_844) for _ in range(64)), strict=True)
    return {
        "evaluation_x": np.stack(x[:48])[..., None],
        "evaluation_y": np.stack(y[:48]).reshape(48, FRAMES * KEYS),
        "calibration_x": np.stack(x[48:])[..., None],
    }


def _notes(random: np.random.Generator, count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    sound, keys = random.normal(scale=1e-3, size=count), np.zeros((FRAMES, KEYS), np.int64)
    for _ in range(6):
        key, begin = int(random.integers(15, 60)), int(random.integers(0, count * 3 // 4))
        length = min(count - begin, int(random.integers(count // 8, count // 2)))
        seconds = np.arange(length) / PITCH_RATE
        pitch = LOWEST_HZ * 2 ** (key / 12)
        tone = sum(np.sin(2 * np.pi * pitch * harmonic * seconds) / harmonic**1.5 for harmonic in (1, 2, 3, 4, 5))
        edge = np.minimum(np.minimum(seconds / 0.01, (seconds[-1] - seconds) / 0.02), 1)
        sound[begin : begin + length] += random.uniform(0.5, 1) * np.exp(-seconds) * edge * tone
        keys[round(begin / FRAME) : round((begin + length) / FRAME), key] = 1
    return (random.uniform(0.3, 0.9) * sound / np.abs(sound).max()).astype(np.float32), keys


def utterances() -> Arrays:
    """Vowels between pauses, two seconds at 16 kHz, as silero-vad reads them step by step, and in which a voice speaks."""
    random = np.random.default_rng(SEED)
    x, y = zip(*(_utterance(random) for _ in range(80)), strict=True)
    return {"evaluation_x": np.stack(x[:64]), "evaluation_y": np.stack(y[:64]), "calibration_x": np.stack(x[64:])}


def _utterance(random: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Pulses of a voice through the resonances of vowels (Peterson and Barney 1952), up to three words, in noise."""
    count = STEPS * STEP
    sound, spoken = random.normal(scale=10 ** random.uniform(-4, -2.5), size=count), np.zeros(count, bool)
    for _ in range(random.integers(1, 4)):
        word = _word(random, int(random.integers(count // 8, count // 3)))
        begin = int(random.integers(0, count - len(word)))
        sound[begin : begin + len(word)] += random.uniform(0.1, 0.7) * word
        spoken[begin : begin + len(word)] = True
    padded = np.pad(np.clip(sound, -1, 1), (BEFORE, 0)).astype(np.float32)
    steps = np.stack([padded[start : start + BEFORE + STEP] for start in range(0, count, STEP)])
    return steps, (spoken.reshape(STEPS, STEP).mean(axis=1) > 0.5).astype(np.int64)


def _word(random: np.random.Generator, length: int) -> NDArray[np.float64]:
    """Syllables of 0.12 to 0.25 seconds: a hiss, and a vowel that glides into another one."""
    base, made = random.uniform(90, 220), [np.zeros(0)]
    while sum(map(len, made)) < length:
        made.append(_syllable(random, base * random.uniform(0.85, 1.2), int(random.uniform(0.12, 0.25) * VOICE_RATE)))
    word = np.concatenate(made)[:length]
    return np.asarray(word / np.abs(word).max())


def _syllable(random: np.random.Generator, pitch: float, length: int) -> NDArray[np.float64]:
    falling = pitch * np.linspace(1.1, 0.9, length)
    pulses = np.diff(np.floor(np.cumsum(falling) / VOICE_RATE), prepend=0) + random.normal(scale=0.01, size=length)
    first, second = (_vowel(pulses, VOWELS[random.integers(len(VOWELS))]) for _ in range(2))
    glide = np.linspace(0, 1, length)
    hiss = np.diff(random.normal(scale=0.05, size=length), prepend=0) * np.exp(-np.arange(length) / (0.03 * VOICE_RATE))
    return np.asarray(np.hanning(length) ** 0.3 * ((1 - glide) * first + glide * second) + hiss * random.uniform(0, 1))


def _vowel(pulses: NDArray[np.float64], formants: tuple[int, ...]) -> NDArray[np.float64]:
    for formant, width in zip(formants, (60, 90, 150), strict=True):
        radius, angle = np.exp(-np.pi * width / VOICE_RATE), 2 * np.pi * formant / VOICE_RATE
        pulses = lfilter([1 - radius], [1, -2 * radius * np.cos(angle), radius**2], pulses)
    return np.asarray(pulses / np.abs(pulses).max())
