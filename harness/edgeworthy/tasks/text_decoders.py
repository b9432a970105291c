"""How the output of a model of text becomes a text: connectionist temporal classification, or numbers of tokens."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, model_validator

from edgeworthy.errors import SourceError
from edgeworthy.schema import Strict
from edgeworthy.tasks.class_scores import best_class
from edgeworthy.tasks.packages import package

#: The text of a sample whose output has none: a NaN, or a number that is no token. No target may hold it.
NO_TEXT = "\ufffd"
_TOKENIZER = "give the path of a tokenizer.json"
_ALPHABET = (
    "give the path of a text file in UTF-8 with a symbol on each line, in the order of the output, without the blank"
)


class Decoder(Strict, ABC):
    """One way to decode."""

    @abstractmethod
    def check(self, shape: tuple[int, ...]) -> None:
        """Raise SourceError where a sample's output of this shape cannot be decoded."""

    def with_files(self, base: Path) -> Decoder:
        """With the content of the files that it names, relative to ``base``."""
        return self

    @abstractmethod
    def symbols(self) -> Sequence[str] | None:
        """What texts are made of; None where that cannot be listed."""

    @abstractmethod
    def texts(self, values: NDArray[np.floating[Any]]) -> list[str]:
        """The text of each sample of an output (samples, ...)."""


