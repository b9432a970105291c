"""The gate through its front doors: ``pytest --edge-baseline``, ``edgeworthy baseline`` and ``edgeworthy gate``.

A real project is measured and accepted once. Regressions are seeded into copies of its stored run, or for real into
its model, its configuration and its devices.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeworthy import cli
from edgeworthy.cells import CellId
from edgeworthy.config import Tolerances
from edgeworthy.judging.gate import Gate, stored_changes
from edgeworthy.records import Artifact, Conditions, Outputs, Timing
from edgeworthy.runs.journal import Journal
from edgeworthy.runs.run import Run
from edgeworthy.runs.run_file import RunFile
from edgeworthy.runs.verdict_log import VerdictLog
from edgeworthy.runtimes import RUNTIMES
from edgeworthy.verdicts.baselines import Baselines
from edgeworthy.verdicts.waivers import Waivers
from junitparser import Error, Failure, JUnitXml, Skipped

from tests.integration.conftest import BESIDE_OTHER_TESTS, REPOSITORY, Digits, Project, linear_model, make_project

INT8 = CellId("linear", "ort_int8_minmax", "host:cpu")
REFERENCE = [CellId("linear", variant, "host:reference") for variant in ("ort_fp32", "ort_dynamic", "ort_int8_minmax")]
WAIVER = {
    "model": "linear", "variant": "ort_int8_minmax", "target": "host:cpu", "reason": "kernel bug",
    "issue": "https://example.org/7", "expires": "2999-01-01",
}  # fmt: skip


@dataclass
class Said:
    """How a command ended."""

    status: int
    out: str


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, digits: Digits, shared_store: Path) -> Project:
    """A project with three variants on two targets, measured once; nothing is accepted yet."""
    project = make_project(tmp_path_factory.mktemp("gate"), digits, shared_store)
    backends = project.devices["devices"]["host"]["backends"]
    backends["reference"] = {"threads": 1, "delegate": False}
    done = project.run()
    assert done.returncode == 0, done.stdout + done.stderr
    steady(project.root / "results" / "latest" / "measurements")
    return project


def steady(measurements: Path) -> None:
    """Let every load of a cell have taken the same: beside other tests its noise may hide a slowdown by three."""
    for path in measurements.glob("*.timing.npz"):
        with path.open("rb") as file, np.load(file) as stored:
            arrays = {name: stored[name] for name in stored.files}
        for name in ("samples_ns", "load_ns"):
            arrays[name] = np.full_like(arrays[name], int(np.median(arrays[name])))
        np.savez(path, allow_pickle=False, **arrays)


@pytest.fixture
def project(tmp_path: Path, measured: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of the measured project, its run accepted."""
    root = tmp_path / "repository"
    shutil.copytree(measured.root, root, symlinks=True)
    monkeypatch.chdir(root)
    copy = dataclasses.replace(
        measured, root=root, models=json.loads(json.dumps(measured.models)), devices=json.loads(json.dumps(measured.devices))
    )  # fmt: skip
    copy.write()
    return copy


