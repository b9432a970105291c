"""Waivers excuse a failing cell for now, and are never forgotten."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from edgeworthy.cells import CellId
from edgeworthy.errors import ConfigError
from edgeworthy.metrics import COMPARED
from edgeworthy.records import Change, ChangeStatus, Verdict
from edgeworthy.verdicts.waivers import Waiver, Waivers
from pydantic import ValidationError

CELL = CellId("cnn", "int8", "host:cpu")
OTHER = CellId("cnn", "fp32", "host:cpu")
TODAY = date(2026, 6, 15)
WAIVER = """
  - model: cnn
    variant: "int*"
    target: host:cpu
    reason: kernel bug
    issue: https://example.org/issues/7
    expires: 2026-06-15
"""


def waivers(folder: Path, text: str = WAIVER, today: date = TODAY) -> Waivers:
    (folder / "waivers.yaml").write_text(f"version: 1\nwaivers:{text}")
    return Waivers.load(folder / "waivers.yaml", today)


def change(status: ChangeStatus, metric: str = "latency", cell: CellId = CELL) -> Change:
    return Change(cell, metric, status, "conclusive", 1.0, 2.0, f"{metric} is {status}", "accept it")


def test_valid_waiver_covers_its_cell_and_gives_the_reason(tmp_path: Path):
    """Also on its last day; the verdict has reason, link, date and line, and is not a pass."""
    verdict = waivers(tmp_path).judge(CELL, [change("regressed"), change("unchanged", "size")])
    assert verdict.status == "waived"
    assert not verdict
    for said in ("2026-06-15", "waivers.yaml:3", "https://example.org/issues/7", "kernel bug", "latency is regressed"):
        assert said in verdict.message
    assert verdict.waived_by == ("waivers.yaml:3",)


def test_every_compared_metric_can_be_waived() -> None:
    """A waiver's metrics are those of the comparison with a baseline."""
    entry = {"model": "*", "variant": "*", "target": "*", "reason": "r", "issue": "https://example.org/7"}
    metrics = {"accuracy", "metric", "agreement", "latency", "load", "memory", "size", "gzip", "delegated"}
    metrics |= {"arena", "flash", "cpu_ops"}
    assert COMPARED.keys() == {"cell", *metrics}
    for metric in metrics:
        assert Waiver.model_validate({**entry, "expires": "2999-01-01", "metric": metric}).metric == metric
    with pytest.raises(ValidationError, match="unknown value 'cell'"):
        Waiver.model_validate({**entry, "expires": "2999-01-01", "metric": "cell"})


@pytest.mark.parametrize("status", ["missing", "new", "not comparable"])
def test_removed_cell_can_be_waived(tmp_path: Path, status: ChangeStatus):
    """Every failure of the cell is covered."""
    assert waivers(tmp_path).judge(CELL, [change(status, "cell")]).status == "waived"


def test_other_cells_still_fail(tmp_path: Path):
    """A waiver covers the cells that its globs match."""
    assert waivers(tmp_path).judge(OTHER, [change("regressed", cell=OTHER)]).status == "fail"


def test_waiver_of_one_metric_covers_no_other(tmp_path: Path):
    """A waived latency does not excuse a size, nor a broken budget, nor a removed cell."""
    found = waivers(tmp_path, WAIVER + "    metric: latency\n")
    assert found.judge(CELL, [change("regressed")]).status == "waived"
    verdict = found.judge(CELL, [change("regressed"), change("regressed", "size")])
    assert verdict.status == "fail"
    assert verdict.message.startswith("regressed: size is regressed; waived until")
    assert found.judge(CELL, [change("missing", "cell")]).status == "fail"
    assert found.waive(Verdict(CELL, "latency", "fail", "exact", "slow")).status == "fail"


def test_failures_and_errors_are_waived_and_passes_are_not(tmp_path: Path):
    """A failure of any axis is waived; what passes passes."""
    found = waivers(tmp_path)
    statuses = {
        status: found.waive(Verdict(CELL, "accuracy", status, "exact", "said")).status
        for status in ("fail", "error", "pass", "refused")
    }
    assert statuses == {"fail": "waived", "error": "waived", "pass": "pass", "refused": "refused"}


def test_expired_waiver_is_reported_and_covers_nothing(tmp_path: Path):
    """The day after its last."""
    found = waivers(tmp_path, today=date(2026, 6, 16))
    assert found.judge(CELL, [change("regressed")]).status == "fail"
    [said] = found.expired
    assert said.startswith("waivers.yaml:3: the waiver of cnn/int*/host:cpu expired on 2026-06-15")


def test_unneeded_waiver_is_reported_after_its_cells_were_judged(tmp_path: Path):
    """Not before: a run without the cell says nothing of it."""
    found = waivers(tmp_path)
    green = found.judge(CELL, [change("unchanged")])
    [said] = found.unneeded([green])
    assert "no longer needed" in said
    assert found.unneeded([found.judge(OTHER, [change("unchanged", cell=OTHER)])]) == []
    assert found.unneeded([green, found.judge(CELL, [change("regressed")])]) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (WAIVER.replace("cnn", "cnm"), "waivers.yaml:3: waivers.0.model: unknown model 'cnm'; did you mean 'cnn'?"),
        (WAIVER.replace("int*", "int4"), "waivers.yaml:4: waivers.0.variant: unknown variant 'int4'"),
        (WAIVER.replace("host:cpu", "host:gpu"), "waivers.yaml:5: waivers.0.target: unknown target 'host:gpu'"),
    ],
)
def test_unknown_cell_is_an_error_with_the_nearest_name(tmp_path: Path, text: str, said: str):
    """A waiver of nothing is a typo; expired ones are checked as well."""
    for today in (TODAY, date(2027, 1, 1)):
        with pytest.raises(ConfigError) as caught:
            waivers(tmp_path, text, today).check_names([CELL, OTHER])
        assert said in caught.value.message
    waivers(tmp_path).check_names([CELL, OTHER])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (WAIVER.replace("    reason: kernel bug\n", ""), "waivers.yaml:3: waivers.0.reason: this key is missing"),
        (WAIVER.replace("kernel bug", '""'), "waivers.yaml:6: waivers.0.reason: "),
        (WAIVER.replace("https://example.org/issues/7", "see mail"), "waivers.yaml:7: waivers.0.issue: "),
        (WAIVER.replace("2026-06-15", "soon"), "waivers.yaml:8: waivers.0.expires: "),
        (WAIVER + "    metric: speed\n", "waivers.yaml:9: waivers.0.metric: unknown value 'speed'"),
        (WAIVER + "    until: never\n", "waivers.yaml:9: waivers.0.until: unknown key 'until'"),
        (" 7\n", "waivers.yaml:2: waivers: "),
    ],
)
def test_wrong_file_is_an_error_with_line_and_key(tmp_path: Path, text: str, said: str):
    """As with models.yaml."""
    with pytest.raises(ConfigError) as caught:
        waivers(tmp_path, text)
    assert said in caught.value.message


def test_no_file_means_no_waivers(tmp_path: Path):
    """Nothing is waived, nothing is wrong."""
    found = Waivers.load(tmp_path / "waivers.yaml")
    found.check_names([])
    assert (found.active, found.expired) == ([], [])
