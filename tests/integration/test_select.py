"""``edgeworthy select`` answers from a run that was really measured, and says which."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest
from edgeworthy.metrics import QUALITIES

from tests.commands import Ended
from tests.integration.conftest import make_project
from tests.integration.test_tasks import add_task

if TYPE_CHECKING:
    from tests.integration.conftest import Digits, Project


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, digits: Digits, shared_store: Path) -> Project:
    """A run on two targets, in which one variant was measured on the first only."""
    project = make_project(tmp_path_factory.mktemp("select"), digits, shared_store)
    project.devices["devices"]["host"]["backends"]["reference"] = {"threads": 1, "delegate": False}
    done = project.run("-k", "(accuracy or latency or footprint or canary) and not (dynamic and reference)")
    assert done.returncode == 0, done.stdout
    return project


def select(project: Project, *arguments: str) -> Ended:
    return project.edgeworthy("select", *arguments)


def test_choice_names_the_run_and_its_numbers(measured: Project) -> None:
    """Within wide limits the fastest is chosen, with the very numbers of the run."""
    limits = ("--budget", "max_p50_ms=50", "--budget", "min_top1_percent=80", "--budget", "max_size_kb=1000")
    done = select(measured, "--target", "host:cpu", *limits)
    assert done.returncode == 0, done.stderr
    cells = measured.result().cells
    here = cells[(cells.target == "host:cpu") & (cells.variant != "canary")].sort_values("p50_ms").iloc[0]
    first, chosen = done.stdout.splitlines()[:2]
    assert f"    take it: edgeworthy export linear {here.variant} --target host:cpu" in done.stdout
    assert first == f"from run {(measured.root / 'results' / 'latest').resolve().name}, measured on host:cpu:"
    assert chosen.startswith(f"linear: {here.variant}: p50 latency {here.p50_ms:.4f} ms (")
    assert f"top-1 accuracy {here.top1_percent:.2f} %" in chosen
    assert done.stdout.count("also fits") == 2


def test_nothing_fits_is_status_1_with_the_nearest(measured: Project) -> None:
    """No variant has no bytes: the smallest is nearest, and its number is told."""
    done = select(measured, "--target", "host:cpu", "--budget", "max_size_kb=0.1")
    smallest = measured.result().cells.set_index("variant").drop("canary").size_kb.idxmin()
    assert done.returncode == 1
    assert f"linear: no measured variant fits; the nearest is {smallest}: file size " in done.stdout


def test_what_was_not_measured_on_the_target_is_unknown(measured: Project) -> None:
    """It is not guessed from the other target."""
    done = select(measured, "--target", "host:reference", "--budget", "max_p50_ms=50")
    assert done.returncode == 0
    assert "    unknown: ort_dynamic: not measured on host:reference" in done.stdout.splitlines()


def test_a_share_is_not_taken_for_percent(measured: Project) -> None:
    """0.95 is meant as 95 %, and held by anything."""
    done = select(measured, "--target", "host:cpu", "--budget", "min_top1_percent=0.95")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: --budget min_top1_percent=0.95 is a percentage")
    assert "--budget min_top1_percent=95?" in done.stderr


def test_wrong_name_is_one_sentence(measured: Project) -> None:
    """Exit status 2, and what there is."""
    done = select(measured, "--target", "host:gpu")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: --target host:gpu: nothing of that name was measured in the run ")
    assert "known: host:cpu, host:reference" in done.stderr


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory, digits: Digits, shared_store: Path) -> Project:
    """A run of two models of other tasks: word errors, of which fewer are better, and IoU, of which more is."""
    project = make_project(tmp_path_factory.mktemp("tasks"), digits, shared_store)
    project.models["datasets"], project.models["models"] = {}, {}
    for name in ("reader", "segmenter"):
        add_task(project, name)
    project.models["budgets"] = []
    done = project.run("-k", "accuracy or latency or footprint")
    assert done.returncode == 1, done.stdout
    return project


@pytest.mark.parametrize(
    ("model", "metric", "limit", "label"),
    [("reader", "wer", "max_wer_percent", "word error rate"), ("segmenter", "miou", "min_miou_percent", "mean IoU")],
)
def test_a_model_is_chosen_by_its_own_metric(tasks: Project, model: str, metric: str, limit: str, label: str) -> None:
    """It is shown and limited in its own direction: halfway between two variants' numbers, the better one keeps it."""
    cells = tasks.result().cells
    here = cells[cells.model == model].set_index("variant")
    column = QUALITIES[metric].metric
    right, off = here.loc["ort_fp32", column], here.loc["off", column]
    assert (right < off) == (metric == "wer")
    arguments = ("--target", "host:cpu", "--model", model, "--budget", f"{limit}={(right + off) / 2}")
    done = select(tasks, *arguments)
    assert done.returncode == 0, done.stderr
    assert f", {label} {right:.2f} % (" in done.stdout
    assert "also fits" in done.stdout
    assert "off" not in done.stdout

    [choice] = json.loads(select(tasks, *arguments, "--json").stdout)["models"]
    assert (choice["model"], choice["metric"]) == (model, metric)
    assert {one["variant"]: one["metrics"][column] for one in choice["fitting"]} == {
        variant: here.loc[variant, column] for variant in ("ort_fp32", "ort_dynamic")
    }
    [worse] = choice["others"]
    [check] = worse["checks"]
    assert (worse["variant"], check["metric"], check["value"], check["passed"]) == ("off", column, off, False)