@pytest.fixture
def edgeworthy(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """The command line, in this process."""

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["edgeworthy", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return Said(int(ended.value.code or 0), captured.out + captured.err)

    return run


@pytest.fixture
def accepted(project: Project, edgeworthy: Callable[..., Said]) -> Project:
    """The project with its run as baseline."""
    said = edgeworthy("baseline", "accept", "--reason", "first release")
    assert said.status == 0, said.out
    return project


def seed(cell: CellId = INT8, **changes: Any) -> None:
    """Change what ``results/latest`` says of a cell: ``values``, ``size_bytes``, or any field of its timing."""
    journal = Journal(Path("results/latest"))
    outputs, timing = journal.find(Outputs, cell), journal.find(Timing, cell)
    assert outputs is not None
    assert timing is not None
    was = journal.provenance(cell)
    size = changes.pop("size_bytes", was.size_bytes)
    artifact = Artifact("f" * 64, Path("a.onnx"), was.recipe, RUNTIMES["onnxruntime"], "nchw", size, was.gzip_bytes)
    if "fingerprint" in changes:
        fingerprint = {**timing.conditions.fingerprint, **changes.pop("fingerprint")}
        changes["conditions"] = Conditions(fingerprint, {}, {})
    if "values" in changes:
        outputs = dataclasses.replace(outputs, values=changes.pop("values"))
    journal.save(cell, "seeded", artifact, outputs)
    journal.save(cell, "seeded", artifact, dataclasses.replace(timing, **changes))


def timing_of(cell: CellId = INT8) -> Timing:
    found = Journal(Path("results/latest")).find(Timing, cell)
    assert found is not None
    return found


def values_of(cell: CellId = INT8) -> np.ndarray:
    found = Journal(Path("results/latest")).find(Outputs, cell)
    assert found is not None
    return found.values.copy()


def labels() -> np.ndarray:
    truth = Journal(Path("results/latest")).truth("linear")
    assert truth is not None
    return truth.labels


def spoil(count: int, restore: int = 0) -> np.ndarray:
    """The cell's answers with ``count`` right ones wrong, and ``restore`` wrong ones right."""
    values, truth = values_of(), labels()
    right = np.flatnonzero(values.argmax(axis=1) == truth)[:count]
    wrong = np.flatnonzero(values.argmax(axis=1) != truth)[:restore]
    values[right] = np.eye(10, dtype=np.float32)[(truth[right] + 1) % 10]
    values[wrong] = np.eye(10, dtype=np.float32)[truth[wrong]]
    return values


def gate(edgeworthy: Callable[..., Said], *more: str) -> Said:
    return edgeworthy("gate", "--run", "results/latest", "--baseline", "results/baselines", *more)


def slowed() -> dict[str, Any]:
    return {"samples_ns": timing_of().samples_ns * 3}


@pytest.mark.parametrize(
    ("seeded", "said"),
    [
        (slowed, r"regressed: p50 latency .* -> .* ms: \+200\.0 .* % slower, at most 3 % allowed"),
        (lambda: {"values": spoil(14)}, r"regressed: accuracy top1 .* pp lost, at most 0.50 pp allowed"),
        (lambda: {"values": spoil(14, 14)}, r"14 became correct: other samples are wrong at the same average"),
        (lambda: {"size_bytes": 5_000_000}, r"regressed: file size 2\.\d KB -> 5000\.0 KB: .* larger, at most 1 %"),
        (lambda: {"peak_memory_bytes": 99_000_000}, r"regressed: peak memory growth .* -> 99\.00 MB: .* more"),
        (
            lambda: {"delegation": dataclasses.replace(timing_of().delegation, taken=0)},
            r"regressed: delegated share of the graph 100\.0 % -> 0\.0 %",
        ),
        (lambda: {"load_ns": timing_of().load_ns * 40}, r"regressed: load time .* % slower, at most 25 % allowed"),
    ],
    ids=["slower", "less-accurate", "others-wrong", "larger", "more-memory", "less-delegated", "slower-load"],
)
def test_seeded_regression_is_status_1(
    accepted: Project, edgeworthy: Callable[..., Said], seeded: Callable[[], dict[str, Any]], said: str
):
    """Red with the right word and sentence, for this cell alone, and with the command that would accept it."""
    assert gate(edgeworthy).status == 0
    seed(**seeded())
    found = gate(edgeworthy)
    assert found.status == 1, found.out
    assert re.search(said, found.out), found.out
    assert "fail linear/ort_int8_minmax/host:cpu regression: " in found.out
    assert found.out.count("fail linear/") == 1
    assert "edgeworthy baseline accept results/latest --model linear --variant ort_int8_minmax" in found.out


def test_changed_fingerprint_is_status_2(accepted: Project, edgeworthy: Callable[..., Said]):
    """Numbers of another runtime are not comparable, never a pass; both values are named."""
    seed(fingerprint={"runtime": "onnxruntime 9.9", "threads": "8"})
    found = gate(edgeworthy)
    assert found.status == 2
    assert "not comparable: p50 latency cannot be compared: runtime was 'onnxruntime 1." in found.out
    assert "is 'onnxruntime 9.9', threads was '1', is '8'" in found.out


def test_removed_cell_and_offline_device_exit_with_status_1(accepted: Project, edgeworthy: Callable[..., Said]):
    """Nothing disappears: a cell that the run lacks is named, and a target without any cell is."""
    run = RunFile.read(Path("results/latest"))
    for cell in [INT8, *REFERENCE]:
        for file in Path("results/latest/measurements").glob(f"{cell.slug()}.*"):
            file.unlink()
    left = [cell for cell in run.cells if cell not in [INT8, *REFERENCE]]
    dataclasses.replace(run, cells=left).write()
    found = gate(edgeworthy)
    assert found.status == 1
    assert "fail linear/ort_int8_minmax/host:cpu regression: missing: the cell is in the baseline" in found.out
    assert found.out.count("none on host:reference at all: the device is offline, or no longer in devices.yaml") == 3
    assert "4 missing" in found.out
    assert "--removed --reason" in found.out


def test_removed_cells_leave_the_baseline_by_command_only(accepted: Project, edgeworthy: Callable[..., Said]):
    """--removed takes out what the run does not have, and only what is selected; --gone is the same option."""
    run = RunFile.read(Path("results/latest"))
    dataclasses.replace(run, cells=[cell for cell in run.cells if cell not in REFERENCE]).write()
    assert edgeworthy("baseline", "accept", "--reason", "again").status == 0
    assert gate(edgeworthy).status == 1
    said = edgeworthy(
        "baseline", "accept", "--target", "host:reference", "--gone", "--reason", "the backend was dropped"
    )
    assert said.out.count("removed linear/") == 3
    assert "accepted" not in said.out
    found = gate(edgeworthy)
    assert (found.status, "missing" in found.out) == (0, False), found.out


def test_new_cell_is_status_2_and_prints_the_command_that_mends_it(accepted: Project, edgeworthy: Callable[..., Said]):
    """The printed command, run as it is, makes the gate green."""
    path = Path("results/baselines/linear.json")
    stored = json.loads(path.read_text())
    del stored["cells"]["ort_int8_minmax"]["host:cpu"]
    path.write_text(json.dumps(stored))
    found = gate(edgeworthy)
    assert found.status == 2
    assert "new: the cell has no baseline" in found.out
    [command] = re.findall(r"edgeworthy (baseline accept .*)", found.out)
    assert edgeworthy(*shlex.split(command.replace("...", "a new variant"))).status == 0
    assert gate(edgeworthy).status == 0


def test_accepting_some_cells_changes_no_other(accepted: Project, edgeworthy: Callable[..., Said]):
    """A selection merges: the rest of the file stays byte for byte."""
    path = Path("results/baselines/linear.json")
    before = json.loads(path.read_text())
    edgeworthy("baseline", "accept", "--variant", "ort_int8_minmax", "--target", "host:cpu", "--reason", "second")
    after = json.loads(path.read_text())
    assert after["cells"]["ort_int8_minmax"]["host:cpu"]["accepted"]["reason"] == "second"
    del before["cells"]["ort_int8_minmax"]["host:cpu"], after["cells"]["ort_int8_minmax"]["host:cpu"]
    assert after == before


def test_accept_says_who_accepted_what(accepted: Project):
    """Run, time, revision and reason; fingerprint and tool versions."""
    stored = json.loads(Path("results/baselines/linear.json").read_text())
    cell = stored["cells"]["ort_fp32"]["host:cpu"]
    assert cell["accepted"]["reason"] == "first release"
    assert cell["accepted"]["run"] == Path("results/latest").resolve().name
    assert cell["fingerprint"]["runtime"].startswith("onnxruntime ")
    assert "onnxruntime" in cell["versions"]
    assert "canary" not in stored["cells"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--reason is empty"),
        (["--reason", "  "], "--reason is empty"),
        (
            ["--reason", "r", "--variant", "canary"],
            "is a canary, which is built to be rejected and is never a baseline",
        ),
        (["--reason", "r", "--variant", "int4"], "no cell of it is selected"),
        (["nowhere", "--reason", "r"], "nowhere: there is no run"),
    ],
)
def test_accept_refuses(project: Project, edgeworthy: Callable[..., Said], arguments: list[str], said: str):
    """Without a reason, canaries, empty selections, what is no run: status 2, and no file."""
    found = edgeworthy("baseline", "accept", *arguments)
    assert (found.status, said in found.out) == (2, True), found.out
    assert not Path("results/baselines").exists()


@pytest.mark.parametrize("status", ["fail", "error", "waived"])
def test_accept_refuses_failed_cells(project: Project, edgeworthy: Callable[..., Said], status: str):
    """A baseline must not excuse a broken budget; but a regression is what accepting is for."""
    log = VerdictLog(Path("results/latest"))
    verdicts = {(verdict.cell, verdict.axis): verdict for verdict in log.read()}
    bad = dataclasses.replace(verdicts[INT8, "latency"], status=status, message="3x too slow")
    log.clear()
    for verdict in [
        *verdicts.values(),
        bad,
        dataclasses.replace(bad, axis="regression", cell=REFERENCE[0], status="fail"),
    ]:
        log.add(verdict)
    found = edgeworthy("baseline", "accept", "--reason", "r")
    assert found.status == 2
    assert f"{INT8} is not accepted: latency {status}: 3x too slow" in found.out
    assert not Path("results/baselines").exists()
    assert edgeworthy("baseline", "accept", "--reason", "r", "--target", "host:reference").status == 0


def test_unfinished_run_is_neither_accepted_nor_judged(accepted: Project, edgeworthy: Callable[..., Said]):
    """Status 2, and how to go on."""
    dataclasses.replace(RunFile.read(Path("results/latest")), status="unfinished").write()
    for found in (gate(edgeworthy), edgeworthy("baseline", "accept", "--reason", "r")):
        assert found.status == 2
        assert "did not finish" in found.out
        assert "--edge-resume" in found.out


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda data: data.update(version=2), "version: format 2 is newer than this edgeworthy reads (1)"),
        (lambda data: data["cells"]["ort_fp32"]["host:cpu"]["metrics"].update(p50_ms=-1.0), "metrics.p50_ms: "),
        (lambda data: data["cells"]["ort_fp32"]["host:cpu"]["metrics"].update(top1_percent=99.9), "top1_percent"),
        (lambda data: data.update(cells={}), "there is no baseline"),
    ],
    ids=["newer", "impossible", "contradicting", "empty"],
)
def test_baseline_that_cannot_be_is_status_2(
    accepted: Project, edgeworthy: Callable[..., Said], edit: Callable[[dict[str, Any]], None], said: str
):
    """A newer schema and a file edited by hand to nonsense name the file, the key and the next step."""
    path = Path("results/baselines/linear.json")
    data = json.loads(path.read_text())
    edit(data)
    path.write_text(json.dumps(data))
    found = gate(edgeworthy)
    assert (found.status, said in found.out) == (2, True), found.out
    assert "Hint: " in found.out
    assert "Traceback" not in found.out


