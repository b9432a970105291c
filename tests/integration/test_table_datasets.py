"""Datasets of tables of numbers and texts, prepared from files; every refusal names what is wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from edgeworthy.errors import SourceError
from pydantic import ValidationError
from tokenizers import Tokenizer, models, pre_tokenizers

from tests.integration.prepared import Prepare, preparing


@pytest.fixture
def prepared(tmp_path: Path) -> Prepare:
    return preparing(tmp_path)


TABLE = {"kind": "csv", "path": "rows.csv", "inputs": ["height", "weight"], "target": "species"}


@pytest.fixture
def rows(tmp_path: Path) -> pd.DataFrame:
    """Ten rows of numbers, of three kinds of target, in two splits."""
    rng = np.random.default_rng(0)
    found = pd.DataFrame(
        {
            "height": rng.normal(size=10).round(3),
            "weight": np.arange(10),
            "species": ["cat", "dog", "ant", "cat", "dog"] * 2,
            "age": rng.normal(size=10).round(3),
            "text": [f"the cat number {number}" for number in range(10)],
            "split": ["test"] * 6 + ["train"] * 4,
        }
    )
    found.to_csv(tmp_path / "rows.csv", index=False)
    found.to_parquet(tmp_path / "rows.parquet")
    return found


@pytest.mark.parametrize("path", ["rows.csv", "rows.parquet"])
def test_rows_of_numbers(rows: pd.DataFrame, prepared: Prepare, path: str) -> None:
    """float32 (samples, columns) in the order that is asked for; names become classes, fractions numbers to predict."""
    keys = {**TABLE, "path": path, "inputs": ["weight", "height"]}
    made = prepared(**keys, split="test", calibration={"split": "train", "count": 3})
    given = made.samples("evaluation").read()
    np.testing.assert_array_equal(given, rows[["weight", "height"]].to_numpy(np.float32)[:6])
    assert made.targets().tolist() == [1, 2, 0, 1, 2, 1]
    assert (made.classes, len(made.samples("calibration"))) == (3, 3)
    predicted = prepared(**{**keys, "target": "age"})
    np.testing.assert_array_equal(predicted.targets(), rows["age"].to_numpy(np.float32))
    assert (predicted.classes, predicted.count) == (None, 10)
    with pytest.raises(SourceError, match="its rows have no targets, which the metric top1 needs"):
        prepared(**{**keys, "target": None}).check_labelled("top1")


def test_classes_are_those_of_the_whole_table(tmp_path: Path, prepared: Prepare) -> None:
    """Also where the evaluation samples lack the last one; preprocessing scales the columns."""
    (tmp_path / "rows.csv").write_text("a,kind,split\n1,x,test\n2,y,test\n3,z,train\n")
    keys = {"kind": "csv", "path": "rows.csv", "inputs": ["a"], "target": "kind", "split": "test"}
    made = prepared(**keys, preprocessing={"mean": [1], "std": [2]})
    assert made.classes == 3
    assert made.samples("evaluation").read().tolist() == [[0], [0.5]]


TABLE_FAULTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "empty cell": ("height,weight,species\n1,2,cat\n3,,dog\n", {}, r"rows\.csv: row 1 of column 'weight' is empty"),
    "no number": ("height,weight,species\n1,2,cat\n3,tall,dog\n", {}, "row 1 of column 'weight' is 'tall', no number"),
    "not a number": ("height,weight,species\n1,nan,cat\n", {}, "row 0 of column 'weight' is 'nan', no number"),
    "beyond": ("height,weight,species\n1,1e39,cat\n", {}, "row 0 of column 'weight' is '1e39', no number of float32"),
    "no class": ("height,weight,species\n1,2,\n", {}, "row 0 of column 'species' is empty"),
    "blank": ('height,weight,species\n1,2," "\n', {}, "row 0 of column 'species' is empty"),
    "mixed": ("height,weight,species\n1,2,3\n2,3,cat\n", {}, "column 'species': unreadable labels"),
    "column": ("height,wieght,species\n1,2,cat\n", {}, "no column 'weight'; did you mean 'wieght'"),
    "split": ("height,weight,species,split\n1,2,cat,test\n", {"split": "tset"}, "no row of split 'tset'; did you mean"),
    "no split": ("height,weight,species\n1,2,cat\n", {"split": "test"}, "no column 'split'"),
    "rows": ("height,weight,species\n", {}, "no rows in it"),
    "shared": (
        "height,weight,species,split\n1,2,cat,test\n1,2,cat,train\n",
        {"split": "test", "train": {"split": "train"}},
        "1 of 1 train samples are evaluation samples too: row 1 = row 0",
    ),
}


@pytest.mark.parametrize("fault", TABLE_FAULTS)
def test_tables_that_cannot_be_used_are_refused(tmp_path: Path, prepared: Prepare, fault: str) -> None:
    content, keys, message = TABLE_FAULTS[fault]
    (tmp_path / "rows.csv").write_text(content)
    with pytest.raises(SourceError, match=rf"dataset 'mine': .*{message}"):
        prepared(**{**TABLE, **keys})


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"inputs": None}, "takes either inputs, or text and tokenizer and length"),
        ({"text": "text"}, "takes either inputs, or text"),
        ({"inputs": ["height", "height"]}, "inputs names a column twice"),
        ({"target": "height"}, "'height' is a target and an input"),
        ({"path": None}, "kind csv takes path"),
    ],
)
def test_a_table_has_inputs_of_one_kind(prepared: Prepare, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        prepared(**{key: value for key, value in {**TABLE, **keys}.items() if value is not None})


# Texts

TEXTS = {
    "kind": "csv",
    "path": "rows.csv",
    "text": "text",
    "tokenizer": "tokenizer.json",
    "length": 4,
    "target": "species",
}


def write_tokenizer(path: Path, words: list[str]) -> None:
    numbers = {word: number for number, word in enumerate(words)}
    made = Tokenizer(models.WordLevel(numbers, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.save(str(path))


def test_texts_become_ids_and_a_mask(tmp_path: Path, rows: pd.DataFrame, prepared: Prepare) -> None:
    """Padded and truncated to one length, int64 by the names ids and mask; how many were truncated is counted."""
    (tmp_path / "short.csv").write_text("text,species\nthe cat,0\nthe dog and the cat,1\n")
    write_tokenizer(tmp_path / "tokenizer.json", ["[UNK]", "the", "cat", "[PAD]", "dog"])
    made = prepared(**{**TEXTS, "path": "short.csv"})
    inputs = {each.name: each for each in made.samples("evaluation").inputs}
    given = made.samples("evaluation").read()
    assert {name: each.dtype for name, each in inputs.items()} == {"ids": "int64", "mask": "int64"}
    assert inputs["ids"].of(given).tolist() == [[1, 2, 3, 3], [1, 4, 0, 1]]
    assert inputs["mask"].of(given).tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    assert made.targets().tolist() == [0, 1]
    assert "1 texts of more tokens than 'length'" in made.description
    assert "2 evaluation samples of ids 4 and mask 4" in made.description
    write_tokenizer(tmp_path / "tokenizer.json", ["[UNK]", "[PAD]", "cat", "the", "dog"])
    assert prepared(**{**TEXTS, "path": "short.csv"}).checksum != made.checksum


def test_texts_that_cannot_be_read_are_refused(
    tmp_path: Path, rows: pd.DataFrame, prepared: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SourceError, match=r"tokenizer\.json: no such file"):
        prepared(**TEXTS)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(SourceError, match=r"tokenizer\.json: not a readable tokenizer"):
        prepared(**TEXTS)
    write_tokenizer(tmp_path / "tokenizer.json", ["[UNK]", "the"])
    with pytest.raises(SourceError, match=r"tokenizer\.json: has no token of padding"):
        prepared(**TEXTS)
    (tmp_path / "rows.csv").write_text("text,species\nthe cat,0\n,1\n")
    with pytest.raises(SourceError, match="row 1 of column 'text' is empty"):
        prepared(**TEXTS)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(SourceError, match="texts are read by tokenizers, which is not installed") as refused:
        prepared(**TEXTS)
    assert refused.value.hint == "pip install 'edgeworthy[texts]'"
