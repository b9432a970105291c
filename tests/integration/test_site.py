"""``edgeworthy site``: pages of a real history, brought up to date run by run."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from edgeworthy.cells import CellId
from edgeworthy.history.database import History
from edgeworthy.history.entry import CellEntry, RunEntry
from edgeworthy.history.location import Location

from tests.browser import chromium, opened
from tests.commands import Ended, edgeworthy

FAST, SLOW, GONE = (CellId("net", variant, "host:cpu") for variant in ("fast", "slow", "gone"))
OTHER = CellId("other", "fp32", "board:cpu")
CANARY = CellId("net", "canary", "host:cpu")
#: ``slow`` is slower from this run on; ``gone`` is not measured any more from the last but one on.
SLOWER, RUNS = 12, 24


def name_of(run: int) -> str:
    return (datetime(2026, 1, 1, 2, tzinfo=UTC) + timedelta(days=run)).strftime("%Y%m%d-%H%M%S-0000")


def record(history: History, run: int) -> None:
    """A night: times with a little noise that is the same every time."""
    noise = 1 + 0.004 * np.random.default_rng(run).standard_normal()
    values = {FAST: 1.0, SLOW: 2.0 if run < SLOWER else 2.6, GONE: 3.0, OTHER: 4.0}
    cells = [
        CellEntry(cell, "pass", "f", {"p50_ms": p50 * noise, "drop_points": 0.25, "size_kb": 12.5}, "d")
        for cell, p50 in values.items()
        if cell != GONE or run < RUNS - 2
    ]
    cells.append(CellEntry(CANARY, "rejected", "f", {"p50_ms": 1.0}, "d"))
    if run == RUNS - 1:
        cells[0] = CellEntry(FAST, "fail", None, {}, None)
    began = (datetime(2026, 1, 1, 2, tzinfo=UTC) + timedelta(days=run)).isoformat(timespec="seconds")
    history.record(RunEntry(name_of(run), began, "complete", f"{run:02}" * 20, False, "0.1.0", "a host", tuple(cells)))


class Page(HTMLParser):
    """A page's text, row by row, and its links."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.rows, self.links, self.title = [""], list[str](), ""
        self.within = ""
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.within = tag
        self.rows += [""] if tag in ("tr", "h1", "h2", "h3", "p") else []
        self.links += [value for name, value in attrs if name == "href" and value and tag == "a"]

    def handle_data(self, data: str) -> None:
        if self.within not in ("script", "style"):
            self.rows[-1] += f" {data.strip()}" if data.strip() else ""

    def row(self, *parts: str) -> str:
        """The one row that has all these parts."""
        [found] = [row for row in self.rows if all(part in row for part in parts)]
        return found.strip()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with a history of all runs but the last, and the reports of three of them."""
    history = History(Location.parse(str(tmp_path / "history.sqlite")))
    for run in range(RUNS - 1):
        record(history, run)
    for run in (SLOWER, RUNS - 3, RUNS - 2):
        folder = tmp_path / "results" / name_of(run)
        folder.mkdir(parents=True)
        (folder / "report.html").write_text(f"<title>{run}</title>")
    (tmp_path / "results" / "latest").symlink_to(name_of(RUNS - 2))
    return tmp_path


def build(root: Path, *more: str) -> Ended:
    return edgeworthy("site", "site", "--history", "history.sqlite", "--results", "results", *more, cwd=root)


def files(root: Path) -> dict[str, int]:
    """Every file of the site -> when it was written."""
    found = (path for path in (root / "site").rglob("*") if path.is_file())
    return {path.relative_to(root / "site").as_posix(): path.stat().st_mtime_ns for path in found}


def test_site_shows_today_trends_and_what_got_worse(site: Path) -> None:
    """A regression with run and revision, linked to its report; what was not measured again does not look like today's."""
    done = build(site)
    assert done.returncode == 0, done.stderr
    index = Page(site / "site" / "index.html")
    assert index.row("1 regression") == "1 regression"
    worse = index.row("net/slow/host:cpu")
    assert re.search(r"p50 latency regressed: it stepped from [12]\.\d+ to 2\.\d+ ms \(\+(29|30)\.\d %\)", worse)
    assert f"beginning with run {name_of(SLOWER)} (revision {'12' * 5})" in worse
    assert f"runs/{name_of(SLOWER)}/report.html#cell=net%2Fslow%2Fhost%3Acpu" in index.links
    assert re.fullmatch(
        r"fast host:cpu ✓ pass (0\.99|1\.0)\d+ ms 0\.25 pp 12\.5 KB 2026-01-23", index.row("fast host:cpu")
    )
    assert re.search(r"not in the newest run , was pass .* 2026-01-22$", index.row("gone host:cpu"))
    assert "canary" not in (site / "site" / "index.html").read_text()
    model = (site / "site" / "models" / "net.html").read_text()
    assert '"cell":"net/slow/host:cpu"' in model
    for page in (site / "site").rglob("*.html"):
        targets = [link.partition("#")[0] for link in Page(page).links]
        assert all((page.parent / target).is_file() for target in targets), (page, targets)