@pytest.mark.parametrize(
    ("run", "baseline", "said"),
    [
        ("nowhere", "results/baselines", "nowhere: there is no run"),
        ("results/latest", "no-such-branch", "no baselines at 'no-such-branch'"),
        ("results/latest", "--help-me", "no baselines at '--help-me'"),
        ("results/latest", "benchmarks", "there is no baseline"),
    ],
)
def test_gate_that_cannot_judge_is_status_2(
    accepted: Project, edgeworthy: Callable[..., Said], run: str, baseline: str, said: str
):
    """An unreadable run, and a baseline that is nowhere."""
    found = edgeworthy("gate", f"--run={run}", f"--baseline={baseline}")
    assert (found.status, said in found.out) == (2, True), found.out


def test_broken_budget_of_the_run_is_status_1_and_an_error_2(accepted: Project, edgeworthy: Callable[..., Said]):
    """What the run itself said is not forgotten."""
    log = VerdictLog(Path("results/latest"), "seeded")
    bad = dataclasses.replace(
        next(v for v in log.read() if v.axis == "latency"), axis="own_test", status="error", message="no answer"
    )
    log.add(bad)
    assert gate(edgeworthy).status == 2
    log.add(dataclasses.replace(bad, axis="another_test", status="fail"))
    assert gate(edgeworthy).status == 1


