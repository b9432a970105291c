"""Inputs for the ladder's models: real files and photographs where this environment has some, made ones where it has none.

Real are the files of the installed packages (for magika) and scikit-learn's two photographs (for the face models, which see no
face there: their outputs are compared, not judged). Made are tones (for basic-pitch), printed lines (for the OCR models),
features of sound (for the wake word) and vowels (for the voice detector).
"""

from __future__ import annotations

import json
import sysconfig
from pathlib import Path
from typing import Any

import numpy as np
from fetch import MODELS
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.signal import lfilter

Arrays = dict[str, NDArray[Any]]
SEED = 0
#: What a file of this suffix is, in magika's words.
KINDS = {
    ".py": "python", ".pyc": "pythonbytecode", ".json": "json", ".html": "html", ".css": "css", ".js": "javascript", ".so": "elf",
    ".md": "markdown", ".rst": "rst", ".c": "c", ".cpp": "cpp", ".png": "png", ".csv": "csv", ".xml": "xml", ".toml": "toml",
    ".yaml": "yaml", ".npy": "npy", ".npz": "npz", ".gz": "gzip", ".ttf": "ttf", ".svg": "svg", ".proto": "proto", ".sh": "shell",
}  # fmt: skip
#: The first three resonances of six vowels, in Hz.
VOWELS = (
    (270, 2290, 3010),
    (390, 1990, 2550),
    (530, 1840, 2480),
    (730, 1090, 2440),
    (570, 840, 2410),
    (300, 870, 2240),
)
MOST_OF_A_KIND, FEWEST_OF_A_KIND = 30, 3
#: Of a larger file, and of a smaller one, magika decides otherwise.
MOST_BYTES, FEWEST_BYTES = 2_000_000, 64


def files() -> Arrays:
    """Files of the installed packages as magika reads them: the first and the last 1,024 bytes; labels by their suffixes."""
    folder = MODELS / "magika-1.0.3" / "magika" / "models" / "standard_v3_3"
    config = json.loads((folder / "config.min.json").read_text())
    labels, random = config["target_labels_space"], np.random.default_rng(SEED)
    rows: dict[bytes, tuple[NDArray[np.int32], int]] = {}
    for kind, paths in sorted(_by_kind(Path(sysconfig.get_path("purelib"))).items()):
        for path in [paths[index] for index in random.permutation(len(paths))[:MOST_OF_A_KIND]]:
            row = _features(path.read_bytes(), config)
            rows.setdefault(row.tobytes(), (row, labels.index(kind)))
    chosen = list(rows.values())
    order = random.permutation(len(chosen))
    x, y = np.stack([row for row, _ in chosen])[order], np.array([label for _, label in chosen])[order]
    calibration = len(x) // 5
    return {"evaluation_x": x[calibration:], "evaluation_y": y[calibration:], "calibration_x": x[:calibration]}


