"""Texts against jiwer, and the decoders."""

from __future__ import annotations

from pathlib import Path

import jiwer
import numpy as np
import pytest
from edgeworthy.errors import SourceError
from edgeworthy.tasks.text import Text
from edgeworthy.tasks.text_decoders import NO_TEXT, Ctc, TokenIds
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.task_values import check_against, check_nan, fitted, value

UNHURRIED = settings(deadline=None, max_examples=25)
SEEDS = st.integers(0, 2**32 - 1)
ALPHABET = "abc "


def steps(paths: list[list[int]], symbols: int) -> np.ndarray:
    """Scores (samples, steps, symbols) whose best path is the given one."""
    return np.eye(symbols, dtype=np.float32)[np.array(paths)]


def corpus(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random paths of 20 steps, and targets that are like their texts."""
    rng = np.random.default_rng(seed)
    paths = rng.integers(0, 5, (10, 20))
    near = np.where(rng.random(paths.shape) < 0.15, rng.integers(0, 5, paths.shape), paths)
    texts = Ctc(alphabet=ALPHABET).texts(steps(near.tolist(), 5))
    return steps(paths.tolist(), 5), np.array([text if text.strip() else "a" for text in texts])


@UNHURRIED
@given(SEEDS)
def test_error_rates_are_jiwers(seed: int) -> None:
    """Over the corpus, so that long texts count more."""
    outputs, targets = corpus(seed)
    task = fitted(Text(decoder=Ctc(alphabet=ALPHABET)), outputs, targets)

    def texts(outputs: np.ndarray) -> list[str]:
        return task.decode({"": outputs}).tolist()  # type: ignore[no-any-return]

    check_against(lambda *each: 100 * jiwer.wer(each[1].tolist(), texts(each[0])), task, "wer", outputs, targets, seed)
    check_against(lambda *each: 100 * jiwer.cer(each[1].tolist(), texts(each[0])), task, "cer", outputs, targets, seed)
    check_against(
        lambda *each: 100 * np.mean([one == two for one, two in zip(texts(each[0]), each[1], strict=True)]),
        task, "exact_match", outputs, targets, seed,
    )  # fmt: skip


def test_nan_never_helps_a_text() -> None:
    """Also where it is behind the end of the text."""
    paths = [[1, 1, 0, 2], [3, 4, 1, 2], [2, 3, 1, 1]]
    check_nan(Text(decoder=Ctc(alphabet=ALPHABET)), steps(paths, 5), np.array(["ab", "c ac", "bc"]))
    tokens = Text(decoder=TokenIds(vocabulary=["", "a", "b", "c", "d"], end=0))
    check_nan(tokens, steps(paths, 5), np.array(["aa", "cdab", "bcaa"]))
    check_nan(tokens, np.array(paths, np.float32), np.array(["aa", "cdab", "bca"]))
    late = np.array([[1, 0, np.nan]], np.float32)
    assert tokens.decode({"": late}).tolist() == [NO_TEXT]


@pytest.mark.parametrize(
    ("blank", "path", "text"),
    [
        (0, [1, 1, 0, 1, 2, 2, 0, 0], "aab"),
        ("last", [0, 0, 4, 0, 1, 1, 4, 4], "aab"),
        (1, [0, 0, 1, 0, 2, 3, 3, 1], "aabc"),
    ],
)
def test_ctc_merges_repeated_symbols_and_drops_blanks(blank: int, path: list[int], text: str) -> None:
    assert Ctc(alphabet=ALPHABET, blank=blank).texts(steps([path], 5)) == [text]


def test_an_alphabet_may_have_longer_symbols() -> None:
    """Such as an unknown, or none at all."""
    assert Ctc(alphabet=["", "sch", "<unk>"], blank="last").texts(steps([[0, 1, 3, 1, 2, 0]], 4)) == ["schsch<unk>"]


def test_tokens_end_and_are_skipped_and_joined() -> None:
    decoder = TokenIds(vocabulary=["<s>", "</s>", "the", "cat"], join=" ", end=1, skip=[0])
    path = [[0, 2, 3, 1, 3], [0, 3, 3, 3, 3]]
    assert decoder.texts(np.array(path, np.float32)) == decoder.texts(steps(path, 4)) == ["the cat", "cat cat cat cat"]
    assert decoder.texts(np.array([[2, 3, 1, -100], [2, 4, 1, 1], [2, 2.5, 1, 1]], np.float32)) == [
        "the cat",
        NO_TEXT,
        NO_TEXT,
    ]


def test_an_alphabet_may_lie_in_a_file(tmp_path: Path) -> None:
    """A symbol on each line, blanks among them; whatever else a file holds is refused with its name and line."""
    (tmp_path / "symbols.txt").write_bytes("\ufeffa\r\nsch\r\n \r\n".encode())
    decoder = Ctc(alphabet_file="symbols.txt").with_files(tmp_path)
    assert decoder == Ctc(alphabet=["a", "sch", " "])
    assert decoder.texts(steps([[2, 3, 0, 1]], 4)) == ["sch a"]
    (tmp_path / "symbols.txt").write_text("a\n\nb\n")
    with pytest.raises(SourceError, match=r"symbols\.txt: line 2 has no symbol"):
        Ctc(alphabet_file="symbols.txt").with_files(tmp_path)
    with pytest.raises(SourceError, match=r"none\.txt: no readable alphabet"):
        Ctc(alphabet_file="none.txt").with_files(tmp_path)
    for options in ({}, {"alphabet": "ab", "alphabet_file": "symbols.txt"}):
        with pytest.raises(ValidationError, match="either an alphabet or an alphabet_file"):
            Ctc(**options)


def test_a_tokenizer_makes_texts(tmp_path: Path) -> None:
    """Its special tokens are dropped; an output may be wider than its vocabulary, whose padding is no token."""
    from tokenizers import Tokenizer, decoders, models

    tokenizer = Tokenizer(models.WordPiece({"[CLS]": 0, "play": 1, "##ing": 2, "cat": 3}, unk_token="[CLS]"))
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(["[CLS]"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    decoder, scores = TokenIds(tokenizer="tokenizer.json").with_files(tmp_path), steps([[0, 1, 2, 3], [0, 1, 2, 5]], 8)
    task = fitted(Text(decoder=decoder), scores, np.array(["playing cat", "playing"]))
    assert task.decode({"": scores}).tolist() == ["playing cat", NO_TEXT]
    with pytest.raises(SourceError, match="4 tokens are known"):
        decoder.check((4, 3))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(SourceError, match=r"tokenizer\.json is no tokenizer"):
        TokenIds(tokenizer="tokenizer.json").with_files(tmp_path)
    with pytest.raises(SourceError, match=r"none\.json: no readable tokenizer"):
        TokenIds(tokenizer="none.json").with_files(tmp_path)


def test_case_may_be_disregarded() -> None:
    outputs, targets = steps([[1, 2]], 5), np.array(["aB"])
    task = fitted(Text(decoder=Ctc(alphabet="ABC "), case="lower"), outputs, targets)
    assert value(task, "exact_match", outputs, targets) == 100
    with pytest.raises(SourceError, match=r"target of sample 0 has characters that no prediction can have: \['a'\]"):
        fitted(Text(decoder=Ctc(alphabet="ABC ")), outputs, targets)


def test_texts_that_do_not_fit_are_refused() -> None:
    outputs, decoder = steps([[1, 2], [3, 4]], 5), Ctc(alphabet=ALPHABET)
    with pytest.raises(SourceError, match=r"sample 1 has characters that no prediction can have: \['x', 'z'\]"):
        fitted(Text(decoder=decoder), outputs, np.array(["ab", "azx"]))
    with pytest.raises(SourceError, match="sample 1 is an empty text"):
        fitted(Text(decoder=decoder), outputs, np.array(["ab", " "]))
    with pytest.raises(SourceError, match="the alphabet and the blank are 4 symbols"):
        fitted(Text(decoder=Ctc(alphabet="abc")), outputs, np.array(["ab", "c"]))
    with pytest.raises(SourceError, match="the blank is symbol 5 of 5"):
        fitted(Text(decoder=Ctc(alphabet=ALPHABET, blank=5)), outputs, np.array(["ab", "c"]))
    with pytest.raises(SourceError, match="int64 of shape"):
        fitted(Text(decoder=decoder), outputs, np.array([1, 2]))
    with pytest.raises(SourceError, match="3 tokens are known"):
        fitted(Text(decoder=TokenIds(vocabulary=list("abc"))), outputs, np.array(["ab", "c"]))
    with pytest.raises(SourceError, match="there is no token 7: 5 are known"):
        fitted(Text(decoder=TokenIds(vocabulary=list("abcde"), end=7)), outputs, np.array(["ab", "c"]))
    with pytest.raises(ValidationError, match="either a vocabulary or a tokenizer"):
        TokenIds()