def test_clock_that_stepped_backwards_changes_nothing(accepted: Project, edgeworthy: Callable[..., Said]):
    """A run that is called and dated earlier than the baseline is accepted and judged like any other."""
    run = Path("results/latest").resolve()
    early = run.with_name("19700101-000000-0000")
    shutil.copytree(run, early)
    environment = json.loads((early / "environment.json").read_text())
    (early / "environment.json").write_text(json.dumps({**environment, "made_utc": "1970-01-01T00:00:00+00:00"}))
    command = ("gate", "--run", str(early), "--baseline", "results/baselines")
    assert edgeworthy(*command).status == 0
    assert edgeworthy("baseline", "accept", str(early), "--reason", "the older run").status == 0
    stored = json.loads(Path("results/baselines/linear.json").read_text())
    assert stored["cells"]["ort_fp32"]["host:cpu"]["accepted"]["run"] == early.name
    assert edgeworthy(*command).status == gate(edgeworthy).status == 0


def test_baseline_at_a_git_revision(accepted: Project, edgeworthy: Callable[..., Said]):
    """A branch's baselines are judged by, whatever the working tree says; diff takes revisions, too."""
    for command in (["init", "-q"], ["add", "-f", "results/baselines"], ["commit", "-qm", "baselines"]):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *identity, *command], check=True)
    seed(size_bytes=5_000_000)
    assert edgeworthy("gate", "--run", "results/latest", "--baseline", "HEAD").status == 1
    edgeworthy("baseline", "accept", "--reason", "larger on purpose")
    assert edgeworthy("gate", "--run", "results/latest", "--baseline", "HEAD").status == 1
    assert gate(edgeworthy).status == 0
    assert "regressed" in edgeworthy("baseline", "diff", "HEAD", "results/baselines").out