def _by_kind(root: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in sorted(root.rglob("*")):
        kind = KINDS.get(path.suffix)
        if kind and path.is_file() and FEWEST_BYTES <= path.stat().st_size <= MOST_BYTES:
            found.setdefault(kind, []).append(path)
    return {kind: paths for kind, paths in found.items() if len(paths) >= FEWEST_OF_A_KIND}


def _features(content: bytes, config: dict[str, Any]) -> NDArray[np.int32]:
    """As magika's own package makes them: white space at both ends is left out, and what is missing is padded."""
    first = content[: config["block_size"]].lstrip()[: config["beg_size"]]
    last = content[-config["block_size"] :].rstrip()[-config["end_size"] :]
    row = np.full(config["beg_size"] + config["end_size"], config["padding_token"], np.int32)
    row[: len(first)] = list(first)
    row[len(row) - len(last) :] = list(last)
    return row


def tones() -> Arrays:
    """Two seconds of four tones with harmonics that come and go, (43844, 1) at 22,050 Hz."""
    random = np.random.default_rng(SEED)
    return _split(np.stack([_tones(random, 43_844) for _ in range(24)])[..., None], 16)


def _tones(random: np.random.Generator, count: int) -> NDArray[np.float32]:
    seconds, sound = np.arange(count) / 22_050, np.zeros(count)
    for _ in range(4):
        pitch, begin = 110 * 2 ** (random.integers(0, 36) / 12), random.integers(0, count * 3 // 4)
        end = min(count, begin + random.integers(count // 8, count // 2))
        tone = sum(np.sin(2 * np.pi * pitch * harmonic * seconds[begin:end]) / harmonic for harmonic in (1, 2, 3, 4))
        sound[begin:end] += np.hanning(end - begin) * tone
    return (random.uniform(0.3, 0.9) * sound / np.abs(sound).max()).astype(np.float32)


def utterances() -> Arrays:
    """Vowels between pauses, a second at 16 kHz, as silero-vad reads it: 31 steps of 576, of them 64 of the step before."""
    random = np.random.default_rng(SEED)
    sounds = np.stack([_utterance(random, 31 * 512) for _ in range(48)])
    padded = np.pad(sounds, ((0, 0), (64, 0)))
    steps = np.stack([padded[:, start : start + 576] for start in range(0, 31 * 512, 512)], axis=1)
    return _split(steps.astype(np.float32), 32)


def _utterance(random: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Pulses of a voice through the resonances of a vowel (Peterson and Barney 1952), one to three times, in noise."""
    sound = random.normal(scale=10 ** random.uniform(-4, -2), size=count)
    for _ in range(random.integers(1, 4)):
        length = int(random.integers(count // 8, count // 3))
        begin = int(random.integers(0, count - length))
        pitch = random.uniform(90, 220) * (1 + 0.1 * np.sin(np.linspace(0, random.uniform(1, 6), length)))
        voice = np.diff(np.floor(np.cumsum(pitch) / 16_000), prepend=0)
        for formant, width in zip(VOWELS[random.integers(len(VOWELS))], (60, 90, 150), strict=True):
            radius, angle = np.exp(-np.pi * width / 16_000), 2 * np.pi * formant / 16_000
            voice = lfilter([1 - radius], [1, -2 * radius * np.cos(angle), radius**2], voice)
        sound[begin : begin + length] += random.uniform(0.1, 0.7) * np.hanning(length) * voice / np.abs(voice).max()
    return np.clip(sound, -1, 1)


def photographs_128() -> Arrays:
    """Crops of two photographs in [-1, 1], (128, 128, 3)."""
    return _split(_crops(48, 128) / 127.5 - 1, 32)


def photographs_192() -> Arrays:
    """The same in [0, 1], (192, 192, 3)."""
    return _split(_crops(48, 192) / 255, 32)


def _crops(count: int, side: int) -> NDArray[np.float32]:
    from sklearn.datasets import load_sample_images

    random, found = np.random.default_rng(SEED), []
    photographs = [Image.fromarray(image) for image in load_sample_images().images]
    for index in range(count):
        image, size = photographs[index % len(photographs)], int(random.integers(64, 400))
        left, top = random.integers(0, image.width - size), random.integers(0, image.height - size)
        found.append(np.asarray(image.crop((left, top, left + size, top + size)).resize((side, side))))
    return np.stack(found).astype(np.float32)


def lines_upright_or_not() -> Arrays:
    """A printed line, (48, 192, 3) in [-1, 1]; every other one turned by 180 degrees, which is class 1."""
    x, y = _printed(240, 48, 192), np.arange(240) % 2
    x[1::2] = x[1::2, ::-1, ::-1]
    return {"evaluation_x": x[:200], "evaluation_y": y[:200], "calibration_x": x[200:]}


def pages() -> Arrays:
    """Three printed lines, (160, 224, 3) in [-1, 1]."""
    return _split(_printed(20, 160, 224), 12)


def _printed(count: int, height: int, width: int) -> NDArray[np.float32]:
    random, found = np.random.default_rng(SEED), []
    font = ImageFont.load_default(size=min(34, 0.7 * height))
    for _ in range(count):
        image = Image.new("RGB", (width, height), tuple(int(part) for part in random.integers(150, 256, 3)))
        for top in range(0, max(height - 40, 1), 50):
            text = "".join(chr(letter) for letter in random.integers(65, 91, 9))
            ImageDraw.Draw(image).text(
                (5 + random.integers(0, 20), top + random.integers(0, 5)), text, (20, 20, 20), font
            )
        found.append(np.asarray(image))
    return np.stack(found).astype(np.float32) / 127.5 - 1


def features_of_sound() -> Arrays:
    """Three steps of 40 features, int8, as the wake word's front end gives them."""
    values = np.random.default_rng(SEED).integers(-128, 100, (200, 3, 40)).astype(np.int8)
    return {"evaluation_x": values}


def _split(x: NDArray[np.float32], evaluation: int) -> Arrays:
    return {"evaluation_x": x[:evaluation], "calibration_x": x[evaluation:]}
