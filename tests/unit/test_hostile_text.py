"""Text that is markup, a script, a workflow command, right to left or moves a cursor: text in each place that is not HTML.

Names of models.yaml have letters, digits and a few signs; a run's file may have been written by anybody.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from edgeworthy.cells import CellId
from edgeworthy.judging.gate import GateResult
from edgeworthy.records import Change, Verdict
from edgeworthy.reports import gate_report
from edgeworthy.reports.ci import github
from edgeworthy.reports.ci.comment import comment
from edgeworthy.reports.ci.findings import findings
from edgeworthy.reports.ci.gitlab import code_quality
from edgeworthy.reports.ci.markdown import Links, markdown
from edgeworthy.reports.ci.places import Places
from edgeworthy.reports.compare.comparison import Comparison, Turned
from edgeworthy.reports.compare.sides import OneSide
from edgeworthy.reports.compare.terminal import terminal
from edgeworthy.reports.rows import COLUMNS
from edgeworthy.reports.summary import markdown as summary
from edgeworthy.reports.summary import terminal_table
from edgeworthy.text import one_line
from markdown_it import MarkdownIt

MODELS = Path("models.yaml")
HOSTILE = {
    "markup": "<img src=x onerror=alert(1)> <b>bold</b> &amp; **strong** _it_ `code` | cell",
    "script": "</script><script>alert(1)</script>",
    "quotes": "\"double\" 'single' ``back``",
    "link": "[click](https://example.org) ![x](https://example.org/x.png) @everyone #1",
    "rich": "[bold red]boo[/bold red] [link=https://example.org]x[/link] [/] :rocket:",
    "right to left": "cod\u202egnp.exe \u2066iso\u2069",
    "terminal": "a\x1b[2J\x1b]0;title\x07b\x9b31m",
    "lines": "one\n::error::pwned\r\n# heading\n/merge\n- item\n\n<div>\u2028two",
    "xml": "]]> <!-- --> \x00\x0b\ufffe \ud800",
}
#: Where it stands: in a name, in what is said of a cell, or in what is said of the run.
PLACES = ("name", "message", "hint", "axis", "trouble", "note", "run")


def result(text: str, place: str) -> GateResult:
    """A failed gate with the text in one place."""
    given = {name: text if name == place else "plain" for name in PLACES}
    cell = CellId(given["name"], given["name"], f"{given['name']}:cpu")
    verdict = Verdict(cell, given["axis"], "error", "exact", given["message"], given["hint"])
    change = Change(cell, "size", "regressed", "exact", 1.0, 2.0, given["message"], given["hint"])
    return GateResult(
        given["run"], given["run"], [change], [verdict], [given["trouble"]], [given["note"]], gate_report.REGRESSED
    )


def rows(text: str, place: str) -> list[dict[str, Any]]:
    """A run's rows with the text in one place."""
    given = {name: text if name == place else "plain" for name in PLACES}
    named = {"model": given["name"], "variant": given["name"], "target": f"{given['name']}:cpu", "axis": given["axis"]}
    said = {"status": "fail", "message": given["message"], "hint": given["hint"]}
    return [{**dict.fromkeys(COLUMNS), **named, **said}]


class Rendered(HTMLParser):
    """Markdown as GitHub and GitLab render it: its text, its tags, its links and comments."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.tags, self.links, self.comments = "", set[str](), list[str](), list[str]()
        self.feed(MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(page))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in ("href", "src") and value]

    def handle_comment(self, data: str) -> None:
        self.comments.append(data.strip())

    def handle_data(self, data: str) -> None:
        self.text += data


#: What these pages are made of.
OWN_TAGS = {"h2", "p", "ul", "li", "strong", "em", "code", "table", "thead", "tbody", "tr", "th", "td"}


def check_markdown(page: str, text: str) -> None:
    """It reads as it was written, and is neither markup nor a link, nor calls anybody."""
    found = Rendered(page)
    assert text in found.text.replace("\n", " ")
    assert found.tags <= OWN_TAGS
    assert found.links == []
    assert not any(found.comments)
    outside_code = re.sub(r"(`+).+?\1", "", page)
    assert not re.search(r"@everyone|#1", outside_code)
    check_lines(page)


def check_lines(text: str) -> None:
    """Nothing in it steers a reader, a terminal or a runner of workflows."""
    assert all(sign.isprintable() or sign == "\n" for sign in text)
    assert not any(line.startswith(("::error::pwned", "# heading", "/merge", "- item")) for line in text.splitlines())


def in_gate_text(text: str, place: str) -> None:
    said = gate_report.text(result(text, place))
    check_lines(said)
    assert one_line(text) in said


def in_junit(text: str, place: str) -> None:
    """It is XML, and a reader of it has the text."""
    written = gate_report.junit(result(text, place))
    suites = ElementTree.fromstring(written)
    read = [value for element in suites.iter() for value in (*element.attrib.values(), element.text or "")]
    assert one_line(text) in " ".join(read) or place in ("note", "run")
    assert len(list(suites.iter("testcase"))) == 2
    check_lines("".join(read))


def in_comment(text: str, place: str) -> None:
    gate = result(text, place)
    page = comment(markdown(gate, findings(gate, Places(MODELS)), Links()), "models.yaml").split("\n", 1)[1]
    check_markdown(page, one_line(text))


def in_annotations(text: str, place: str) -> None:
    """Each is one line, one command, whose message a runner reads as it was written."""
    for command in github.workflow_commands(findings(result(text, place), Places(MODELS))):
        match = re.fullmatch(r"::(error|notice) file=([^,]*),line=1,title=([^,:]*)::(.*)", command)
        assert match, command
        check_lines(command)
    said = "\n".join(github.workflow_commands(findings(result(text, place), Places(MODELS))))
    assert one_line(text).replace("%", "%25") in said or place in ("note", "run", "axis")


def in_code_quality(text: str, place: str) -> None:
    entries = json.loads(code_quality(findings(result(text, place), Places(MODELS))))
    values = " ".join(f"{entry['description']} {entry['check_name']}" for entry in entries)
    assert one_line(text) in values or place in ("note", "run")
    check_lines(values)


def in_summary(text: str, place: str) -> None:
    page = summary(rows(text, place), text if place == "run" else "plain", [text if place == "note" else "plain"])
    check_markdown(page, one_line(text) if place not in ("axis", "trouble") else "plain")


def in_table(text: str, place: str) -> None:
    """In a terminal of any width, with colours or without; rich's own are the only escapes."""
    for width in (60, 400):
        for color in (False, True):
            shown = re.sub(r"\x1b\[[0-9;]*m", "", terminal_table(rows(text, place), color, width))
            check_lines(shown)
            assert color or width == 60 or one_line(text) in shown or place not in ("name", "message", "hint")


def in_comparison(text: str, place: str) -> None:
    gate = result(text, place)
    [change], [verdict] = gate.changes, gate.verdicts
    sides = [OneSide(gate.run, {}), OneSide(gate.run, {})]
    turned = Turned(verdict.cell, "pass", "error", verdict.message, verdict.hint)
    shown = terminal(Comparison(*sides, [turned], [change], [], {}), color=False)
    check_lines(shown)
    assert one_line(text) in shown or place in ("axis", "trouble", "note")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize(
    "check",
    [
        in_gate_text, in_junit, in_comment, in_annotations, in_code_quality, in_summary, in_table, in_comparison,
    ],
    ids=lambda check: check.__name__,
)  # fmt: skip
def test_text_is_text(check: Callable[[str, str], None], kind: str, place: str) -> None:
    """Wherever it stands, and wherever it is read."""
    check(HOSTILE[kind], place)
