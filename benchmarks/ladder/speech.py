"""Spoken words for the wake words, by eSpeak NG, as their own front end hears them."""

from __future__ import annotations

import ctypes
import importlib
import sys
import threading
from typing import Any

import numpy as np
import soxr
from fetch import ESPEAK, FRONT_END
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
SEED = 0
RATE, SPOKEN = 16_000, 120
#: Of the features that a step takes, and of the steps that are judged, which end 0.3 seconds after the words.
FEATURES, STEPS, AFTER_S = 3, 60, 0.3
VOICES = ("en-us", "en-us+f2", "en-us+m3", "en-gb", "en-gb+f4", "en-gb-scotland", "en-029+m7")
OTHERS = (
    "Hey Jarvis.", "Computer.", "What is the weather?", "Turn on the lights.", "Good morning.", "A letter from Texas.",
    "Open the window.", "I lack sugar.", "Elections.", "Okay, now do it.", "All is well.", "Play some music.",
)  # fmt: skip
#: The library has one voice: data sets may be made at the same time.
_ONE_AT_A_TIME = threading.Lock()
#: Of espeak_Initialize: hand the sound over, and wait; of espeak_SetParameter; of espeak_Synth: UTF-8.
SYNCHRONOUS, SPEED, PITCH, UTF_8 = 2, 1, 3, 1


class Speaker:
    """eSpeak NG, from the wheel that carries it."""

    def __init__(self) -> None:
        folder = ESPEAK / "espeakng_loader"
        self._library = ctypes.CDLL(str(folder / "libespeak-ng.so"))
        self._rate = self._library.espeak_Initialize(SYNCHRONOUS, 0, str(folder / "espeak-ng-data").encode(), 0)
        self._parts: list[NDArray[np.int16]] = []
        kept = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        self._keep = kept(self._hear)  # as long as the library may call it
        self._library.espeak_SetSynthCallback(self._keep)

    def _hear(self, samples: Any, count: int, events: Any) -> int:
        if samples and count:
            self._parts.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def say(self, text: str, voice: str, speed: int, pitch: int) -> NDArray[np.float64]:
        """The sound at RATE, from -1 to 1, up to its last syllable's end."""
        self._parts.clear()
        self._library.espeak_SetVoiceByName(voice.encode())
        self._library.espeak_SetParameter(SPEED, speed, 0)
        self._library.espeak_SetParameter(PITCH, pitch, 0)
        said = text.encode()
        self._library.espeak_Synth(said, ctypes.c_size_t(len(said) + 1), 0, 0, 0, UTF_8, None, None)
        sound = soxr.resample(np.concatenate(self._parts).astype(np.float64) / 2**15, self._rate, RATE)
        return np.asarray(sound[: np.flatnonzero(np.abs(sound) > 0.01)[-1] + 1])


def alexa() -> Arrays:
    """Whether Alexa was said: class 1, in every other sequence."""
    return _spoken("Alexa.", "Okay Nabu.")


def okay_nabu() -> Arrays:
    """Whether Okay Nabu was said."""
    return _spoken("Okay Nabu.", "Alexa.")


def _spoken(word: str, another: str) -> Arrays:
    """Sequences of 60 steps of three times 40 features, (60, 3, 40), at whose end the word was just said, or another."""
    with _ONE_AT_A_TIME:
        return _spoken_by(Speaker(), word, another)


def _spoken_by(speaker: Speaker, word: str, another: str) -> Arrays:
    random = np.random.default_rng(SEED)
    x, y = [], np.arange(SPOKEN) % 2
    for right in y:
        text = word if right else str(random.choice([*OTHERS, another]))
        voice, speed, pitch = str(random.choice(VOICES)), int(random.integers(120, 190)), int(random.integers(30, 70))
        sound = random.uniform(0.05, 0.9) * speaker.say(text, voice, speed, pitch)
        padded = np.concatenate([np.zeros(STEPS * FEATURES * RATE // 100), sound, np.zeros(int(AFTER_S * RATE))])
        noisy = padded + random.normal(scale=10 ** random.uniform(-4, -2), size=len(padded))
        x.append(_features(noisy)[-STEPS * FEATURES :].reshape(STEPS, FEATURES, -1))
    return {"evaluation_x": np.stack(x), "evaluation_y": y}


def _features(sound: NDArray[np.float64]) -> NDArray[np.float32]:
    """40 features of every 10 ms, by the front end of microcontrollers, which the models were trained with."""
    if str(FRONT_END) not in sys.path:
        sys.path.append(str(FRONT_END))
    front_end, found = importlib.import_module("pymicro_features").MicroFrontend(), []
    samples = (np.clip(sound, -1, 1) * (2**15 - 1)).astype("<i2")
    for start in range(0, len(samples) - RATE // 100 + 1, RATE // 100):
        features = front_end.process_samples(samples[start : start + RATE // 100].tobytes()).features
        if features:
            found.append(features)
    return np.array(found, np.float32)
