"""Seeded faults: the gate must see each of them, say it in the right words, and turn the run red."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.integration.conftest import linear_tflite

if TYPE_CHECKING:
    from tests.integration.conftest import Digits, Project

#: Recipes that break what ort_fp32 makes, each in its own way.
FAULTY_RECIPES = """
import os, sys, time
import numpy as np, onnx
from onnx import TensorProto, helper, numpy_helper
from edgeworthy import recipe

def reweighted(source, out, change):
    model = onnx.load(source.onnx_file())
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor)), tensor.name))
    onnx.save(model, out)
    return source.onnx_layout()

@recipe("shuffled", runtime="onnxruntime", packages=("onnx",))
def shuffled(source, out):
    return reweighted(source, out, lambda values: np.roll(values, 3, axis=-1))

@recipe("nan", runtime="onnxruntime", packages=("onnx",))
def nan(source, out):
    return reweighted(source, out, lambda values: np.full_like(values, np.nan))

@recipe("constant", runtime="onnxruntime", packages=("onnx",))
def constant(source, out):
    return reweighted(source, out, lambda values: values * (values.ndim == 1))

@recipe("aborting", runtime="onnxruntime", packages=("onnx",))
def aborting(source, out):
    print("the converter's last words", file=sys.stderr, flush=True)
    os.abort()

@recipe("raising", runtime="onnxruntime", packages=("onnx",))
def raising(source, out):
    raise KeyError("a defect of the recipe")

@recipe("sleeping", runtime="onnxruntime", packages=("onnx",))
def sleeping(source, out):
    with open(__file__ + ".slept", "a") as times:
        times.write("once ")
    time.sleep(600)

@recipe("hanging", runtime="onnxruntime", packages=("onnx",))
def hanging(source, out):
    model = onnx.load(source.onnx_file())
    scores = model.graph.output[0]
    model.graph.node[-1].output[0] = "raw"
    turn, was_on, on, held, kept = (
        helper.make_tensor_value_info(name, kind, None if kind == TensorProto.FLOAT else [])
        for name, kind in [("turn", 7), ("was_on", 9), ("on", 9), ("held", 1), ("kept", 1)]
    )
    copies = [helper.make_node("Identity", [a], [b]) for a, b in (("was_on", "on"), ("held", "kept"))]
    body = helper.make_graph(copies, "body", [turn, was_on, held], [on, kept])
    forever = [numpy_helper.from_array(np.array(2**62), "forever"), numpy_helper.from_array(np.array(True), "start")]
    model.graph.initializer.extend(forever)
    model.graph.node.append(helper.make_node("Loop", ["forever", "start", "raw"], [scores.name], body=body))
    onnx.save(model, out)
    return source.onnx_layout()
