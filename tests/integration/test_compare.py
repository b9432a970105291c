"""``edgeworthy compare``: what changed between two runs, or a run and its baseline, in the terminal and as a page."""

from __future__ import annotations

import dataclasses
import html
import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from edgeworthy.runs.run_file import RunFile
from edgeworthy.runs.verdict_log import VerdictLog
from edgeworthy.text import one_line

from tests.browser import chromium, opened
from tests.integration import test_gate as stored
from tests.integration.conftest import Project
from tests.integration.test_gate import INT8, REFERENCE, Said, labels, seed, spoil, timing_of, values_of

HOSTILE = "<script>alert('x')</script> [red]&amp;[/red] `a` | \u202egnp.exe \x1b[31m"
measured, project, accepted, edgeworthy = stored.measured, stored.project, stored.accepted, stored.edgeworthy


@dataclasses.dataclass(frozen=True)
class Changed:
    """What was changed in the later run: the samples that are lost, and won."""

    lost: list[int]
    gained: list[int]


@pytest.fixture
def changed(accepted: Project) -> Changed:
    """The accepted run as ``earlier``, and ``results/latest``, in which one cell is worse in every way and one is gone."""
    shutil.copytree(Path("results/latest").resolve(), "earlier")
    right = values_of().argmax(axis=1) == labels()
    seed(values=spoil(14, 3), samples_ns=timing_of().samples_ns * 3, size_bytes=5_000_000)
    run = RunFile.read(Path("results/latest"))
    dataclasses.replace(run, cells=[cell for cell in run.cells if cell != REFERENCE[1]]).write()
    log = VerdictLog(Path("results/latest"), "seeded")
    latency = next(verdict for verdict in log.read() if verdict.cell == INT8 and verdict.axis == "latency")
    log.add(dataclasses.replace(latency, status="fail", message=HOSTILE, hint=HOSTILE))
    return Changed(np.flatnonzero(right)[:14].tolist(), np.flatnonzero(~right)[:3].tolist())


def test_verdicts_come_first_then_metrics_times_and_samples(changed: Changed, edgeworthy: Callable[..., Said]) -> None:
    """Of two runs: in this order, with the samples' numbers, both distributions in the same bars, and hostile text as text."""
    done = edgeworthy("compare", "earlier", "results/latest")
    assert done.status == 0, done.out
    lines = done.out.splitlines()
    assert lines[0] == "A: earlier, a run, 6 cells"
    assert lines[1] == "B: results/latest, a run, 5 cells"
    assert lines[2] == "verdicts: 2 changes"
    assert lines[3] == f"  pass -> not there: {REFERENCE[1]}"
    assert lines[4] == f"  pass -> fail: {INT8}: {one_line(HOSTILE)}"
    assert lines[5] == f"      hint: {one_line(HOSTILE)}"
    assert "\x1b" not in done.out
    rows = [line.split() for line in lines if line.startswith("regressed")]
    assert {(row[1], row[2]) for row in rows} == {
        (str(INT8), metric) for metric in ("accuracy", "agreement", "latency", "size")
    }
    own = done.out.partition(f"\n{INT8}\n")[2]
    assert f"lost: 14 of 697 samples ({', '.join(map(str, changed.lost[:8]))} ...)" in own
    assert f"gained: 3 of 697 samples ({', '.join(map(str, changed.gained))})" in own
    before, after = (re.search(rf"^    {letter} (\S+) (\S+) of (\d+)", own, re.MULTILINE) for letter in "AB")
    assert before
    assert after
    assert len(before[1]) == len(after[1]) == 24
    assert float(after[2]) == pytest.approx(3 * float(before[2]), rel=0.01)
    assert before[3] == after[3]
    assert max(place for place, bar in enumerate(before[1]) if bar != "·") < min(
        place for place, bar in enumerate(after[1]) if bar != "·"
    )
    assert lines[-1] == "4 cells as before"


def test_baseline_has_the_same_samples_as_its_run(changed: Changed, edgeworthy: Callable[..., Said]) -> None:
    """What a baseline keeps of predictions is enough to name what flipped; of times it keeps one for each reload."""
    by_run, by_baseline = (
        edgeworthy("compare", before, "results/latest").out for before in ("earlier", "results/baselines")
    )
    assert by_baseline.splitlines()[0] == "A: results/baselines, accepted baselines, 6 cells"
    assert f"  accepted -> fail: {INT8}: " in by_baseline
    for kind in ("lost", "gained"):
        [line] = re.findall(rf"^  {kind}: .*", by_run, re.MULTILINE)
        assert line in by_baseline.splitlines()
    assert "median of a reload" in by_baseline
    assert re.search(r"^    A \S+ \S+ of 3$", by_baseline, re.MULTILINE)
    assert "verdicts: none changed" in edgeworthy("compare", "results/baselines", "earlier").out


