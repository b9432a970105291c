"""Text from anywhere, made safe where it enters a message."""

from __future__ import annotations

import json
import math

import pytest
from edgeworthy.cells import CellId
from edgeworthy.errors import EdgeworthyError, SourceError
from edgeworthy.records import Change, Verdict
from edgeworthy.text import LONGEST, json_text, one_line, plural, printable
from hypothesis import given
from hypothesis import strategies as st

CELL = CellId("cnn", "int8", "host:cpu")


@given(st.text(st.characters(codec=None), max_size=200))
def test_any_text_becomes_printable(text: str):
    """It can be encoded, holds no control character, keeps its lines, and passing it twice changes nothing."""
    shown = printable(text)
    shown.encode("utf-8")
    assert all(sign.isprintable() or sign == "\n" for sign in shown)
    assert shown.count("\n") == text.count("\n")
    assert printable(shown) == shown
    assert "\n" not in one_line(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("caf\udce9.png", r"caf\xe9.png"),  # a file name that is not UTF-8
        ("a\ud800b", r"a\ud800b"),
        ("\x1b]0;title\x07\x00", r"\x1b]0;title\x07\x00"),
        ("größe\u00a0東京\tend", "größe 東京 end"),
        ("\u202etxt.exe", r"\u202etxt.exe"),
    ],
)
def test_what_is_not_printable_is_shown_as_an_escape(text: str, shown: str):
    """So that a reader sees that it is there."""
    assert printable(text) == shown


def test_a_long_text_is_cut_with_a_note():
    """The exceptions of some libraries hold a whole model."""
    assert printable("x" * 3_000_000) == f"{'x' * LONGEST} ... ({3_000_000 - LONGEST:,} more characters)"


def test_every_message_passes_through_here():
    """Errors, verdicts and changes: there is no other way for a text into a report."""
    bad = "caf\udce9\x1b" + "x" * 10_000
    for error in (SourceError(bad, hint=bad, log_tail=bad), EdgeworthyError(bad, hint=bad)):
        assert all(sign.isprintable() or sign == "\n" for sign in str(error))
        assert len(str(error)) < 4 * LONGEST
        assert error.args == (error.message,)
    for said in (
        Verdict(CELL, "accuracy", "fail", "exact", bad, bad),
        Change(CELL, "cell", "new", "exact", None, None, bad, bad),
    ):
        assert said.message == said.hint == printable(bad)


def test_one_is_no_plural():
    """1 cell, 2 cells."""
    assert [plural(count, "cell") for count in (0, 1, 1200)] == ["0 cells", "1 cell", "1,200 cells"]


def test_json_has_null_where_it_has_no_number() -> None:
    """Infinity is no JSON; what is a number stays as it is."""
    said = json_text({"sqnr_db": math.inf, "checks": [{"low": math.nan, "value": 0.1}], "rows": (1, True, "Infinity")})
    read = json.loads(said, parse_constant=pytest.fail)
    assert read == {"sqnr_db": None, "checks": [{"low": None, "value": 0.1}], "rows": [1, True, "Infinity"]}
