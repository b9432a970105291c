"""Texts use the words of docs/glossary.md, in the documentation as in docstrings and messages.

Each word to avoid has the word to use instead. It is looked for in prose alone: not in code, names, or quoted output.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
CODE = REPOSITORY / "harness" / "edgeworthy"
FOLDERS = sorted(path for path in CODE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists())
PAGES = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md"), REPOSITORY / "results" / "README.md"])
#: A pattern of what to avoid -> what to write instead.
AVOIDED = {
    r"\banswer(s|ed)?\b": "outputs or predictions",
    r"\bfresh (load|process)\w*\b": "reload, new process",
    r"\bin turn\b": "interleaved A/B",
    r"\bnobody's\b": "say who",
    r"\blet be\b": "waived",
    r"\b(is|are|was|were|be|been|as) told\b": "shown, reported",
    r"\btold (by|of|apart|from)\b": "shown, reported",
    r"\bplain kernels?\b": "reference kernels",
    r"\bdealt\b": "split",
    r"(?<!percentage )\bpoints\b(?! (?:to|at|in|into)\b)": "pp or percentage points",
    r"\bwho to be\b": "user name",
    r"\bnothing is called that\b": "no model matches",
    r"\b(is|are|be|being|stays?|make\w*|makes it) (red|green)\b": "fails, passes",
    r"\bdid not come to its end\b": "did not finish",
    r"\branges of the moment\b": "dynamic-range",
    r"\bnext steps?\b": "hint",
    r"\bnewly right\b": "newly correct",
    r"\ball the same\b": "anyway",
}
#: The words of others, and senses that are not meant.
ALLOWED = (
    r"zero[- ]points?",
    r"entry[- ]points?",
    r"floating[- ]points?",
    r"change points",
    r"data points",
    r"no answer within",
)


def avoided(text: str) -> list[str]:
    """What of ``text`` is to be avoided, each with what to write instead."""
    for allowed in ALLOWED:
        text = re.sub(allowed, "", text, flags=re.IGNORECASE)
    found = ((match[0], instead) for pattern, instead in AVOIDED.items() for match in re.finditer(pattern, text, re.I))
    return [f"{word!r}: write {instead}" for word, instead in found]


def prose(page: str) -> str:
    """A page without fenced blocks, code, comments and the targets of its links, as one line."""
    for code in (r"^```.*?^```$", r"<!--.*?-->"):
        page = re.sub(code, "", page, flags=re.MULTILINE | re.DOTALL)
    return " ".join(re.sub(r"`[^`]*`|\]\([^)]*\)", " ", page).split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_documentation_uses_the_words_of_the_glossary(page: Path) -> None:
    """No page has a word to avoid."""
    assert not avoided(prose(page.read_text()))


def texts(source: str) -> list[str]:
    """The docstrings and messages of a module: its string literals of several words, without code in backticks or quotes."""
    strings = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    words = [text for text in strings if isinstance(text, str) and " " in text]
    return [re.sub(r"``[^`]*``|'[^']*'", " ", " ".join(text.split())) for text in words]


@pytest.mark.parametrize("part", FOLDERS, ids=lambda part: part.name)
def test_docstrings_and_messages_use_the_words_of_the_glossary(part: Path) -> None:
    """No string of the package has a word to avoid."""
    files = sorted(part.rglob("*.py")) if part.is_dir() else [part]
    found = [(path.relative_to(CODE).as_posix(), avoided(text)) for path in files for text in texts(path.read_text())]
    assert not [(name, words) for name, words in found if words]


@pytest.mark.parametrize(
    "text",
    ["the phone's answers", "a fresh load", "timed in turn", "let be for now", "0.5 points lost", "the run is red"],
)
def test_words_to_avoid_are_found(text: str) -> None:
    """The check is no formality."""
    assert avoided(text)


@pytest.mark.parametrize("text", ["0.5 percentage points", "zero points", "floating-point numbers", "0.5 pp"])
def test_other_senses_are_left_alone(text: str) -> None:
    """Words of the field that look alike are not found."""
    assert not avoided(text)