def test_what_is_lost_of_any_metric_is_a_limit_for_all_models(tasks: Project) -> None:
    """``off`` lost too much in both."""
    limits = ("--budget", "max_drop_points=1", "--budget", "min_sqnr_db=1")  # the reference's is infinite
    done = select(tasks, "--target", "host:cpu", *limits, "--json")
    found = json.loads(done.stdout, parse_constant=pytest.fail)
    assert (done.returncode, found["limits"]) == (0, {"max_drop_points": 1.0, "min_sqnr_db": 1.0})
    for choice in found["models"]:
        assert [one["variant"] for one in choice["others"]] == ["off"]
        assert "drop_points" in choice["fitting"][0]["metrics"]


def test_a_limit_of_another_models_metric_is_never_kept(tasks: Project) -> None:
    """Words have no IoU: nothing is chosen, and the reason is what is missing. The nearest is told by the model's metric."""
    done = select(tasks, "--target", "host:cpu", "--budget", "min_miou_percent=100")
    assert done.returncode == 1
    assert "reader: no variant fits; none has all the numbers that are asked for" in done.stdout
    assert "    unknown: ort_fp32: pass, without miou_percent: " in done.stdout
    assert "segmenter: no measured variant fits; the nearest is ort_" in done.stdout
    wrong = select(tasks, "--target", "host:cpu", "--budget", "min_wer_percent=5")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "unknown limit 'min_wer_percent'; did you mean 'max_wer_percent'?" in wrong.stderr


def test_export_gives_the_artifact_that_was_measured(measured: Project, tmp_path: Path) -> None:
    """The file gives the run's accuracy in its runtime; the manifest says what it is, and how it was judged."""
    done = measured.edgeworthy("export", "linear", "ort_int8_minmax", "--to", str(tmp_path))
    assert done.returncode == 0, done.stderr
    exported, manifest = tmp_path / "linear-ort_int8_minmax.onnx", tmp_path / "linear-ort_int8_minmax.onnx.json"
    assert done.stdout == f"wrote {exported}\nwrote {manifest}\n"
    said = json.loads(manifest.read_text())
    assert said["sha256"] == hashlib.sha256(exported.read_bytes()).hexdigest()
    assert said["size_bytes"] == exported.stat().st_size
    assert (said["recipe"], said["runtime"], said["layout"], said["passed"]) == (
        "ort_int8_minmax", "onnxruntime", "nchw", True,
    )  # fmt: skip
    assert said["signature"] == {
        "inputs": [{"name": "image", "dtype": "float32", "shape": [None, 1, 8, 8], "quantization": None}],
        "outputs": [{"name": "scores", "dtype": "float32", "shape": [None, 10], "quantization": None}],
    }
    assert said["run"]["name"] == (measured.root / "results" / "latest").resolve().name
    assert said["versions"]["onnxruntime"] == onnxruntime.__version__
    judged = {(verdict["cell"], verdict["axis"]): verdict["status"] for verdict in said["verdicts"]}
    assert judged[("linear/ort_int8_minmax/host:reference", "accuracy")] == "pass"
    assert set(judged.values()) == {"pass"}

    data = np.load(measured.root / "benchmarks" / "digits.npz")
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    outputs = session.run(None, {"image": data["evaluation_x"].transpose(0, 3, 1, 2)})[0]
    top1 = 100 * (outputs.argmax(axis=1) == data["evaluation_y"]).mean()
    cells = measured.result().cells.set_index(["variant", "target"])
    assert top1 == pytest.approx(cells.loc[("ort_int8_minmax", "host:cpu"), "top1_percent"], abs=0.2)


def test_export_refuses_what_did_not_pass(measured: Project, tmp_path: Path) -> None:
    """A failed cell, an unjudged one, a canary that passed, an unfinished run; told to, it says so in the manifest."""
    verdict = {"axis": "accuracy", "status": "fail", "evidence": "exact", "message": "it lost 9 pp", "hint": ""}
    for name, cell, reason in (
        ("failed", ["linear", "ort_fp32", "host:reference"], "fail on host:reference: accuracy: it lost 9 pp"),
        ("canary", ["linear", "canary", "host:cpu"], "the gate's test of itself failed: it lost 9 pp"),
    ):
        run = measured.root / "results" / name
        shutil.copytree((measured.root / "results" / "latest").resolve(), run)
        with (run / "verdicts" / "main.jsonl").open("a") as stream:
            stream.write(json.dumps({**verdict, "cell": cell, "metrics": {}, "waived_by": []}) + "\n")
        done = measured.edgeworthy("export", "linear", "ort_fp32", "--run", str(run), "--to", str(tmp_path / name))
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"error: linear/ort_fp32 is not exported: {reason}")
        assert "Hint: export a variant that passed" in done.stderr
        assert not (tmp_path / name).exists()
    arguments = ("--run", str(measured.root / "results" / "failed"), "--to", str(tmp_path))
    done = measured.edgeworthy("export", "linear", "ort_fp32", *arguments, "--even-if-failed")
    assert done.returncode == 0, done.stderr
    said = json.loads((tmp_path / "linear-ort_fp32.onnx.json").read_text())
    assert (said["passed"], said["not_passed_because"]) == (False, "fail on host:reference: accuracy: it lost 9 pp")
    done = measured.edgeworthy("export", "linear", "ort_fp32", *arguments, "--target", "host:cpu")
    assert done.returncode == 0, done.stderr
    done = measured.edgeworthy("export", "linear", "ort_fp23")
    assert "has no variant of linear 'ort_fp23'; did you mean 'ort_fp32'?" in done.stderr
