"""Datasets whose samples keep their own sizes: what stands in their rows, how they are padded, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from edgeworthy.datasets.model_sizes import in_model_sizes
from edgeworthy.datasets.prepared import PreparedDataset
from edgeworthy.errors import SourceError
from edgeworthy.model_schema import Model
from edgeworthy.storage import Store
from edgeworthy.tensors import NamedInput
from PIL import Image
from pydantic import ValidationError
from tokenizers import Tokenizer, models, pre_tokenizers

from tests.integration.prepared import Prepare, preparing

SIZES = [(8, 6), (5, 9), (7, 7), (8, 6)]
SENTENCES = ["a cat", "a cat saw a dog", "dog saw cat", "a dog saw"]


@pytest.fixture
def prepared(tmp_path: Path) -> Prepare:
    return preparing(tmp_path)


def images(folder: Path) -> list[np.ndarray]:
    """Random PNGs of SIZES, and the masks of their pixels beside them."""
    random, made = np.random.default_rng(0), []
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for number, size in enumerate(SIZES):
        made.append(random.integers(0, 256, (*size, 3), dtype=np.uint8))
        Image.fromarray(made[-1]).save(folder / "images" / f"{number}.png")
        Image.fromarray(random.integers(0, 3, size, dtype=np.uint8)).save(folder / "masks" / f"{number}.png")
    return made


def alone(made: PreparedDataset, split: str = "evaluation", place: int = 0) -> list[np.ndarray]:
    """One input of every sample, each in its own size."""
    samples = made.samples(split)
    return [samples.inputs[place].of(samples.read(row, row + 1))[0] for row in range(len(samples))]


def for_model(made: PreparedDataset, store: Path, **entry: Any) -> PreparedDataset:
    """The dataset as a model of this entry takes it."""
    model = Model.model_validate(
        {"source": {"path": "m.onnx"}, "dataset": "mine", "variants": {"ort_fp32": {}}, **entry}
    )
    return in_model_sizes(Store(store), made, model).for_model(model)


def test_images_and_masks_keep_their_sizes(tmp_path: Path, prepared: Prepare) -> None:
    """Pixel by pixel as Pillow decodes them, scaled; targets too; the description says between which sizes, and what is timed."""
    pixels = images(tmp_path)
    keys = {"kind": "masks", "path": "images", "masks": "masks", "ragged": True}
    made = prepared(**keys, preprocessing={"scale": 1 / 255, "mean": [0.5]})
    for given, wanted in zip(alone(made), pixels, strict=True):
        np.testing.assert_array_equal(given, wanted.astype(np.float32) / np.float32(255) - np.float32(0.5))
    sizes = made.target_sizes()
    assert sizes is not None
    assert list(map(tuple, sizes)) == SIZES
    for number, (height, width) in enumerate(SIZES):
        with Image.open(tmp_path / "masks" / f"{number}.png") as mask:
            np.testing.assert_array_equal(made.targets()[number, :height, :width], np.asarray(mask))
    assert "samples of x 5x6x3 to 8x9x3 (one by one, sample 0 is timed, of median size)" in made.description
    with pytest.raises(SourceError, match=r"1\.png is 5x9 where the first image is 8x6"):
        prepared(**{**keys, "ragged": False})


def test_sounds_keep_their_lengths(tmp_path: Path, prepared: Prepare) -> None:
    """Waves as they are, and frames of energies; one that is too short for a frame is named."""
    (tmp_path / "sounds").mkdir()
    waves = [0.5 * np.sin(np.arange(length) / 5) for length in (1200, 800, 1000)]
    for number, wave in enumerate(waves):
        soundfile.write(tmp_path / "sounds" / f"{number}.wav", wave, 8000, subtype="FLOAT")
    keys = {"kind": "audio", "path": "sounds", "sample_rate": 8000, "ragged": True}
    made = prepared(**keys)
    for given, wanted in zip(alone(made), waves, strict=True):
        np.testing.assert_allclose(given, wanted, atol=1e-6)
    assert "8,000 Hz, each as long as it is" in made.description
    energies = {"kind": "log_mel", "mels": 8, "window_ms": 50, "hop_ms": 25, "fft": 1024}
    assert [each.shape for each in alone(prepared(**keys, features=energies))] == [(5, 8), (3, 8), (4, 8)]
    with pytest.raises(SourceError, match=r"1\.wav has 800 samples at 8,000 Hz, fewer than 960"):
        prepared(**keys, features={**energies, "window_ms": 120})
    with pytest.raises(ValidationError, match="ragged samples keep their own length: remove 'seconds'"):
        prepared(**keys, seconds=1)


def test_texts_keep_their_lengths_and_are_padded_with_a_mask(tmp_path: Path, prepared: Prepare) -> None:
    """Ids and mask as long as the text; padded, each with its own value, the mask with 0; a number for both is refused."""
    words = Tokenizer(models.WordLevel({"a": 0, "cat": 1, "saw": 2, "dog": 3, "[PAD]": 4}, unk_token="[PAD]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(tmp_path / "words.json"))
    pd.DataFrame({"text": SENTENCES}).to_csv(tmp_path / "texts.csv")
    made = prepared(kind="csv", path="texts.csv", text="text", tokenizer="words.json", ragged=True)
    ids = [words.encode(text).ids for text in SENTENCES]
    assert [each.tolist() for each in alone(made)] == ids
    assert [each.tolist() for each in alone(made, place=1)] == [[1] * len(each) for each in ids]
    padded = for_model(made, tmp_path / "store", ragged={"pad": {"ids": 4}, "multiple_of": 4})
    lengths = [4, 8, 4, 4]
    assert [each.shape for each in alone(padded)] == [(length,) for length in lengths]
    assert alone(padded)[1].tolist() == [0, 1, 2, 0, 3, 4, 4, 4]
    assert alone(padded, place=1)[1].tolist() == [1, 1, 1, 1, 1, 0, 0, 0]
    with pytest.raises(SourceError, match="ids and mask are padded, and 'pad' gives 4 for all of them"):
        for_model(made, tmp_path / "store", ragged={"pad": 4})
    with pytest.raises(SourceError, match="has no array 'idz' to be padded; did you mean 'ids'"):
        for_model(made, tmp_path / "store", ragged={"pad": {"idz": 4}})


def test_lengths_are_those_before_padding(tmp_path: Path, prepared: Prepare) -> None:
    """A function's list of arrays; NAME.length is how long each is, one by one and padded; two axes have no length."""
    (tmp_path / "made.py").write_text(
        "import numpy as np\n"
        "def lines():\n    return {'evaluation_x': (np.full((n, 2), n, np.float32) for n in (3, 5, 4))}\n"
        "def pages():\n    return {'evaluation_x': [np.ones((n, 7 - n), np.float32) for n in (3, 5, 4)]}\n"
    )
    made = prepared(kind="function", function="made.py:lines")
    for ragged, shape in (("one_by_one", (5, 2)), ("pad", (5, 2))):
        given = for_model(made, tmp_path / "store", ragged=ragged, inputs={"line": "x", "length": "x.length"})
        rows = given.samples("evaluation").read()
        line, length = given.samples("evaluation").inputs
        assert (line.name, line.shape, bool(line.ragged)) == ("line", shape, ragged == "one_by_one")
        assert length == NamedInput("length", (), "int64", length.start)
        assert length.of(rows).tolist() == [3, 5, 4]
    pages = prepared(kind="function", function="made.py:pages")
    with pytest.raises(SourceError, match=r"has no array 'evaluation_x.length' for the model's input 'length'"):
        for_model(pages, tmp_path / "store", inputs={"page": "x", "length": "x.length"})
    stepped = for_model(made, tmp_path / "store", state={"state": {"from": "next"}}).samples("evaluation")
    assert stepped.lengths().tolist() == [3, 5, 4]
    with pytest.raises(
        SourceError, match="the steps of 'x' have different sizes; sequences may differ in their number"
    ):
        for_model(pages, tmp_path / "store", state={"state": {"from": "next"}})


def test_ragged_is_for_files_and_texts() -> None:
    """Where it says nothing, it is refused; so is a length beside it."""
    for keys in ({"kind": "npz", "path": "x.npz"}, {"kind": "csv", "path": "x.csv", "inputs": ["a"]}):
        with pytest.raises(ValidationError, match="ragged is for files and texts"):
            preparing(Path())(**keys, ragged=True)


def test_targets_are_in_the_frame_of_those_that_are_chosen(tmp_path: Path, prepared: Prepare) -> None:
    """Not in that of a larger one, which is no evaluation sample."""
    sizes = [(3, 4), (9, 8), (4, 4)]
    arrays = {f"evaluation_x/{at}": np.ones((*size, 2), np.float32) for at, size in enumerate(sizes)}
    masks = {f"evaluation_y/{at}": np.full(size, at) for at, size in enumerate(sizes)}
    np.savez(tmp_path / "masks.npz", **arrays, **masks)
    for seed in range(3):
        made = prepared(kind="npz", path="masks.npz", count=1, seed=seed)
        [size] = made.target_sizes()
        assert made.targets().shape == (1, *size)
        assert made.targets().min() == made.targets().max() == sizes.index(tuple(size))