class Ctc(Decoder):
    """Greedy decoding of connectionist temporal classification, from scores (steps, symbols).

    The best symbol of each step, repeated ones merged, blanks dropped (Graves et al., ICML 2006, best path decoding).
    """

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["alphabet"]}, {"required": ["alphabet_file"]}]}
    )

    kind: Literal["ctc"] = "ctc"
    alphabet: str | list[str] = Field(
        "",
        description="the symbols in the order of the output, without the blank: a string of characters, or a list",
    )
    alphabet_file: str | None = Field(
        None, description="in its place, path of a text file in UTF-8 with a symbol on each line"
    )
    blank: Literal["last"] | int = Field(
        0, description="which of the output's symbols is the blank: its number, or last"
    )

    @model_validator(mode="after")
    def _one_alphabet(self) -> Ctc:
        if bool(self.alphabet) == (self.alphabet_file is not None):
            raise ValueError("give either an alphabet or an alphabet_file")
        return self

    def with_files(self, base: Path) -> Ctc:
        """With the alphabet in the place of its file. Raises SourceError where that cannot be read, or has no symbol."""
        if self.alphabet_file is None:
            return self
        path = base / self.alphabet_file
        lines = _read(path, "alphabet", _ALPHABET).removesuffix("\n").split("\n")
        if "" in lines:
            raise SourceError(f"{path}: line {lines.index('') + 1} has no symbol", hint=_ALPHABET)
        return self.model_copy(update={"alphabet": lines, "alphabet_file": None})

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise SourceError unless the output is (steps, symbols), one of them the blank."""
        symbols = len(self.alphabet) + 1
        if len(shape) != 2 or shape[1] != symbols:
            raise SourceError(
                f"the output has shape {shape}, the alphabet and the blank are {symbols} symbols",
                hint=f"give an output (steps, {symbols}), or an alphabet of one symbol less than the output",
            )
        if not 0 <= self._blank < symbols:
            raise SourceError(
                f"the blank is symbol {self.blank} of {symbols}",
                hint=f"set 'blank' from 0 to {symbols - 1}, or to last",
            )

    @property
    def _blank(self) -> int:
        return len(self.alphabet) if self.blank == "last" else self.blank

    def symbols(self) -> Sequence[str]:
        """The alphabet."""
        return self.alphabet

    def texts(self, values: NDArray[np.floating[Any]]) -> list[str]:
        """The best path of each sample of an output (samples, steps, symbols)."""
        table = [*self.alphabet[: self._blank], "", *self.alphabet[self._blank :]]
        return [_text(path, table) for path in best_class(values)]


def _read(path: Path, what: str, hint: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: no readable {what} ({error})", hint=hint) from error


def _text(path: NDArray[np.int32], table: list[str]) -> str:
    if (path < 0).any():
        return NO_TEXT
    merged = path[np.diff(path, prepend=-1) != 0]
    return "".join(table[number] for number in merged)


class TokenIds(Decoder):
    """Numbers of tokens (steps,), or scores (steps, vocabulary), of which the best is taken at each step.

    The text of the tokens is looked up in a list, or made by the tokenizer of a ``tokenizer.json``. Its vocabulary may be
    smaller than the output's: models are often padded. A number that is no token leaves the sample without a text.
    """

    kind: Literal["tokens"] = "tokens"
    vocabulary: list[str] | None = Field(None, description="the text of each token", min_length=1)
    join: str = Field("", description="what stands between tokens of the vocabulary")
    tokenizer: str | None = Field(None, description="path of a tokenizer.json of Hugging Face's tokenizers")
    end: int | None = Field(None, description="the token that ends a text")
    skip: list[int] = Field([], description="tokens that are dropped, such as that of the beginning")

    @model_validator(mode="after")
    def _one_source_of_texts(self) -> TokenIds:
        if (self.vocabulary is None) == (self.tokenizer is None):
            raise ValueError("give either a vocabulary or a tokenizer")
        return self

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise SourceError unless the output is (steps,) or (steps, vocabulary), the tokens as many as known."""
        known = self._size()
        fits = len(shape) == 1 or (
            len(shape) == 2 and (shape[1] == known or (self.vocabulary is None and shape[1] > known))
        )
        if not fits:
            raise SourceError(
                f"the output has shape {shape}, and {known} tokens are known",
                hint=f"give an output (steps,) or (steps, {known}), and the vocabulary that the model was trained with",
            )
        beyond = [
            number for number in (*self.skip, *([] if self.end is None else [self.end])) if not 0 <= number < known
        ]
        if beyond:
            raise SourceError(
                f"there is no token {beyond[0]}: {known} are known", hint="correct the task's options 'end' and 'skip'"
            )

    def _size(self) -> int:
        return len(self.vocabulary) if self.vocabulary is not None else self._tokenizer().get_vocab_size()

    def with_files(self, base: Path) -> TokenIds:
        """With the tokenizer's text in the place of its path. Raises SourceError where it is none."""
        if self.tokenizer is None:
            return self
        path = base / self.tokenizer
        text = _read(path, "tokenizer", _TOKENIZER)
        parsed_tokenizer(text, str(path))
        return self.model_copy(update={"tokenizer": text})

    def _tokenizer(self) -> Any:
        return parsed_tokenizer(self.tokenizer or "", "the task's tokenizer")

    def symbols(self) -> Sequence[str] | None:
        """The vocabulary and what joins it; None of a tokenizer, which may write any character."""
        return None if self.vocabulary is None else [*self.vocabulary, self.join]

    def texts(self, values: NDArray[np.floating[Any]]) -> list[str]:
        """The text of each sample of an output (samples, steps) or (samples, steps, vocabulary)."""
        numbers = values if values.ndim == 2 else _numbers(values)
        rows = [self._kept(row) for row in numbers]
        known = self._size()
        valid = [bool(((row >= 0) & (row < known) & (row == np.rint(row))).all()) for row in rows]
        texts = self._joined(
            [row.astype(np.int64).tolist() if good else [] for row, good in zip(rows, valid, strict=True)]
        )
        return [text if good else NO_TEXT for text, good in zip(texts, valid, strict=True)]

    def _kept(self, row: NDArray[Any]) -> NDArray[Any]:
        """The numbers up to the end, without those that are skipped; all of them where one is NaN, wherever it is."""
        ends = np.flatnonzero(row == self.end)
        if ends.size and not np.isnan(row).any():
            row = row[: ends[0]]
        return row[~np.isin(row, self.skip)]

    def _joined(self, numbers: list[list[int]]) -> list[str]:
        if self.vocabulary is None:
            texts: list[str] = self._tokenizer().decode_batch(numbers, skip_special_tokens=True)
            return texts
        return [self.join.join(self.vocabulary[number] for number in row) for row in numbers]


@functools.lru_cache(maxsize=4)
def parsed_tokenizer(text: str, where: str) -> Any:
    """The tokenizer that the ``text`` of a tokenizer.json describes. Raises SourceError where it is none."""
    tokenizers = package("tokenizers", "tokens become texts by", "texts")
    try:
        return tokenizers.Tokenizer.from_str(text)
    except Exception as error:  # the library raises nothing narrower
        raise SourceError(f"{where} is no tokenizer: {error}", hint=_TOKENIZER) from error


def _numbers(scores: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    best = best_class(scores)
    return np.where(best < 0, np.nan, best)