def test_one_more_run_changes_only_what_it_touches(site: Path) -> None:
    """Nothing is written twice; a failing cell shows although nothing regressed; reports that are gone stay, up to --keep."""
    assert "6 files changed" in build(site).stdout  # the index, two models, three reports
    before = files(site)
    assert "nothing changed" in build(site).stdout
    assert files(site) == before
    record(History(Location.parse(str(site / "history.sqlite"))), RUNS - 1)
    shutil.rmtree(site / "results" / name_of(SLOWER))
    assert build(site).returncode == 0
    changed = {name for name, written in files(site).items() if before.get(name) != written}
    assert changed == {"index.html", "models/net.html", "models/other.html"}
    index = Page(site / "site" / "index.html")
    assert index.row("1 regression") == "1 regression, 1 cell fails"
    assert "✕ fail not measured not measured not measured 2026-01-24" in index.row("fast host:cpu")
    assert (site / "site" / "runs" / name_of(SLOWER) / "report.html").is_file()
    assert build(site, "--keep", "1").returncode == 0
    assert [path.name for path in (site / "site" / "runs").iterdir()] == [name_of(RUNS - 2)]
    assert f"runs/{name_of(SLOWER)}/" not in (site / "site" / "index.html").read_text()


def test_folder_of_something_else_is_not_written_into(site: Path) -> None:
    """Status 2, and nothing there is touched; so is a history that is not there."""
    (site / "site").mkdir()
    (site / "site" / "index.html").write_text("mine")
    done = build(site)
    assert (done.returncode, "holds something else than a site" in done.stderr, "Hint: " in done.stderr) == (
        2,
        True,
        True,
    )
    assert list(files(site)) == ["index.html"]
    done = edgeworthy("site", "new", "--history", "nowhere.sqlite", "--results", "results", cwd=site)
    assert (done.returncode, "there is no history yet" in done.stderr) == (2, True)


def test_site_in_a_browser(site: Path) -> None:
    """Trends are drawn; nothing is loaded from elsewhere, nothing is complained of, nothing is too wide for a phone."""
    with chromium() as browser:
        build(site)
        folder = site / "site"
        with opened(browser, folder / "index.html", folder=folder, viewport={"width": 375, "height": 800}) as found:
            assert max(found.widths()) <= 375
            found.page.get_by_role("link", name="net", exact=True).click()
            found.page.locator("#trends").scroll_into_view_if_needed()
            found.page.locator("#trends svg").first.wait_for()
            assert max(found.widths()) <= 375
            found.page.get_by_role("link", name="All models").click()
            found.page.get_by_text("As last measured").wait_for()


def test_hostile_names_stay_text(site: Path) -> None:
    """Of models, variants, targets, runs, revisions and hosts: neither markup nor a script, on no page, and no file elsewhere."""
    hostile = '<img src=x onerror=alert(1)> "&amp; </td> \u202egnp.exe \x1b[31mred ../../up'
    history = History(Location.parse(str(site / "history.sqlite")))
    cell = CellId(f"m {hostile}", f"v {hostile}", f"t:{hostile}")
    for run in range(12):
        entry = CellEntry(cell, "pass", "f", {"p50_ms": 1.0 if run < 6 else 2.0}, "d")
        began = (datetime(2026, 3, 1, 2, tzinfo=UTC) + timedelta(days=run)).isoformat(timespec="seconds")
        name = f"{run:02} {hostile}"
        history.record(RunEntry(name, began, "complete", f"{run} {hostile}", False, "0.1.0", hostile, (entry,)))
    done = build(site)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in site.iterdir()) == ["history.sqlite", "results", "site"]
    pages = list((site / "site").rglob("*.html"))
    with chromium() as browser:
        for page in pages:
            with opened(browser, page, folder=site / "site") as found:
                assert found.page.locator("img").count() == 0
    assert any("<img src=x onerror=alert(1)>" in row for row in Page(site / "site" / "index.html").rows)
