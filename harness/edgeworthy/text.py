"""Text from anywhere (file names, converters, devices, exceptions), made safe to show and to store.

It passes through here once, where it enters an error, a verdict or a change. Nothing after that has to think of it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

#: A message is cut to so many characters; the exceptions of some libraries hold a whole model.
LONGEST = 4000


def printable(text: str, longest: int = LONGEST) -> str:
    r"""``text`` on its lines, without what is not printable, and cut to ``longest`` characters with a note.

    Control characters and lone surrogates become escapes (``\x1b``, ``\ud800``), and the bytes of a file name that is
    not UTF-8 likewise (``\xe9``).
    """
    cut = len(text) - longest
    kept = text[:longest]
    shown = kept if kept.isprintable() else "".join(map(_shown, kept))
    return f"{shown} ... ({cut:,} more characters)" if cut > 0 else shown


def one_line(text: str) -> str:
    """``printable`` text on one line."""
    return " ".join(printable(text).split())


def digits(number: float, significant: int = 3) -> str:
    """``number`` to so many significant digits; a larger one as a whole number, not with an exponent."""
    return f"{number:.0f}" if abs(number) >= 10**significant else f"{number:.{significant}g}"


def first_of(names: Sequence[str], most: int = 4) -> str:
    """``a, b, c, d ...``: so many of the names, and whether there are more."""
    return ", ".join(names[:most]) + (" ..." if len(names) > most else "")


def plural(count: int, noun: str) -> str:
    """``1 cell``, ``2 cells``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _shown(sign: str) -> str:
    if sign == "\n" or sign.isprintable():
        return sign
    if sign.isspace():
        return " "
    code = ord(sign)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as Python holds it in a path
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def json_text(data: Any) -> str:
    """Plain data as JSON. What JSON has no number for, infinity and NaN, is null: readers refuse ``Infinity``."""
    return json.dumps(_with_nulls(data), indent=1, allow_nan=False)


def _with_nulls(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {key: _with_nulls(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_with_nulls(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