def test_other_samples_are_not_compared(changed: Changed, edgeworthy: Callable[..., Said], accepted: Project) -> None:
    """A reason instead of flips; the exit status stays 0, since nothing is judged."""
    path = Path("results/baselines/linear.json")
    checksum = re.search(r'"dataset": "(\w+)"', path.read_text())
    assert checksum
    path.write_text(path.read_text().replace(checksum[1], "0" * len(checksum[1])))
    done = edgeworthy("compare", "results/baselines", "results/latest")
    assert done.status == 0
    assert "  samples: the samples differ (dataset 000000000000 -> " in done.out
    assert "lost:" not in done.out


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ("nowhere", "results/latest", "no baselines at 'nowhere'"),
        ("results/latest", "damaged", "damaged"),
    ],
)
def test_what_is_no_side_is_refused(
    changed: Changed, edgeworthy: Callable[..., Said], a: str, b: str, said: str
) -> None:
    """Status 2, with a hint."""
    Path("damaged").mkdir()
    Path("damaged/run.json").write_text("{")
    done = edgeworthy("compare", a, b)
    assert (done.status, said in done.out, "Hint: " in done.out) == (2, True, True), done.out


class Page(HTMLParser):
    """A page: its text without scripts and styles, its tags, and what it would load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.tags, self.loaded = "", list[str](), list[str]()
        self.numbers: list[float] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [value for name, value in attrs if name in ("src", "href") and value]
        self.numbers += [float(value) for name, value in attrs if tag == "data" and name == "value" and value]

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] not in (["script"], ["style"]):
            self.text += data


def test_page_says_the_same_and_loads_nothing(changed: Changed, edgeworthy: Callable[..., Said]) -> None:
    """One file with pictures of the samples that flipped; its numbers are those of the changes, to the digit."""
    done = edgeworthy("compare", "earlier", "results/latest", "--html", "page.html")
    assert done.status == 0, done.out
    assert done.out.splitlines()[-1] == "wrote page.html"
    written = Path("page.html").read_text()
    page = Page(written)
    assert page.tags.count("script") == 4  # data, the two of the charts, the page's own
    assert page.loaded == ["data:,"]
    assert "default-src 'none'" in html.unescape(written)
    assert page.text.count(one_line(HOSTILE)) == 2
    assert {5000.0, timing_of().samples_ns[0] / 1e6} <= set(page.numbers)
    [embedded] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', written)
    data = json.loads(embedded)
    [pairs] = [section["pairs"] for section in data["sections"] if section["pairs"]["groups"]]
    shown = {group["title"]: (group["count"], [each["index"] for each in group["shown"]]) for group in pairs["groups"]}
    assert shown == {"Lost": (14, changed.lost[:8]), "Gained": (3, changed.gained)}
    assert {f"linear/{index}" for _, indices in shown.values() for index in indices} == data["pictures"].keys()
    assert len(written.encode()) < 1_000_000


def test_page_in_a_browser(changed: Changed, edgeworthy: Callable[..., Said]) -> None:
    """Both distributions are drawn, pictures are shown; nothing is loaded, nothing is complained of, nothing is too wide."""
    with chromium() as browser:
        edgeworthy("compare", "earlier", "results/latest", "--html", "page.html")
        with opened(browser, Path("page.html").resolve(), viewport={"width": 375, "height": 800}) as found:
            found.page.locator("details[open] .spread").scroll_into_view_if_needed()
            found.page.locator("details[open] .spread svg").wait_for()
            assert "Lost: 14 of 697" in found.page.locator("details[open]").inner_text()
            found.page.locator("details:not([open]) summary").first.click()
            found.page.get_by_text("None: all 697 samples have the prediction of A.").wait_for()
            shown = found.page.evaluate("[...document.images].map((image) => image.naturalWidth)")
            width, seen = found.widths()
    assert len(shown) == 8 + 3
    assert all(shown)
    assert width <= seen
