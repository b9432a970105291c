"""Datasets of sounds, prepared from files; every refusal names what is wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from edgeworthy.datasets import sound_files
from edgeworthy.datasets.log_mel import LogMel
from edgeworthy.errors import SourceError
from pydantic import ValidationError

from tests.integration.prepared import Prepare, preparing


@pytest.fixture
def prepared(tmp_path: Path) -> Prepare:
    return preparing(tmp_path)


SOUNDS = {"kind": "audio", "path": "sounds", "sample_rate": 8000, "seconds": 0.5}


def write_sound(path: Path, wave: np.ndarray, rate: int = 8000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, rate, subtype="PCM_16")


def tone(hertz: float, seconds: float = 0.5, rate: int = 8000) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """Two classes of two sounds each: whole, too long, too short, and in two channels at another rate."""
    folder = tmp_path / "sounds"
    write_sound(folder / "high" / "a.wav", tone(1000))
    write_sound(folder / "high" / "b.flac", tone(1500, seconds=0.7))
    write_sound(folder / "low" / "c.wav", tone(200, seconds=0.3))
    both = tone(300, rate=16000), tone(100, rate=16000)
    write_sound(folder / "low" / "d.wav", np.stack(both, axis=1), rate=16000)
    return folder


def test_sounds_of_class_folders(sounds: Path, prepared: Prepare) -> None:
    """Cut, padded, averaged and resampled to (samples, time); classes are those of the folders; what was done is counted."""
    (sounds / "low" / "notes.txt").write_text("of no use")
    made = prepared(**SOUNDS)
    given = made.samples("evaluation").read()
    assert (given.shape, given.dtype, made.classes) == ((4, 4000), np.float32, 2)
    assert made.targets().tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(given[0], tone(1000), atol=2**-15)
    np.testing.assert_allclose(given[1], tone(1500), atol=2**-15)
    np.testing.assert_allclose(given[2], np.pad(tone(200, seconds=0.3), (0, 1600)), atol=2**-15)
    np.testing.assert_allclose(given[3, 100:-100], ((tone(300) + tone(100)) / 2)[100:-100], atol=1e-3)
    for text in (
        "8,000 Hz, 0.5 s",
        "1 sounds longer than 'seconds', which are cut",
        "1 sounds shorter than 'seconds', which are followed by zeros",
        "1 files below sounds are not read as sounds (.txt 1)",
    ):
        assert text in made.description


def test_log_mel_energies_of_sounds(sounds: Path, prepared: Prepare) -> None:
    """(samples, frames, mels), of the stored samples; another option is another dataset."""
    how = {"kind": "log_mel", "mels": 20, "scale": "slaney"}
    made = prepared(**SOUNDS, features=how)
    waves = prepared(**SOUNDS).samples("evaluation").read()
    energies = LogMel(8000, 20, 200, 80, 256, 0.0, 4000.0, "slaney", 1e-6)
    given = made.samples("evaluation").read()
    assert given.shape == (4, 48, 20)
    np.testing.assert_allclose(given, [energies.of(wave.astype(np.float64)) for wave in waves], rtol=1e-4, atol=1e-3)
    assert "20 log-mel energies (slaney) every 80 samples" in made.description
    assert prepared(**SOUNDS, features={**how, "scale": "htk"}).checksum != made.checksum


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_sounds_of_an_index_have_labels_or_texts(tmp_path: Path, sounds: Path, prepared: Prepare, suffix: str) -> None:
    """Texts are targets of their own type, and rows belong to splits."""
    index = pd.DataFrame(
        {
            "path": ["high/a.wav", "high/b.flac", "low/c.wav", "low/d.wav"],
            "text": ["one", "two words", "Grüße, Welt", "NA"],
            "split": ["test", "test", "test", "train"],
        }
    )
    path = sounds / f"index.{suffix}"
    save_index = {"csv": lambda: index.to_csv(path, index=False), "parquet": lambda: index.to_parquet(path)}
    save_index[suffix]()
    keys = {**SOUNDS, "path": f"sounds/index.{suffix}"}
    made = prepared(**keys, split="test", calibration={"split": "train"})
    assert made.targets().tolist() == ["one", "two words", "Grüße, Welt"]
    assert (made.targets().dtype.kind, made.classes, len(made.samples("calibration"))) == ("U", None, 1)
    assert prepared(**keys).targets().tolist()[3] == "NA"
    index = index.rename(columns={"text": "label"})
    save_index[suffix]()
    assert prepared(**keys).targets().tolist() == [2, 3, 0, 1]
    index["text"] = "both"
    save_index[suffix]()
    with pytest.raises(SourceError, match="has a column 'text' of texts and a column 'label' of labels"):
        prepared(**keys)


def test_an_index_of_texts_has_no_classes_and_no_gaps(sounds: Path, prepared: Prepare) -> None:
    (sounds / "index.csv").write_text("path,text\nhigh/a.wav,one\nlow/c.wav,\n")
    keys = {**SOUNDS, "path": "sounds/index.csv"}
    with pytest.raises(SourceError, match=r"index\.csv: row 1 has no text"):
        prepared(**keys)
    (sounds / "index.csv").write_text("path,text\nhigh/a.wav,one\nlow/c.wav,two\n")
    with pytest.raises(SourceError, match="its targets are texts, which have no classes"):
        prepared(**keys, classes=2)


SOUND_FAULTS: dict[str, tuple[Callable[[Path], object], dict[str, Any], str]] = {
    "torn": (
        lambda folder: (folder / "low" / "c.wav").write_bytes(b"RIFF"),
        {},
        r"1 of 4 sounds .*c\.wav: not a readable",
    ),
    "empty": (lambda folder: write_sound(folder / "low" / "c.wav", np.zeros(0)), {}, r"c\.wav: has no samples"),
    "nan": (
        lambda folder: soundfile.write(folder / "low" / "c.wav", np.full(9, np.nan), 8000, subtype="FLOAT"),
        {},
        r"c\.wav: holds NaN or infinity",
    ),
    "none": (lambda folder: (folder / "third").mkdir(), {}, r"third: no sounds \(\.flac, \.wav\)"),
    "gone": (lambda folder: None, {"path": "nowhere"}, "nowhere: no such file"),
    "rows": (
        lambda folder: None,
        {"split": "test"},
        "sounds is a folder, and evaluation asks for the rows of split 'test'",
    ),
    "short": (
        lambda folder: None,
        {"features": {"kind": "log_mel", "window_ms": 600}},
        "a window of 4800 samples every 80 does not fit 4000 samples",
    ),
    "high": (
        lambda folder: None,
        {"features": {"kind": "log_mel", "high_hz": 8000}},
        "bands from 0 to 8000 Hz, and 8,000 Hz sample frequencies up to 4000",
    ),
    "narrow": (
        lambda folder: None,
        {"features": {"kind": "log_mel", "mels": 200}},
        "of 200 mel bands have no frequency",
    ),
}


@pytest.mark.parametrize("fault", SOUND_FAULTS)
def test_sounds_that_cannot_be_used_are_refused(sounds: Path, prepared: Prepare, fault: str) -> None:
    damage, keys, message = SOUND_FAULTS[fault]
    damage(sounds)
    with pytest.raises(SourceError, match=rf"dataset 'mine': .*{message}"):
        prepared(**{**SOUNDS, **keys})


def test_sounds_need_a_rate_a_length_and_their_packages(
    sounds: Path, prepared: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValidationError, match="kind audio takes path and sample_rate and seconds"):
        prepared(kind="audio", path="sounds", seconds=1)
    with pytest.raises(ValidationError, match="preprocessing is for images"):
        prepared(**SOUNDS, preprocessing={"scale": 2})
    monkeypatch.setitem(sys.modules, "soxr", None)
    sound_files.packages.cache_clear()
    with pytest.raises(SourceError, match="not installed") as refused:
        prepared(**SOUNDS)
    assert refused.value.hint == "pip install 'edgeworthy[audio]'"
