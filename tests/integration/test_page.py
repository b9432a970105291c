"""``report.html`` in a real browser: what it shows, how it is used, and what must never happen in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pandas as pd
import pytest
from edgeworthy.metrics import METRICS
from edgeworthy.reports.frames import load_run

from tests.browser import chromium, opened
from tests.integration.conftest import Digits, Project, make_project
from tests.integration.page_project import HOSTILE, with_every_status

#: Widths of a phone and of a large screen.
NARROW, WIDE = {"width": 375, "height": 800}, {"width": 1920, "height": 1080}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, digits: Digits, shared_store: Path) -> Project:
    """A project with two runs: cells of every status; the second compared with the first."""
    project = with_every_status(make_project(tmp_path_factory.mktemp("page"), digits, shared_store))
    for arguments in (
        ["run"],
        ["baseline", "accept", "--target", "host:cpu", "--reason", "first"],
        ["run", "--baseline", "results/baselines"],
    ):
        done = project.edgeworthy(*arguments)
        assert done.returncode in (0, 1), done.stdout + done.stderr
    return project


@pytest.fixture(scope="module")
def runs(measured: Project) -> list[Path]:
    """The folders of both runs."""
    return sorted(path for path in (measured.root / "results").glob("2*") if path.is_dir())


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


def state(page: Any) -> dict[str, str]:
    """What the address says."""
    return {name: values[0] for name, values in parse_qs(page.evaluate("location.hash.slice(1)")).items()}


def test_each_status_is_told_apart_and_what_fails_comes_first(runs: list[Path], browser: Any) -> None:
    """A reader's questions in their order; no unknown number is shown as a zero."""
    with opened(browser, runs[0] / "report.html") as found:
        page = found.page
        assert page.title() == f"May not ship: {runs[0].name}"
        assert found.texts("h1") == ["✕ May not ship"]
        sections = page.eval_on_selector_all("#overview > section", "all => all.map(one => one.id)")
        order = ["failing", "not-judged", "matrix", "choosing", "cells", "baseline", "history", "run"]
        assert sections == order
        failing, others = found.texts("#failing .cause"), found.texts("#not-judged .cause")
        assert "linear/ort_fp32/stand:lossy" in failing[0]
        assert "accuracy lost against the reference 15." in failing[0]
        assert "Hint: " in failing[0]
        assert [text.split()[0] for text in others] == ["~waived", "○absent", "⊘refused"]
        shown = {
            status: page.evaluate(
                "one => { const s = getComputedStyle(one); return s.background + s.outline + one.innerText }", cell
            )
            for status in ("pass", "fail", "waived", "absent", "refused", "not-comparable", "rejected")
            for cell in [page.query_selector(f"#matrix td.{status}")]
        }
        assert len(set(shown.values())) == len(shown)
        page.get_by_label("Latency", exact=True).check()
        assert {text for status in ("absent", "refused") for text in found.texts(f"#matrix td.{status}")} == {
            "○\nabsent",
            "⊘\nrefused",
        }
        assert all("ms" in text for text in found.texts("#matrix td.pass"))


def test_every_number_is_that_of_cells_parquet(runs: list[Path], browser: Any) -> None:
    """In the matrix, the table and the sections of cells: the value to the last bit, the text with the metric's digits."""
    cells = load_run(runs[0]).cells
    seen = 0
    with opened(browser, runs[0] / "report.html") as found:
        page = found.page
        for place, row in enumerate(cells.to_dict("records")):
            name = f"{row['model']}/{row['variant']}/{row['target']}"
            page.evaluate("name => { location.hash = new URLSearchParams({cell: name}) }", name)
            page.wait_for_selector(f"#chosen h2:has-text('{name}')")
            numbers = page.evaluate(
                "place => [...document.querySelectorAll(`[data-place='${place}'] data, #chosen data`)]"
                ".map(one => [one.dataset.column, one.value, one.textContent])",
                place,
            )
            assert {column for column, _, _ in numbers} == {name for name in METRICS if not pd.isna(row[name])} | {
                column for column, value, _ in numbers if value == "nan"
            }
            for column, value, text in numbers:
                assert value == "nan" if pd.isna(row[column]) else float(value) == row[column], (name, column)
                assert text == ("unknown" if pd.isna(row[column]) else METRICS[column].shown(row[column]))
            seen += len(numbers)
    assert seen > 200


def test_the_address_holds_filters_order_and_the_chosen_cell(runs: list[Path], browser: Any) -> None:
    """What is filtered, sorted and opened is in the address, and an address opens the same; the keyboard reaches all of it."""
    with opened(browser, runs[0] / "report.html") as found:
        page = found.page
        page.get_by_label("Find").fill("ORT_FP32 stand")
        assert page.inner_text("#found") == "3 of 20 cells"
        assert all("ort_fp32/stand" in text for text in found.texts("#numbers tbody th"))
        page.keyboard.press("Tab")  # the first status
        page.keyboard.press("Space")
        assert state(page) == {"find": "ORT_FP32 stand", "status": "fail"}
        assert found.texts("#numbers tbody th") == ["linear/ort_fp32/stand:lossy"]
        page.get_by_role("button", name="All cells").press("Enter")
        assert state(page) == {}
        page.get_by_role("button", name="Latency").press("Enter")
        page.get_by_role("button", name="Latency").press("Enter")
        assert state(page) == {"sort": "-latency"}
        assert page.get_attribute("th[data-sort=latency]", "aria-sort") == "descending"
        times = page.eval_on_selector_all("#numbers [data-column=p50_ms]", "all => all.map(one => Number(one.value))")
        assert times == sorted(times, reverse=True)
        assert len(times) == 8
        page.locator("#numbers a").first.press("Enter")
        cell = state(page)["cell"]
        assert page.evaluate("document.activeElement.innerText").startswith(cell)
        assert not page.is_visible("#overview")
        page.go_back()
        page.wait_for_selector("#overview")
        address = page.evaluate("location.hash.slice(1)")
    with opened(browser, runs[0] / "report.html", f"#{address}&cell=linear/ort_dynamic/stand:lossy") as found:
        assert found.texts("#chosen h2") == ["linear/ort_dynamic/stand:lossy ~waived"]
        found.page.get_by_text("Back to all cells").click()
        assert found.page.get_attribute("th[data-sort=latency]", "aria-sort") == "descending"


