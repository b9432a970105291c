"""Lines of Python's standard library as it is installed: what is written for people, and what for the interpreter."""

from __future__ import annotations

import ast
import hashlib
import sysconfig
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

#: Bytes of a line that a model takes: the first ones.
LENGTH = 48
SHORTEST = 16
#: Modules that every version of Python has, with long docstrings.
MODULES = (
    "argparse", "ast", "calendar", "configparser", "csv", "difflib", "dis", "doctest", "enum", "fractions", "functools",
    "inspect", "ipaddress", "locale", "mailbox", "optparse", "os", "pickle", "pickletools", "platform", "pydoc", "random",
    "shutil", "socket", "ssl", "statistics", "string", "subprocess", "tarfile", "tempfile", "textwrap", "threading",
    "trace", "traceback", "turtle", "typing", "uuid", "warnings",
)  # fmt: skip
#: Which sixteenths of the lines each split has, by their digests: no line is in two of them.
_SHARES = {"evaluation": range(4), "calibration": range(4, 5), "train": range(5, 16)}
CODE, PROSE = 0, 1


def lines(split: str, count: int) -> tuple[list[str], NDArray[np.int64]]:
    """Different lines, half of them CODE and half PROSE, and which each of them is."""
    found: dict[str, int] = {}
    for module in MODULES:
        found |= _lines_of((Path(sysconfig.get_path("stdlib")) / f"{module}.py").read_text("utf-8"))
    found = {text: kind for text, kind in found.items() if _digest(text) % 16 in _SHARES[split]}
    chosen = [text for kind in (CODE, PROSE) for text in _some(found, kind, count // 2)]
    return chosen, np.repeat([CODE, PROSE], count // 2)


def tokens(texts: list[str]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Bytes int32 (texts, LENGTH), 0 behind the end, and a mask float32 of the same shape, 1 where there is a byte."""
    ids = np.zeros((len(texts), LENGTH), np.int32)
    for row, text in zip(ids, texts, strict=True):
        given = text.encode()[:LENGTH]
        row[: len(given)] = list(given)
    return ids, (ids > 0).astype(np.float32)


def _some(found: dict[str, int], kind: int, count: int) -> list[str]:
    """As many lines of the kind, those of the smallest digests."""
    return sorted((text for text, each in found.items() if each == kind), key=_digest)[:count]


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def _lines_of(source: str) -> dict[str, int]:
    """Each line that is long enough and its kind: docstrings are PROSE, all else is CODE.

    Comments, and examples in docstrings at a prompt, are neither.
    """
    prose: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            prose.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    kinds = {}
    for number, line in enumerate(source.splitlines(), 1):
        text = line.strip().strip('"').strip()
        if len(text) >= SHORTEST and "#" not in text and ">>>" not in text and text.isascii():
            kinds[text] = PROSE if number in prose else CODE
    return kinds
