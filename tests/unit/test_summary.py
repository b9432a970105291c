"""The table for people: counts, numbers, explanations, and text that stays text."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from edgeworthy.reports.columns import layouts
from edgeworthy.reports.rows import COLUMNS
from edgeworthy.reports.summary import counts, markdown, terminal_table

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
    named = {"model": "cnn", "variant": "int8", "target": "host:cpu", "status": "fail", "message": "it is slow"}
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
def test_every_cell_that_did_not_pass_is_explained(status: str, explained: int):
    """With its sentence and its next step, in both tables."""
    found = row(status=status, message="it is slow", hint="make it fast")
    for table in (terminal_table([found], color=False), markdown([found], "run")):
        assert table.count("it is slow") == table.count("make it fast") == explained


def measured(**given: Any) -> dict[str, Any]:
    return row(
        status="pass", top1_percent=98.5, drop_points=0.25, drop_points_low=-0.1, drop_points_high=0.6, p50_ms=0.0561,
        p50_ms_low=0.05, p50_ms_high=0.06, p95_ms=0.07, size_kb=12.34, gzip_kb=10.0, peak_memory_mb=1.5,
        delegated_nodes=7, graph_nodes=8, **given,
    )  # fmt: skip


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 160, 200])
@pytest.mark.parametrize("targets", [["host:cpu"], ["host:cpu", "pixel-8-pro:gpu"]])
def test_the_table_fits_the_terminal(width: int, targets: list[str]):
    """A wider one has more columns; numbers are never cut, and every cell has its accuracy, drop and latency."""
    rows = [measured(variant=variant, target=target) for variant in ("fp32", "int8_float_io") for target in targets]
    table = terminal_table(rows, color=False, width=width)
    assert max(map(len, table.splitlines())) <= width
    assert table.count("98.50") == table.count("0.25") == len(rows)
    assert table.count("0.0561") == len(rows)
    if width >= 80:
        assert len(table.splitlines()) == 2 + len(rows)
        assert table.count("12.3") == len(rows)
    if width == 200:
        assert table.count("0.25 (-0.10 to 0.60)") == table.count("0.0561 (0.0500 to 0.0600)") == len(rows)


@pytest.mark.parametrize(
    ("given", "header", "shown"),
    [
        ({"metric": "top5", "top5_percent": 99.25}, "top-5 %", "99.25"),
        ({"metric": "psnr", "psnr_db": 22.31, "metric_drop_percent": 1.5}, "PSNR dB", "22.31"),
        ({"metric": "mse", "mse": 0.00125, "metric_drop_percent": 1.5}, "mse", "0.001250"),
        ({"metric": "metrics.py:iou", "score": 0.75, "metric_drop_percent": 1.5}, "iou", "0.7500"),
        ({"metric": "metrics.py:wer", "loss": 0.125, "metric_drop_percent": 1.5}, "wer", "0.1250"),
    ],
)
def test_the_table_shows_the_metric_that_the_model_is_judged_by(given: dict[str, Any], header: str, shown: str):
    """With its name as header, or beside the number where models are judged by different ones."""
    judged = row(status="pass", **given)
    lines = terminal_table([judged], color=False).splitlines()
    assert header in lines[1]
    assert shown in lines[2]
    assert ("drop, %" in lines[1]) == ("metric_drop_percent" in given)
    other = row(status="pass", metric="top1", top1_percent=98.5, drop_points=0.5)
    both = terminal_table([judged, other], color=False)
    assert f"{shown} {header}" in both
    assert "98.50 top-1 %" in both
    assert f"{shown} {header}" in markdown([judged, other], "run")


def test_a_cause_that_cells_share_is_said_once():
    """With their number and the first of their names."""
    rows = [row(status="error", variant=f"v{n}", message="cat.png is corrupt", hint="replace it") for n in range(9)]
    for table in (terminal_table(rows, color=False), markdown(rows, "run")):
        assert table.count("cat.png is corrupt") == table.count("replace it") == 1
        assert "9 cells (cnn/v0/host:cpu, cnn/v1/host:cpu, cnn/v2/host:cpu, cnn/v3/host:cpu ...)" in table


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
    shown = terminal_table([row(message=text, hint=text, target=text)], color=False)
    assert shown.count(text) == 4  # the table's name and, below it, name, sentence and next step
    colored = terminal_table([row(message=text)], color=True)
    assert "\x1b]8" not in colored  # no link
    assert text in re.sub(r"\x1b\[[0-9;]*m", "", colored)


@pytest.mark.parametrize("text", ["a\x1b[2J\x1b]0;title\x07b", "a\r\nb", "a\u202eb", "a\x9b2Jb"])
def test_control_characters_do_not_reach_the_reader(text: str):
    """Neither a terminal nor a pull request is steered by a converter's message."""
    for table in (terminal_table([row(message=text)], color=False), markdown([row(message=text)], "run")):
        assert all(sign.isprintable() or sign == "\n" for sign in table)
        assert re.search(r"a.*b", table)


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_shows_text_as_it_is(text: str):
    """Every sign that means something is escaped, so that a reader of the rendered page reads the sentence."""
    found = row(message=text, hint=text)
    page = markdown([found], "run")
    [line] = [line for line in page.splitlines() if line.startswith("- **fail**")]
    said = line.removeprefix("- **fail** `cnn/int8/host:cpu`: ")
    assert not re.search(r"(?<!\\)(\\\\)*[*`<>|\[\]]", said)
    assert html.unescape(re.sub(r"\\([\\`*_\[\]<>|])", r"\1", said)) == f"{text} _Hint: {text}_"


def test_markdown_table_has_as_many_cells_as_headers():
    """Also where a name holds the sign between cells."""
    headers = layouts([row()])[0][0]
    lines = [line for line in markdown([row(variant="a|b")], "run").splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {len(headers) + 3}