def test_a_cell_shows_the_samples_it_lost(runs: list[Path], browser: Any) -> None:
    """Pictures with what both models say of them, the reloads, and commands."""
    with opened(browser, runs[0] / "report.html", "#cell=linear/ort_dynamic/stand:lossy") as found:
        page = found.page
        assert any(re.fullmatch(r"Lost: 1\d\d of 697", text) for text in found.texts("#chosen h4"))
        assert page.eval_on_selector_all(".samples img", "all => all.every(one => one.naturalWidth === 8)")
        first = found.texts(".samples li")[0].split()
        target, reference, cell = (
            first[first.index(name) + by] for name, by in (("target", 1), ("reference", 1), ("cell", 1))
        )
        assert target == reference != cell
        assert page.locator(".latency svg").count() == 2
        assert "edgeworthy run --model linear --variant ort_dynamic --target stand:lossy" in page.inner_text(
            ".commands"
        )
        assert "waivers.yaml:" in page.inner_text("#chosen table")
        assert "41" in page.inner_text("#chosen")  # the stand's temperature


def test_the_baseline_and_the_history_are_beside_it(runs: list[Path], browser: Any) -> None:
    """The second run says what changed since the first, draws both, and has the reloads of both in a cell's section."""
    with opened(browser, runs[1] / "report.html") as found:
        page = found.page
        new = found.texts("#baseline tbody tr")
        assert any(text.startswith("new\tlinear/ort_fp32/stand:good\t\tthe cell has no baseline") for text in new)
        page.locator("#baseline summary").click()
        unchanged = [text.split("\t") for text in found.texts("#baseline tbody tr")]
        [latency] = [text for text in unchanged if text[1:3] == ["linear/ort_fp32/host:cpu", "p50 latency"]]
        assert latency[6:] == ["100 %", "the same artifact, in two sessions", "exact"]
        assert latency[3].endswith(" ms")
        assert " to " in latency[5]
        page.locator("#trends figure").last.scroll_into_view_if_needed()
        page.wait_for_selector("#trends figure:last-child svg")
        page.evaluate("location.hash = 'cell=linear/ort_fp32/host:cpu'")
        label = page.locator(".latency svg").first.get_attribute("aria-label")
        assert "this run" in label
        assert "baseline" in label


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
def test_anybody_can_read_it(runs: list[Path], browser: Any, scheme: str, size: dict[str, int]) -> None:
    """axe-core finds nothing, and nothing is wider than the screen, in the overview and in a cell's section."""
    for hash_ in ("", "#cell=linear/ort_dynamic/stand:lossy"):
        with opened(browser, runs[1] / "report.html", hash_, color_scheme=scheme, viewport=size) as found:
            found.page.evaluate("[...waiting.keys()].forEach(drawNow)")
            assert found.violations() == []
            assert max(found.widths()) <= size["width"]


def test_it_can_be_written_again(measured: Project, runs: list[Path]) -> None:
    """By a command, with what the history knows by now: the first run has a second one beside it."""
    page = runs[0] / "report.html"
    assert '"trends":[]' in page.read_text()
    page.unlink()
    done = measured.edgeworthy("report", f"results/{runs[0].name}", "--html")
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"trends":[{"cell":"linear/' in page.read_text()
    assert '"pictures":{"linear/' in page.read_text()


def test_hostile_text_is_text(runs: list[Path], browser: Any) -> None:
    """Markup, a script and quotes of a recipe's message are read, not run; what is not printable is an escape."""
    with opened(browser, runs[0] / "report.html", "#cell=linear/never/host:cpu") as found:
        said = HOSTILE.replace("\u202e", "\\u202e").replace("\x1b", "\\x1b")
        assert said in found.texts("#chosen .message")
        assert said in found.texts("#not-judged .message") or not found.page.is_visible("#overview")
        policy = found.page.get_attribute("meta[http-equiv]", "content")
        assert "default-src 'none'" in policy
        assert "unsafe-" not in policy


def test_it_prints_light_and_whole(runs: list[Path], browser: Any, tmp_path: Path) -> None:
    """On paper there are no controls, and every picture is drawn."""
    with opened(browser, runs[1] / "report.html", color_scheme="dark") as found:
        page = found.page
        page.pdf(path=tmp_path / "report.pdf")
        page.emulate_media(media="print")
        assert not page.is_visible("#filters")
        assert page.evaluate("waiting.size") == 0
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