"""

HEALTHY = "linear/ort_fp32/host:cpu"
CANARY = "linear/canary/host:cpu"


def with_variants(project: Project, **variants: dict[str, object]) -> None:
    """Leave the reference, and these."""
    project.models["models"]["linear"]["variants"] = {"ort_fp32": {}, **variants}


def red(done: subprocess.CompletedProcess[str]) -> bool:
    """Whether the run failed as tests fail: not by a defect of the harness."""
    return done.returncode == 1 and "INTERNALERROR" not in done.stdout + done.stderr


def test_an_unchanged_project_stays_green(project: Project) -> None:
    """Three runs of one tree give three times the same green statuses."""
    runs = []
    for _ in range(3):
        done = project.run()
        assert done.returncode == 0, done.stdout
        runs.append(project.statuses())
    assert runs[0] == runs[1] == runs[2]
    assert set(runs[0].values()) == {"pass", "rejected"}


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ("shuffled", r"accuracy lost against the reference \d\d.* top1 9.* -> \d\.\d+ % on 697 samples"),
        ("nan", "the outputs contain NaN or infinity for 697 of 697 samples"),
        ("constant", "the outputs are the same for all 697 samples"),
    ],
)
def test_a_variant_that_answers_wrongly_fails(project: Project, recipe: str, words: str) -> None:
    """Shuffled labels, NaN and constant outputs fail that cell alone, on accuracy."""
    project.add_recipes(FAULTY_RECIPES)
    with_variants(project, **{recipe: {}})
    done = project.run()
    assert red(done), done.stdout
    assert project.statuses() == {HEALTHY: "pass", f"linear/{recipe}/host:cpu": "fail", CANARY: "rejected"}
    assert re.search(words, project.message(recipe))
    assert f"FAILED benchmarks/test_accuracy.py::test_accuracy[linear-{recipe}-host:cpu]" in done.stdout


def test_wrong_answers_fail_even_without_an_accuracy_limit(project: Project) -> None:
    """NaN is no output, whatever the limits are; the canary, which is a wrong but real model, is then told apart."""
    project.add_recipes(FAULTY_RECIPES)
    with_variants(project, nan={})
    project.models["budgets"] = [{"max_drop_points": 100}]
    assert red(project.run())
    assert "NaN" in project.message("nan")


def test_a_variant_three_times_slower_than_its_budget_fails(project: Project) -> None:
    """A latency budget of a third of what was measured is broken, and the numbers are in the sentence."""
    with_variants(project)
    assert project.run().returncode == 0
    p50_ms = float(project.result().cells.set_index("variant").loc["ort_fp32", "p50_ms"])
    project.models["budgets"] = [{"max_drop_points": 2, "max_p50_ms": p50_ms / 3}]
    done = project.run()
    assert red(done)
    assert project.statuses()[HEALTHY] == "fail"
    assert re.search(r"p50 latency \d.* ms .*at most \d.* ms allowed", project.message("ort_fp32"))


def test_broken_footprint_budgets_fail(project: Project) -> None:
    """A budget on size, gzip size or memory that a variant does not keep is red, with the number and the limit."""
    broken = {
        "ort_fp32": ({"max_size_kb": 0.5}, r"file size \d\.\d KB, at most 0\.5 KB allowed"),
        "ort_dynamic": ({"max_gzip_kb": 0.5}, r"gzip size \d\.\d KB, at most 0\.5 KB allowed"),
        "ort_int8_minmax": ({"max_peak_memory_mb": 0.001}, r"peak memory growth .* MB, at most 0\.00 MB allowed"),
    }
    project.models["budgets"] += [{"variant": variant, **limit} for variant, (limit, _) in broken.items()]
    assert red(project.run())
    for variant, (_, words) in broken.items():
        assert project.statuses()[f"linear/{variant}/host:cpu"] == "fail"
        assert re.search(words, project.message(variant))


# -- where it ran -------------------------------------------------------------------------------------------------


@pytest.fixture
def tflite(project: Project, digits: Digits) -> Project:
    """The project with a finished .tflite instead."""
    (project.root / "benchmarks" / "linear.tflite").write_bytes(linear_tflite(digits.weights, digits.bias))
    project.models["models"]["linear"].update(
        source={"path": "linear.tflite"}, reference="fp32", variants={"fp32": {}, "pruned": {}}
    )
    return project


@pytest.mark.parametrize(("delegate", "status"), [(True, "pass"), (False, "fail")])
def test_a_backend_that_was_asked_for_and_not_used_fails(tflite: Project, delegate: bool, status: str) -> None:
    """A graph that XNNPACK did not take breaks min_delegated_percent, however fast and right its answers are."""
    tflite.devices["devices"]["host"]["backends"]["cpu"].update(delegate=delegate, min_delegated_percent=60)
    tflite.models["models"]["linear"]["variants"].pop("pruned")
    done = tflite.run()
    assert tflite.statuses() == {"linear/fp32/host:cpu": status, CANARY: "rejected"}
    assert red(done) == (status == "fail")
    if status == "fail":
        assert "delegated share of the graph 0.0 %, at least 60.0 % wanted: XNNPACK took 0 of 1" in tflite.message(
            "fp32"
        )


@pytest.mark.parametrize(("required", "status"), [(True, "error"), (False, "refused")])
def test_a_refusal_is_red_only_where_the_variant_is_required(tflite: Project, required: bool, status: str) -> None:
    """A recipe that cannot take the model is reported with its reason; the model's entry says whether that is red."""
    tflite.models["models"]["linear"]["variants"]["pruned"] = {"required": required}
    done = tflite.run()
    assert red(done) == required
    assert tflite.statuses() == {
        "linear/fp32/host:cpu": "pass",
        "linear/pruned/host:cpu": status,
        CANARY: "rejected",
    }
    assert "pruned trains, and the dataset 'digits' has no train_x" in tflite.message("pruned")


def test_all_refused_is_red(tflite: Project) -> None:
    """A run in which no cell was judged is no evidence, though no test failed."""
    done = tflite.run("--edge-variant", "pruned")
    assert red(done)
    assert "no cell was judged" in done.stdout
    assert tflite.statuses()["linear/pruned/host:cpu"] == "refused"


# -- processes that die or hang -----------------------------------------------------------------------------------