def test_diff_shows_every_word(accepted: Project, edgeworthy: Callable[..., Said]):
    """New, removed, better, worse, not comparable; the unchanged ones are counted."""
    seed(size_bytes=5_000_000)
    seed(REFERENCE[0], fingerprint={"governor": "powersave"}, values=values_of(REFERENCE[0]), size_bytes=1)
    run = RunFile.read(Path("results/latest"))
    dataclasses.replace(run, cells=[cell for cell in run.cells if cell != REFERENCE[1]]).write()
    path = Path("results/baselines/linear.json")
    data = json.loads(path.read_text())
    del data["cells"]["ort_int8_minmax"]["host:reference"]
    path.write_text(json.dumps(data))
    found = edgeworthy("baseline", "diff", "results/baselines", "results/latest")
    assert found.status == 0
    for word, cell, metric in (
        ("regressed", INT8, "size"), ("improved", REFERENCE[0], "size"), ("not comparable", REFERENCE[0], "latency"),
        ("missing", REFERENCE[1], "cell"), ("new", REFERENCE[2], "cell"),
    ):  # fmt: skip
        assert re.search(rf"^{word} +{cell} +{metric} ", found.out, re.MULTILINE), (word, found.out)
    assert re.search(r"\d+ unchanged$", found.out.strip())


def test_markdown_and_junit_say_the_same(accepted: Project, edgeworthy: Callable[..., Said]):
    """Fit for a pull request and for a CI system: a failure per red cell, markup of names harmless."""
    seed(size_bytes=5_000_000)
    (Path("benchmarks") / "waivers.yaml").write_text(
        json.dumps({"version": 1, "waivers": [{**WAIVER, "variant": "ort_dynamic", "reason": "a | <b>"}]})
    )
    seed(CellId("linear", "ort_dynamic", "host:cpu"), size_bytes=6_000_000)
    found = gate(edgeworthy, "--markdown", "gate.md", "--junit", "gate.xml")
    assert found.status == 1
    text = Path("gate.md").read_text()
    assert "## edgeworthy: failed" in text
    assert "- **fail** `linear/ort_int8_minmax/host:cpu` regression: " in text
    assert "- **waived** `linear/ort_dynamic/host:cpu` regression: waived until 2999-01-01" in text
    assert "a \\| \\<b\\>" in text
    assert re.search(r"\| regressed \| linear/ort\\_int8\\_minmax/host:cpu \| size \| 2\.\d KB \| 5000\.0 KB \|", text)
    cases = [case for suite in JUnitXml.fromfile("gate.xml") for case in suite]
    results = {case.name: [type(result) for result in case.result] for case in cases}
    assert results["regression[linear/ort_int8_minmax/host:cpu]"] == [Failure]
    assert results["regression[linear/ort_dynamic/host:cpu]"] == [Skipped]
    assert results["regression[linear/ort_fp32/host:cpu]"] == []
    assert Error not in {kind for kinds in results.values() for kind in kinds}


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({}, 0, "waived linear/ort_int8_minmax/host:cpu regression: waived until 2999-01-01 by waivers.yaml:"),
        ({"metric": "size"}, 0, "1 waived"),
        ({"metric": "latency"}, 1, "is no longer needed; remove it"),
        ({"expires": "2020-01-01"}, 1, "expired on 2020-01-01"),
        ({"variant": "ort_fp32"}, 1, "is no longer needed; remove it"),
        ({"variant": "ort_int4"}, 2, "unknown variant 'ort_int4'; did you mean"),
    ],
    ids=["valid", "its-metric", "other-metric", "expired", "unneeded", "unknown"],
)
def test_waivers(accepted: Project, edgeworthy: Callable[..., Said], change: dict[str, str], status: int, said: str):
    """A larger file is waived, or not, and each waiver is accounted for."""
    import yaml

    waiver = {**WAIVER, **change}
    text = yaml.safe_dump({"version": 1, "waivers": [waiver]}).replace(f"'{waiver['expires']}'", waiver["expires"])
    (Path("benchmarks") / "waivers.yaml").write_text(text)
    seed(size_bytes=5_000_000)
    found = gate(edgeworthy)
    assert (found.status, said in found.out) == (status, True), found.out


