"""``edgeworthy tune`` finds what a person would ship, in the time that it is given, and remembers what it measured."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.commands import Ended, edgeworthy
from tests.integration.conftest import make_project
from tests.integration.test_tasks import add_task

if TYPE_CHECKING:
    from tests.integration.conftest import Digits, Project


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, digits: Digits) -> Project:
    """The tiny project with one hand-written variant beside its reference, in a store of its own."""
    folder = tmp_path_factory.mktemp("tune")
    project = make_project(folder, digits, folder / "store")
    project.models["models"]["linear"]["variants"] = {"ort_fp32": None, "ort_float16": None}
    project.devices["devices"]["host"]["backends"]["cpu"]["runtimes"] = ["onnxruntime"]
    project.write()
    return project


def tune(project: Project, *arguments: str) -> Ended:
    # A state folder of its own has device locks of its own: waiting for another run would use up the minutes.
    environment = {**project.environment(), "XDG_STATE_HOME": str(project.root / "state")}
    return edgeworthy("tune", *arguments, cwd=project.root, env=environment, timeout=900)


def rows(done: Ended) -> dict[str, list[str]]:
    """Variant -> the words of its row, the mark first."""
    table = done.stdout.partition("failed on\n")[2].partition("\n\n")[0]
    split = [line.split() if line.startswith("*") else ["", *line.split()] for line in table.splitlines()]
    return {words[1]: words for words in split if len(words) > 1}


def test_search_beats_the_hand_written_variant_and_a_second_one_is_warm(repository: Project) -> None:
    """An 8-bit variant is smaller than float16; it is printed to paste, passes the suite, and is not measured again."""
    first = tune(repository, "linear", "--minutes", "12")
    assert first.returncode == 0, first.stderr + first.stdout
    assert "trying ort_int8_minmax" in first.stderr
    found = rows(first)
    assert {"ort_fp32", "ort_float16", "ort_dynamic", "ort_int8_minmax"} <= found.keys()
    assert any(words[0] == "*" for words in found.values())

    second = tune(repository, "linear", "--minutes", "12")
    assert second.returncode == 0, second.stderr
    assert "converting" not in second.stderr
    assert "running the reference" not in second.stderr
    assert rows(second) == found, "the same measurements"

    if "for the variants of linear in models.yaml" in second.stdout:
        pasted = yaml.safe_load(second.stdout.partition("in models.yaml:")[2])
        (name,) = pasted
        size, own = (float(found[variant][3]) for variant in (name, "ort_float16"))
        assert size <= own
        repository.models["models"]["linear"]["variants"].update(pasted)
        assert repository.run("-k", f"accuracy and {name}").returncode == 0
    else:
        assert "which models.yaml has" in second.stdout


def test_what_breaks_a_budget_is_not_timed(repository: Project) -> None:
    """Too large: not run at all. Not accurate enough: not timed. Both say why, and nothing fits is status 1."""
    budgets = repository.models["budgets"]
    repository.models["budgets"] = [{"variant": "ort_f*", "max_size_kb": 0.1}, {"min_top1_percent": 99.9}]
    repository.write()
    done = tune(repository, "linear", "--minutes", "12")
    repository.models["budgets"] = budgets
    repository.write()
    assert done.returncode == 1
    assert "no tried variant keeps all budgets" in done.stdout
    found = rows(done)
    assert found["ort_float16"][4:6] == ["file", "size"]
    assert found["ort_int8_minmax"][6:8] == ["top-1", "accuracy"]


def test_a_task_is_searched_by_its_own_metric(tmp_path: Path, digits: Digits) -> None:
    """Word errors, of which fewer are better: shown with what is lost, and a budget of them keeps the bad variant out."""
    project = make_project(tmp_path, digits, tmp_path / "store")
    project.devices["devices"]["host"]["backends"]["cpu"]["runtimes"] = ["onnxruntime"]
    add_task(project, "reader")
    project.models["budgets"] = [{"model": "reader", "max_wer_percent": 50, "max_drop_points": 50}]
    project.write()
    done = tune(project, "reader", "--minutes", "12")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "on the Pareto front of size, latency and word error rate (*)" in done.stdout
    assert "WER %  lost, pp  p50 ms" in done.stdout

    answer = json.loads(tune(project, "reader", "--minutes", "12", "--json").stdout)
    found = {one["variant"]: one for one in answer["tried"]}
    right, off = found["ort_fp32"]["metrics"], found["off"]["metrics"]
    assert answer["metric"] == "wer"
    assert right["wer_percent"] < 50 < off["wer_percent"]
    assert off["drop_points"] == pytest.approx(off["wer_percent"] - right["wer_percent"])
    assert off["p50_ms"] is None
    assert found["off"]["failed_on"].startswith("word error rate")
    assert answer["recommended"] in answer["pareto_front"]
    assert "off" not in answer["pareto_front"]


def test_time_is_kept(repository: Project, tmp_path: Path) -> None:
    """Six seconds are not enough to convert and measure everything; what was not come to is said, and it ends."""
    repository.store = tmp_path / "cold"
    plan = repository.models["latency"]
    repository.models["latency"] = {**plan, "min_load_ms": 1500}  # so that this holds on any machine
    repository.write()
    begun = time.monotonic()
    done = tune(repository, "linear", "--minutes", "0.1")
    repository.models["latency"] = plan
    repository.write()
    assert time.monotonic() - begun < 120, "far less than all would take here, however busy the machine is"
    assert done.returncode in (0, 1, 2)
    assert "time limit reached; not tried:" in done.stderr or "the time limit was reached before" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["linaer"], "there is no model 'linaer'; did you mean 'linear'?"),
        (["linear", "--target", "host:gpu"], "linear/* does not run on 'host:gpu'; did you mean 'host:cpu'?"),
        (["linear", "--minutes", "0"], "'--minutes'"),
    ],
)
def test_wrong_word_is_one_sentence(repository: Project, arguments: list[str], message: str) -> None:
    """Exit status 2, before anything is made."""
    done = tune(repository, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
