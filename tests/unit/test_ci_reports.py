"""Where findings stand in models.yaml, how those of a line are said together, and what GitHub has room for."""

from __future__ import annotations

from pathlib import Path

import pytest
from edgeworthy.cells import CellId
from edgeworthy.config import load_models
from edgeworthy.records import Change, Checked, Effect, Estimate
from edgeworthy.reports.ci import github
from edgeworthy.reports.ci.comment import LONGEST, comment
from edgeworthy.reports.ci.findings import Finding
from edgeworthy.reports.ci.grouping import grouped
from edgeworthy.reports.ci.places import Place, Places

CELL = CellId("net", "int8", "host:cpu")
MODELS = """\
version: 1
datasets:
  data: {kind: npz, path: data.npz}
models:
  net:
    source: {path: net.onnx}
    dataset: data
    reference: fp32
    variants:
      fp32: {recipe: ort_fp32}
      int8: {recipe: ort_int8_minmax}
budgets:
  - max_p50_ms: 5
    max_size_kb: 10
  - variant: int8
    max_p50_ms: 6
  - {variant: fp32, max_p50_ms: 7}
regression:
  size_percent: 2
"""


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """Of a models.yaml in a folder of the working directory."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "benchmarks" / "models.yaml"
    path.parent.mkdir()
    path.write_text(MODELS)
    return Places(path, *load_models(path))


def check(metric: str, limit: float) -> Checked:
    return Checked(metric, "max", limit, 99.0, None, None, "exact", False)


def change(metric: str, tolerance: str) -> Change:
    effect = Effect(Estimate(3.0), 2.0, "%", "exact", tolerance) if tolerance else None
    return Change(CELL, metric, "regressed", "exact", 1.0, 2.0, "worse", "", effect)


@pytest.mark.parametrize(
    ("checked", "place"),
    [
        (check("p50_ms", 6), (16, "budgets.1.max_p50_ms")),  # the most specific of those that match
        (check("size_kb", 10), (14, "budgets.0.max_size_kb")),
        (check("p50_ms", 5), (11, "models.net.variants.int8")),  # not what models.yaml says: of an option
        (check("drop_points", 1), (11, "models.net.variants.int8")),  # built in
    ],
)
def test_limit_is_where_it_is_set(places: Places, checked: Checked, place: tuple[int, str]) -> None:
    """The budget that decides; never a line whose number is another."""
    assert places.limit(CELL, checked) == Place("benchmarks/models.yaml", *place)


def test_other_places(places: Places) -> None:
    """A tolerance, the default of one, cells that the file does not have, and a file that cannot be read."""
    assert places.tolerance(change("size", "size_percent")).line == 19
    for one in (change("latency", "latency_percent"), change("cell", "")):
        assert places.tolerance(one).key == "models.net.variants.int8"
    assert places.cell(CellId("net", "canary", "host:cpu")) == Place("benchmarks/models.yaml", 5, "models.net")
    assert places.cell(CellId("net", "gone", "host:cpu")).line == 9
    assert places.cell(CellId("gone", "int8", "host:cpu")).line == 4
    unread = Places(Path("benchmarks/models.yaml"))
    assert unread.limit(CELL, check("p50_ms", 6)) == unread.file() == Place("benchmarks/models.yaml", 1, "")


def test_path_is_relative_to_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a checkout that is below the working directory, or above it; outside of both as it is."""
    (tmp_path / "repository" / ".git").mkdir(parents=True)
    models = tmp_path / "repository" / "b" / "models.yaml"
    models.parent.mkdir()
    for folder in (tmp_path, models.parent):
        monkeypatch.chdir(folder)
        assert Places(models).file().path == "b/models.yaml"
    assert Places(Path("/elsewhere/models.yaml")).file().path == "/elsewhere/models.yaml"


def findings(count: int, lines: int, status: str = "fail") -> list[Finding]:
    cells = [CellId("net", f"v{index}", "host:cpu") for index in range(count)]
    return [
        Finding(cell, status, "p50_ms", "too slow, 5 % more", "wait", Place("m.yaml", 1 + index % lines, "budgets"))
        for index, cell in enumerate(cells)
    ]


def test_one_line_is_annotated_once() -> None:
    """With the first cells and the number of the others; improvements are no annotation, waivers one of their own."""
    found = [*findings(7, 1), *findings(1, 1, "waived"), *findings(1, 1, "improved")]
    error, notice = github.workflow_commands(found)
    assert error.startswith(
        "::error file=m.yaml,line=1,title=edgeworthy%3A p50_ms of 7 cells::net/v0/host:cpu: too slow, 5 %25 more"
    )
    assert error.endswith("net/v3/host:cpu: too slow, 5 %25 more Hint: wait; and 3 more cells")
    assert notice.startswith("::notice file=m.yaml,line=1,title=edgeworthy%3A p50_ms of net/v0/host%3Acpu::")


def test_github_shows_ten_annotations_of_a_kind() -> None:
    """The tenth of more says how many it stands for."""
    assert len(grouped(findings(12, 12))) == 12
    assert len(github.workflow_commands(findings(10, 10))) == 10
    shown = github.workflow_commands(findings(12, 12))
    assert len(shown) == 10
    assert shown[-1] == "::error title=edgeworthy::3 more lines of models.yaml: see the summary of the step"


@pytest.mark.parametrize("sign", ["x", "é", "\N{GRINNING FACE}"])
def test_comment_is_cut_at_a_line_to_what_github_takes(sign: str) -> None:
    """Counted in bytes, with the number of lines that are left out; a short one is not touched."""
    page = "".join(f"| {index} {sign * 40} |\n" for index in range(3000))
    body = comment(page, "b/models.yaml")
    assert len(body.encode()) <= LONGEST < len(page.encode())
    *kept, blank, note, end = body.split("\n")
    assert (blank, end) == ("", "")
    assert note == f"{3001 - len(kept)} more lines; the whole of it is in the output of `edgeworthy gate`."
    assert kept[-1].startswith(f"| {len(kept) - 2} ")
    assert comment("short\n", "b/a-->.yaml") == "<!-- edgeworthy gate b/a--%3E.yaml -->\nshort\n"