def test_expired_waiver_is_red_although_nothing_needs_it(accepted: Project, edgeworthy: Callable[..., Said]):
    """It is repaired or renewed, not forgotten."""
    (Path("benchmarks") / "waivers.yaml").write_text(
        json.dumps({"version": 1, "waivers": [{**WAIVER, "expires": "2020-01-01"}]})
    )
    found = gate(edgeworthy)
    assert (found.status, "fail: waivers.yaml:1: the waiver of" in found.out) == (1, True), found.out


# -- an inner pytest ---------------------------------------------------------------------------------------------


def test_without_the_option_regressions_are_deselected(measured: Project):
    """They are deselected, neither passed nor skipped; a suite of nothing else fails."""
    done = measured.run("--collect-only", "-q")
    assert "test_regression" not in done.stdout
    assert "6/" in done.stdout or "6 deselected" in done.stdout, done.stdout
    only = measured.run("-k", "test_regression")
    assert only.returncode == 5


def test_run_without_a_baseline_is_red_and_an_accepted_one_green(project: Project, edgeworthy: Callable[..., Said]):
    """A missing baseline fails with the command; after it, an unchanged project passes."""
    complete = str(Path("results/latest").resolve())
    done = project.run("--edge-baseline", "--edge-target", "host:cpu", "-k", "regression and fp32")
    assert done.returncode == 1
    assert "new: the cell has no baseline" in done.stdout
    assert re.search(
        r"hint: accept it: edgeworthy baseline accept results/\S+ --model linear --variant ort_fp32", done.stdout
    )
    edgeworthy("baseline", "accept", complete, "--reason", "first")
    project.models["regression"] = BESIDE_OTHER_TESTS
    done = project.run("--edge-baseline")
    assert done.returncode == 0, done.stdout
    assert "6 pass" in done.stdout


def test_worse_model_removed_cell_and_offline_device_fail(accepted: Project, digits: Digits):
    """For real: other weights, a variant and a backend that left the configuration, in one run."""
    rng = np.random.default_rng(0)
    worse = digits.weights + rng.normal(0, 0.06, digits.weights.shape)
    linear_model(accepted.root / "benchmarks" / "linear.onnx", worse, digits.bias)
    del accepted.models["models"]["linear"]["variants"]["ort_dynamic"]
    del accepted.devices["devices"]["host"]["backends"]["reference"]
    done = accepted.run("--edge-baseline")
    assert done.returncode == 1
    assert "regressed: accuracy top1" in done.stdout
    run = Run.open(accepted.root / "results" / "latest")
    baselines = Baselines.from_folder(accepted.root / "results" / "baselines")
    gate = Gate(str(run.folder), baselines, Waivers.load(Path("no waivers")), Tolerances())
    times = [change for change in stored_changes(run, gate) if change.metric == "latency"]
    assert len(times) == 2
    assert all("interleaved A/B rounds" in change.message for change in times), times
    assert accepted.statuses()["linear/ort_dynamic/host:cpu"] == "fail"
    assert accepted.statuses()["linear/ort_fp32/host:reference"] == "fail"
    assert "edgeworthy: 4 cells of the baseline missing from this run" in done.stdout
    assert "none on host:reference at all" in done.stdout


