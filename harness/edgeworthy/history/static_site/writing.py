"""The site's files: what has not changed is not written again, and reports of runs that are gone stay for a while."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from edgeworthy.errors import StoreError
from edgeworthy.history.database import History
from edgeworthy.history.page_trends import shown_trend
from edgeworthy.history.static_site.state import CellState, ModelState, Regression, states
from edgeworthy.history.trend import revision
from edgeworthy.metrics import METRICS
from edgeworthy.reports.html import page
from edgeworthy.reports.html.statuses import SIGNS
from edgeworthy.reports.html.template import render
from edgeworthy.schema import NAME
from edgeworthy.storage import digest, write_atomically, writing

#: Says that a folder is a site, which may be written into.
MARK = ".edgeworthy-site"
REPORTS = "runs"


def write_site(history: History, results: Path, out: Path, keep: int) -> list[Path]:
    """Bring the site in ``out`` up to date; the files that were written, or taken away.

    The newest ``keep`` reports are in it, of runs that ``results`` no longer has too. Raises HistoryError, and StoreError
    where the folder holds something else.
    """
    _begin(out)
    changed = _reports(results, out / REPORTS, keep)
    kept = {path.parent.name for path in (out / REPORTS).glob(f"*/{page.NAME}")}
    found = states(history)
    pages = {_page_of(model.model): _model_page(model, kept) for model in found}
    pages["index.html"] = _index(found, kept)
    gone = [path for path in (out / "models").glob("*.html") if f"models/{path.name}" not in pages]
    for path in gone:
        path.unlink()
    return [*changed, *gone, *(out / name for name, text in pages.items() if _written(out / name, text.encode()))]


def _page_of(model: str) -> str:
    """Where a model's page is. A history holds whatever was written into it: what no models.yaml has is no file's name."""
    return f"models/{model if re.fullmatch(NAME, model) else digest([model])}.html"


def _begin(out: Path) -> None:
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file():
        raise StoreError(
            f"{out}: holds something else than a site of edgeworthy's",
            hint="name an empty folder, or one that does not exist",
        )
    with writing(out):
        for folder in (out / REPORTS, out / "models"):
            folder.mkdir(parents=True, exist_ok=True)
    _written(out / MARK, b"")


def _written(path: Path, content: bytes) -> bool:
    """Whether the file had to be written."""
    if path.is_file() and path.read_bytes() == content:
        return False
    write_atomically(path, content)
    return True


def _reports(results: Path, into: Path, keep: int) -> list[Path]:
    """Take in the reports of kept runs that are not there yet, the newest ``keep`` in all."""
    kept = {path.parent.name: path for path in results.glob(f"*/{page.NAME}") if not path.parent.is_symlink()}
    names = sorted({*kept, *(path.name for path in into.iterdir())}, reverse=True)
    changed = []
    for name in names[:keep]:
        if name in kept and not _same(kept[name], into / name / page.NAME):
            with writing(into / name):
                (into / name).mkdir(exist_ok=True)
                shutil.copy2(kept[name], into / name / page.NAME)
            changed.append(into / name / page.NAME)
    for name in names[keep:]:
        if (into / name).is_dir():
            shutil.rmtree(into / name)
            changed.append(into / name)
    return changed


def _same(report: Path, copy: Path) -> bool:
    """By size and time, which a copy keeps: reading hundreds of reports would take as long as writing them."""
    if not copy.is_file():
        return False
    one, other = report.stat(), copy.stat()
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


def _index(found: Sequence[ModelState], kept: set[str]) -> str:
    regressions = [each for model in found for each in model.regressions]
    regressions.sort(key=lambda each: each.finding.began.began_utc, reverse=True)
    newest = max(
        (cell.newest for model in found for cell in model.cells), key=lambda point: point.began_utc, default=None
    )
    context = {
        "models": [
            (model.model, _page_of(model.model), [_line(cell, kept) for cell in model.cells]) for model in found
        ],
        "regressions": [_regression(each, kept) for each in regressions],
        "failing": sum(cell.fails for model in found for cell in model.cells),
        "newest": newest,
        "revision": revision(newest) if newest else "",
        "edgeworthy": metadata.version("edgeworthy"),
    }
    return render("site.html.jinja", context)


def _model_page(model: ModelState, kept: set[str]) -> str:
    trends = [page.drawn_trend(shown_trend(trend)) for cell in model.cells for trend in cell.trends]
    context = {
        "model": model.model,
        "lines": [_line(cell, kept) for cell in model.cells],
        "regressions": [_regression(each, kept) for each in model.regressions],
        "failing": sum(cell.fails for cell in model.cells),
        "data": {"trends": trends, "signs": SIGNS},
        "edgeworthy": metadata.version("edgeworthy"),
    }
    return render("site_model.html.jinja", context)


def _line(state: CellState, kept: set[str]) -> dict[str, Any]:
    """A row of the table of cells."""
    known = state.newest
    return {
        "cell": state.cell,
        "status": known.status,
        "current": state.current,
        "values": [None if each is None else (each[1], METRICS[each[0]].shown(each[1])) for each in state.values],
        "run": known.run,
        "day": known.began_utc[:10],
        "report": known.run in kept,
    }


def _regression(found: Regression, kept: set[str]) -> dict[str, Any]:
    began = found.finding.began
    return {
        "cell": found.cell,
        "page": _page_of(found.cell.model),
        "message": found.finding.message(),
        "day": began.began_utc[:10],
        "run": began.run,
        "revision": revision(began),
        "report": began.run in kept,
    }