@contextmanager
def running(project: Project) -> Iterator[subprocess.Popen[str]]:
    """An inner run that goes on meanwhile."""
    project.write()
    process = subprocess.Popen(
        project.command(),
        cwd=project.root,
        env=project.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def measuring_runner(process: subprocess.Popen[str], busy_s: float) -> psutil.Process:
    """The forked child of a runner server that has been at work for so long: it is measuring latency."""
    while process.poll() is None:
        with suppress(psutil.NoSuchProcess):
            for server in psutil.Process(process.pid).children():
                if "runners serve" in " ".join(server.cmdline()):
                    for child in server.children():
                        if time.time() - child.create_time() > busy_s:
                            return child
        time.sleep(0.05)
    raise AssertionError(f"the run ended before a runner was seen measuring:\n{process.communicate()[0]}")


@pytest.mark.parametrize(
    ("whom", "words"), [("runner", "the runner was killed by SIGKILL"), ("server", "runner was lost")]
)
def test_a_cell_killed_in_mid_run_is_that_cells_error(project: Project, whom: str, words: str) -> None:
    """SIGKILL of a runner, or of the server that forks runners, costs one cell; the others are measured and pass."""
    with_variants(project, ort_dynamic={})
    project.models["latency"] = {"loads": 3, "samples_per_load": 1, "min_load_ms": 1500}
    with running(project) as process:
        victim = measuring_runner(process, busy_s=1.0)
        os.kill(victim.pid if whom == "runner" else victim.ppid(), signal.SIGKILL)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 1, output
    statuses = project.statuses()
    assert sorted(statuses.values()) == ["error", "pass", "rejected"], output
    (killed,) = (cell.split("/")[1] for cell, status in statuses.items() if status == "error")
    assert words in project.message(killed)


def test_a_hanging_cell_is_timed_out(project: Project) -> None:
    """An artifact that does not come to an end is found by its trial after the conversion, within its time limit."""
    project.add_recipes(FAULTY_RECIPES)
    with_variants(project, hanging={}, ort_dynamic={})
    project.models["timeouts"] = {"cell_s": 15, "conversion_s": 300}
    done = project.run()
    assert red(done), done.stdout
    assert project.statuses() == {
        HEALTHY: "pass",
        "linear/hanging/host:cpu": "error",
        "linear/ort_dynamic/host:cpu": "pass",
        CANARY: "rejected",
    }
    assert "the artifact's first inference did not finish within 15 s and was killed" in project.message("hanging")
    assert "timeouts.cell_s" in done.stdout
    assert not [left for left in psutil.process_iter(["cwd"]) if left.info["cwd"] == str(project.root)]


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ("aborting", ["the converter was killed by", "End of its log:", "the converter's last words"]),
        ("raising", ["KeyError: 'a defect of the recipe'", "End of its log:", "recipes.py"]),
        ("sleeping", ["the converter did not finish within 6 s", "raise timeouts.conversion_s"]),
    ],
)
def test_a_converter_that_dies_takes_one_variant(project: Project, recipe: str, words: list[str]) -> None:
    """A crash, a defect or a hang of a conversion is that variant's error, with its log; the rest is converted anew."""
    project.add_recipes(FAULTY_RECIPES)
    with_variants(project, **{recipe: {}}, ort_dynamic={})
    project.models["timeouts"] = {"conversion_s": 6 if recipe == "sleeping" else 300}
    done = project.run()
    assert red(done), done.stdout
    assert project.statuses() == {
        HEALTHY: "pass",
        f"linear/{recipe}/host:cpu": "error",
        "linear/ort_dynamic/host:cpu": "pass",
        CANARY: "rejected",
    }
    for word in words:
        assert word in done.stdout
    assert "Traceback (most" not in done.stdout.replace("End of its log:\nTraceback (most", "")


def test_a_hang_is_waited_for_once(project: Project) -> None:
    """Variants of a recipe that hung once fail as the first one did, and the others are converted."""
    project.add_recipes(FAULTY_RECIPES)
    with_variants(project, sleeping={}, again={"recipe": "sleeping"}, ort_dynamic={})
    project.models["timeouts"] = {"conversion_s": 6}
    done = project.run()
    assert red(done), done.stdout
    assert (project.root / "benchmarks" / "recipes.py.slept").read_text() == "once "
    assert "did not finish within 6 s" in project.message("sleeping")
    assert project.message("again") == project.message("sleeping")
    assert project.statuses()["linear/ort_dynamic/host:cpu"] == "pass"


# -- the gate itself ----------------------------------------------------------------------------------------------


#: A target that gives the reference's outputs for whatever runs there.
DEAF_TARGET = """
from dataclasses import replace
from edgeworthy.measurements.bench import Bench
measured = Bench.outputs
Bench.outputs = lambda bench, cell: replace(measured(bench, cell), values=bench.reference(cell.model))
"""


def test_a_canary_that_passes_is_red(project: Project) -> None:
    """A model whose outputs no longer depend on its inputs passes only where something else than it was measured."""
    with_variants(project)
    (project.root / "conftest.py").write_text(DEAF_TARGET)
    done = project.run()
    assert red(done), done.stdout
    assert project.statuses() == {HEALTHY: "pass", CANARY: "fail"}
    assert "the gate accepted a model that was made to be bad (int8" in project.message("canary")


def test_a_canary_that_cannot_be_made_bad_is_replaced(project: Project) -> None:
    """Calibrated rightly, the canary is as good as any variant: it is not used, and the gate is tested all the same."""
    with_variants(project)
    (project.root / "conftest.py").write_text(
        "import edgeworthy.variants.artifacts.canary as canary\ncanary.TOO_WIDE = 1.0\n"
    )
    assert project.run().returncode == 0
    assert project.statuses() == {HEALTHY: "pass", CANARY: "rejected"}
    assert "the reference's outputs, scrambled; there is no int8 canary: " in project.message("canary")


def test_a_gate_without_an_accuracy_limit_is_red(project: Project) -> None:
    """Budgets that let anything pass let the canary pass."""
    with_variants(project)
    project.models["budgets"] = [{"max_drop_points": 100}]
    done = project.run()
    assert red(done), done.stdout
    assert project.statuses() == {HEALTHY: "pass", CANARY: "fail"}
    assert "the gate accepted a model that was made to be bad" in done.stdout
    assert "tighten this model's accuracy budget" in done.stdout
