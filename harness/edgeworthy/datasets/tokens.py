"""Texts as the numbers of their tokens, by Hugging Face's tokenizers library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.datasets.ragged import in_frame, sizes_of
from edgeworthy.errors import SourceError
from edgeworthy.readers import checked_file, reading
from edgeworthy.tasks.packages import package

#: What tokenizers call the token of padding, where the file does not say how it pads.
PADDING = ("[PAD]", "<pad>")
_HINT = "give the tokenizer.json that the model was trained with"


@dataclass(frozen=True)
class Tokens:
    """Token numbers and, 1 for a token and 0 for padding, mask: int64 (texts, length); so many texts were ``truncated``.

    ``sizes`` (texts, 1) are how long they are.
    """

    ids: NDArray[np.int64]
    mask: NDArray[np.int64]
    sizes: NDArray[np.int64]
    truncated: int


def tokens(texts: Sequence[str], file: Path, length: int | None) -> Tokens:
    """The texts in ``length`` tokens each, special tokens included, padded and truncated on the sides that the file says.

    Without a length none is truncated, and those that are shorter than the longest are followed by zeros.

    Raises SourceError without tokenizers, for a file that is no tokenizer and for one that has no token of padding.
    """
    tokenizer = _tokenizer(file)
    with reading(file, "tokenizer", _HINT):
        if length:
            tokenizer.enable_truncation(**{**(tokenizer.truncation or {}), "max_length": length})
            tokenizer.enable_padding(**{**_padding(tokenizer, file), "length": length, "pad_to_multiple_of": None})
        else:
            tokenizer.no_truncation()
            tokenizer.no_padding()
        found = tokenizer.encode_batch(list(texts))
    empty = [number for number, each in enumerate(found) if not each.ids]
    if empty:
        raise SourceError(f"text {empty[0]} has no tokens", hint="leave it out")
    ids, masks = ([np.array(getattr(each, name), np.int64) for each in found] for name in ("ids", "attention_mask"))
    sizes = sizes_of(ids)
    frame = sizes.max(axis=0)
    return Tokens(in_frame(ids, frame), in_frame(masks, frame), sizes, sum(bool(each.overflowing) for each in found))


def text_of(file: Path) -> Callable[[list[int]], str]:
    """What reads token numbers back as text, without special tokens. Raises SourceError as ``tokens`` does."""
    tokenizer = _tokenizer(file)
    return lambda ids: str(tokenizer.decode(ids))


def version() -> str:
    """The version of tokenizers. Raises SourceError where it is not installed."""
    return str(_library().__version__)


def _library() -> Any:
    return package("tokenizers", "texts are read by", "texts")


def _tokenizer(file: Path) -> Any:
    with reading(checked_file(file), "tokenizer", _HINT):
        return _library().Tokenizer.from_file(str(file))


def _padding(tokenizer: Any, file: Path) -> dict[str, Any]:
    if tokenizer.padding:
        return dict(tokenizer.padding)
    named = [name for name in PADDING if tokenizer.token_to_id(name) is not None]
    if not named:
        raise SourceError(
            f"{file}: has no token of padding, by {' or '.join(PADDING)} or under 'padding'",
            hint="set the tokenizer's padding (Tokenizer.enable_padding) and save it again",
        )
    return {"pad_token": named[0], "pad_id": tokenizer.token_to_id(named[0])}