def test_partial_run_speaks_of_its_part(accepted: Project):
    """--edge-target and -k leave cells out; that is said, and is not red."""
    accepted.models["regression"] = BESIDE_OTHER_TESTS
    done = accepted.run("--edge-baseline", "--edge-target", "host:cpu", "-k", "fp32")
    assert done.returncode == 0, done.stdout
    assert "the run covered a part of the project (--edge-target host:cpu, 2 cells left out by" in done.stdout
    assert "5 accepted cells were not compared" in done.stdout


def test_option_without_a_comparing_test_is_red(accepted: Project):
    """--edge-baseline with the regression suite deselected compares nothing: never a silent pass."""
    done = accepted.run("--edge-baseline", "-k", "accuracy")
    assert done.returncode == 1
    assert "--edge-baseline was given, but no test compared a cell with its baseline" in done.stdout


def test_waived_cells_of_a_run_are_counted_and_not_red(accepted: Project):
    """A cell that cannot be measured at all, and a removed variant, can be waived."""
    (accepted.root / "benchmarks" / "waivers.yaml").write_text(
        json.dumps({"version": 1, "waivers": [WAIVER, {**WAIVER, "variant": "ort_dynamic", "target": "*"}]})
    )
    accepted.models["budgets"].append({"variant": "ort_int8_minmax", "target": "host:cpu", "max_p50_ms": 1e-9})
    del accepted.models["models"]["linear"]["variants"]["ort_dynamic"]
    accepted.models["regression"] = BESIDE_OTHER_TESTS
    done = accepted.run("--edge-baseline")
    assert done.returncode == 0, done.stdout
    statuses = accepted.statuses()
    assert [cell for cell, status in statuses.items() if status == "waived"] == [
        "linear/ort_int8_minmax/host:cpu", "linear/ort_dynamic/host:cpu", "linear/ort_dynamic/host:reference"
    ]  # fmt: skip
    assert "3 waived" in done.stdout
    assert "xfailed" in done.stdout


def test_expired_waiver_makes_any_run_red(accepted: Project):
    """Also one that is not compared with a baseline."""
    (accepted.root / "benchmarks" / "waivers.yaml").write_text(
        json.dumps({"version": 1, "waivers": [{**WAIVER, "expires": "2020-01-01"}]})
    )
    done = accepted.run("-k", "footprint and fp32 and cpu")
    assert done.returncode == 1
    assert "expired on 2020-01-01" in done.stdout


def test_wrong_files_are_said_before_anything_is_measured(accepted: Project):
    """A broken baseline and an unknown waiver are usage errors."""
    (accepted.root / "results/baselines/linear.json").write_text('{"version": 2}')
    done = accepted.run("--edge-baseline")
    assert (done.returncode, "format 2 is newer" in done.stderr) == (4, True), done.stdout + done.stderr
    done = accepted.run("--edge-baseline", "benchmarks", "-k", "regression")
    assert (done.returncode, "--edge-baseline" in done.stderr) == (4, True), done.stdout + done.stderr


def test_suite_of_edgeworthy_init_compares_too(accepted: Project):
    """The suite that a user starts from, with its baselines and its waivers."""
    for suite in (accepted.root / "benchmarks").glob("test_*.py"):
        suite.unlink()
    shutil.copy(
        REPOSITORY / "harness" / "edgeworthy" / "templates" / "test_edgeworthy.py", accepted.root / "benchmarks"
    )
    (accepted.root / "benchmarks" / "waivers.yaml").write_text(json.dumps({"version": 1, "waivers": [WAIVER]}))
    del accepted.models["models"]["linear"]["variants"]["ort_int8_minmax"]
    accepted.models["regression"] = BESIDE_OTHER_TESTS
    done = accepted.run("--edge-baseline", "--edge-target", "host:cpu")
    assert done.returncode == 0, done.stdout
    assert "1 waived, 2 pass" in done.stdout


def test_workers_compare_as_one_process_does(accepted: Project):
    """Under xdist the controller finds what is missing."""
    del accepted.models["models"]["linear"]["variants"]["ort_dynamic"]
    done = accepted.run("--edge-baseline", "-n", "2", "--edge-target", "host:cpu")
    assert done.returncode == 1
    assert "1 cell of the baseline missing from this run" in done.stdout
    assert accepted.statuses()["linear/ort_fp32/host:cpu"] == "pass"
