"""The table for people: counts, numbers, explanations, and text that stays text."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from harness.reports.rows import COLUMNS
from harness.reports.summary import HEADERS, counts, markdown, terminal_table

HOSTILE = [
    "[bold red]boo[/bold red]",
    "[link=https://example.org]click[/link]",
    "[/]",
    "ends in a backslash \\",
    ":rocket: host:rocket:",
    "**bold** _it_ `code` <img src=x onerror=alert(1)>",
    "a | b | c",
    "![](https://example.org/x.png) [click](https://example.org)",
]


def row(**given: Any) -> dict[str, Any]:
    named = {"model": "cnn", "variant": "int8", "target": "host:cpu", "status": "fail", "sentence": "it is slow"}
    return {**dict.fromkeys(COLUMNS), **named, **given}


def test_counts_are_worst_first():
    """As the table is."""
    rows = [row(status=status) for status in ("pass", "error", "pass", "rejected", "not run")]
    assert counts(rows) == "1 error, 1 not run, 2 pass, 1 rejected"
    assert counts([]) == "no cells"


def test_numbers_are_shown_with_their_intervals():
    """A number without an interval stands alone, an unknown one leaves its place empty."""
    measured = row(
        status="pass", top1_percent=98.5, drop_points=0.25, drop_points_low=-0.1, drop_points_high=0.6,
        p50_ms=0.0561, p50_ms_low=None, size_kb=12.34, delegated_nodes=7, graph_nodes=8,
    )  # fmt: skip
    for table in (terminal_table([measured], color=False), markdown([measured], "run")):
        for shown in ("98.50", "0.25 (-0.10 to 0.60)", "0.0561 ", "12.3", "7/8", "cnn/int8/host:cpu"):
            assert shown in table
        assert "None" not in table


def test_mean_is_called_a_mean():
    """Where only the mean is known, the latency column says that it is one."""
    measured = row(status="pass", mean_ms=2.5815, mean_ms_low=2.5, mean_ms_high=2.75)
    assert "mean 2.5815 (2.5000 to 2.7500)" in terminal_table([measured], color=False)


@pytest.mark.parametrize(
    ("status", "explained"), [("error", 1), ("fail", 1), ("not run", 1), ("refused", 1), ("rejected", 1), ("pass", 0)]
)
def test_whatever_did_not_simply_pass_is_explained(status: str, explained: int):
    """With its sentence and its next step, in both tables."""
    found = row(status=status, sentence="it is slow", next_step="make it fast")
    for table in (terminal_table([found], color=False), markdown([found], "run")):
        assert table.count("it is slow") == table.count("make it fast") == explained


def test_numbers_and_names_are_never_cut():
    """On a narrow terminal a line wraps."""
    long = row(variant="v" * 64, p50_ms=123.4567, p50_ms_low=100.0, p50_ms_high=150.0)
    shown = terminal_table([long], color=False)
    assert f"cnn/{'v' * 64}/host:cpu" in shown
    assert "123.4567 (100.0000 to 150.0000)" in shown
    assert "…" not in shown


@pytest.mark.parametrize("text", HOSTILE)
def test_terminal_shows_text_as_it_is(text: str):
    """No markup, link or emoji comes out of a sentence, a next step or a name."""
    shown = terminal_table([row(sentence=text, next_step=text, target=text)], color=False)
    assert shown.count(text) == 4  # the table's name and, below it, name, sentence and next step
    colored = terminal_table([row(sentence=text)], color=True)
    assert "\x1b]8" not in colored  # no link
    assert text in re.sub(r"\x1b\[[0-9;]*m", "", colored)


@pytest.mark.parametrize("text", ["a\x1b[2J\x1b]0;title\x07b", "a\r\nb", "a\u202eb", "a\x9b2Jb"])
def test_control_characters_do_not_reach_the_reader(text: str):
    """Neither a terminal nor a pull request is steered by a converter's message."""
    for table in (terminal_table([row(sentence=text)], color=False), markdown([row(sentence=text)], "run")):
        assert all(sign.isprintable() or sign == "\n" for sign in table)
        assert re.search(r"a .*b", table)


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_shows_text_as_it_is(text: str):
    """Every sign that means something is escaped, so that a reader of the rendered page reads the sentence."""
    found = row(sentence=text, next_step=text)
    page = markdown([found], "run")
    [line] = [line for line in page.splitlines() if line.startswith("- **fail**")]
    said = line.removeprefix("- **fail** `cnn/int8/host:cpu`: ")
    assert not re.search(r"(?<!\\)(\\\\)*[*`<>|\[\]]", said)
    assert html.unescape(re.sub(r"\\([\\`*_\[\]<>|])", r"\1", said)) == f"{text} _Next: {text}_"


def test_markdown_table_has_as_many_cells_as_headers():
    """Also where a name holds the sign between cells."""
    lines = [line for line in markdown([row(variant="a|b")], "run").splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {len(HEADERS) + 1}
