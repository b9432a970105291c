"""Texts among a model's inputs and outputs, as numbers: of an input those of its characters, of an output a fingerprint."""

from __future__ import annotations

import hashlib
import sys
from typing import Any

import numpy as np

from .jobs import Array

#: The type of a text among inputs.
TEXT = "str"
#: So many bits of a text's hash stand for it among outputs, each -1 or 1: two texts differ in about half of them.
FINGERPRINT = 64


def text_numbers(texts: Array, width: int) -> Array:
    """Texts (...), none longer than ``width``, as the numbers of their characters (..., width), float32; 0 after the end."""
    codes = np.ascontiguousarray(texts, f"<U{width}").view(np.uint32)
    return codes.reshape(*texts.shape, width).astype(np.float32)


def texts_of(numbers: Array) -> Array:
    """The texts (...) whose characters have these numbers (..., width)."""
    width = numbers.shape[-1]
    codes = np.ascontiguousarray(np.clip(np.rint(numbers), 0, sys.maxunicode), "<u4")
    return codes.view(f"<U{width}").reshape(numbers.shape[:-1])


def as_numbers(values: Array) -> Array:
    """An output of texts as their fingerprints, and any other as it is."""
    texts = values.dtype.kind == "U" or (
        values.dtype.kind == "O" and all(isinstance(each, str) for each in values.ravel())
    )
    return fingerprints(values) if texts and values.ndim else values


def fingerprints(texts: Array) -> Array:
    """Of texts (n, ...) those of each sample one after the other, float32 (n, texts * FINGERPRINT)."""
    found = {text: _fingerprint(text) for text in set(texts.ravel())}
    rows = np.array([found[text] for text in texts.ravel()], np.float32)
    return rows.reshape(len(texts), -1)


def _fingerprint(text: Any) -> Array:
    digest = hashlib.blake2b(str(text).encode("utf-8", "surrogatepass"), digest_size=FINGERPRINT // 8).digest()
    bits: Array = np.unpackbits(np.frombuffer(digest, np.uint8)) * np.float32(2) - 1
    return bits
