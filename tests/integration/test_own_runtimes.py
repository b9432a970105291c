"""Runtimes of a user's own: their artifacts are made, measured, judged, stored and compared as all others are."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from edgeworthy.config import LatencyPlan
from edgeworthy.datasets.samples import Samples
from edgeworthy.device_schema import RunnerBackend
from edgeworthy.records import Artifact
from edgeworthy.source_schema import OwnRuntime
from edgeworthy.targets.base import Job
from edgeworthy.targets.host import HostTarget
from edgeworthy.tensors import constant, in_a_row, state
from edgeworthy.user_code.own_runtimes import own_runtime

from tests.integration.conftest import Project

RUNTIME = """
import numpy as np
from layers import dense

class Mlp:
    def __init__(self, path, threads):
        with np.load(path) as stored:
            self.weights, self.bias = stored["weights"], stored["bias"]

    def run(self, samples):
        return dense(samples, self.weights, self.bias)
"""
LAYERS = """
def dense(samples, weights, bias):
    return samples.reshape(len(samples), -1) @ weights + bias
"""
RECIPES = """
import numpy as np
import onnx
from edgeworthy import recipe
from onnx import numpy_helper

def parameters(source):
    graph = onnx.load(source.onnx_file()).graph
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}

@recipe("mlp", runtime="numpy_mlp", packages=("onnx",), lossless=True)
def mlp(source, out):
    "float32, as it is."
    np.savez(out, **parameters(source))
    return source.onnx_layout()

@recipe("mlp_coarse", runtime="numpy_mlp", packages=("onnx",))
def mlp_coarse(source, out, *, levels: int = 127):
    "Weights of so many levels on each side of zero."
    found = parameters(source)
    step = abs(found["weights"]).max() / levels
    np.savez(out, weights=np.rint(found["weights"] / step).astype(np.float32) * step, bias=found["bias"])
    return source.onnx_layout()

@recipe("mlp_ranges", runtime="numpy_mlp", packages=("onnx",), calibrated=True)
def mlp_ranges(source, out, *, calibration):
    "Weights in steps that depend on how large the inputs are, as an accumulator of a few bits needs."
    found = parameters(source)
    step = abs(calibration).max() / 100
    np.savez(out, weights=np.rint(found["weights"] / step) * step, bias=found["bias"])
    return source.onnx_layout()
"""


@pytest.fixture
def own(project: Project) -> Project:
    """A project with a runtime of its own beside ONNX Runtime."""
    (project.root / "benchmarks" / "my_runtime.py").write_text(RUNTIME)
    (project.root / "benchmarks" / "layers.py").write_text(LAYERS)
    project.add_recipes(RECIPES)
    project.models["runtimes"] = {"numpy_mlp": {"class": "my_runtime.py:Mlp", "suffix": ".npz", "packages": ["numpy"]}}
    project.models["models"]["linear"]["variants"] = {"ort_fp32": {}, "mlp": {}, "mlp_coarse": {}}
    return project


def test_it_is_judged_as_every_runtime_is(own: Project) -> None:
    """What its recipes keep passes, what loses accuracy fails; its times and its version are the report's."""
    own.models["models"]["linear"]["variants"]["lossy"] = {"recipe": "mlp_coarse", "options": {"levels": 1}}
    done = own.run()
    assert own.statuses() == {
        "linear/ort_fp32/host:cpu": "pass",
        "linear/mlp/host:cpu": "pass",
        "linear/mlp_coarse/host:cpu": "pass",
        "linear/lossy/host:cpu": "fail",
        "linear/canary/host:cpu": "rejected",
    }, done.stdout
    cells = own.result().cells.set_index("variant")
    assert cells.loc["mlp"].drop_points == 0
    assert cells.loc["lossy"].drop_points > 2
    assert 0 < cells.loc["mlp"].p50_ms < 50
    assert re.fullmatch(r"numpy_mlp [0-9a-f]{12}, numpy [\d.]+", cells.loc["mlp"].runtime)
    exported = own.edgeworthy("export", "linear", "mlp", "--to", "shipped")
    assert exported.returncode == 0, exported.stderr
    assert list((own.root / "shipped").glob("*.npz"))


def test_it_may_run_the_reference_and_the_canary(own: Project) -> None:
    """Without a built-in runtime: a recipe that calibrates makes the canary; where there is none, the scrambled outputs stand."""
    entry = own.models["models"]["linear"]
    entry |= {"reference": "mlp", "variants": {"mlp": {}, "mlp_coarse": {}}}
    assert own.run("-k", "accuracy or canary").returncode == 0
    assert "int8 calibrated on inputs 1000 times too wide" in own.message("canary")
    recipes = own.root / "benchmarks" / "recipes.py"
    recipes.write_text(RECIPES.replace(", calibrated=True", "").replace("*, calibration", "*, calibration=1"))
    assert own.run("-k", "accuracy or canary").returncode == 0
    assert "no recipe of the runtime numpy_mlp calibrates" in own.message("canary")


def test_a_change_of_its_files_is_measured_anew(own: Project) -> None:
    """A resumed run takes what was measured, unless the class's file, or one that it imports, says something else by now."""
    assert own.run("-k", "accuracy").returncode == 0
    before = own.result().cells.set_index("variant").loc["mlp_coarse"]
    (own.root / "benchmarks" / "layers.py").write_text(LAYERS.replace("+ bias", "+ 0 * bias"))
    again = own.run("-k", "accuracy", "--edge-resume", "--edge-variant", "mlp_coarse")
    assert again.returncode == 1, again.stdout
    after = own.result().cells.set_index("variant").loc["mlp_coarse"]
    assert after.top1_percent < before.top1_percent
    assert after.runtime != before.runtime


def test_a_run_is_judged_again_without_the_users_files(own: Project) -> None:
    """Its runtime and its recipes may be gone by then."""
    assert own.run().returncode == 0
    assert own.edgeworthy("baseline", "accept", "--reason", "the first").returncode == 0
    for file in ("my_runtime.py", "layers.py", "recipes.py"):
        (own.root / "benchmarks" / file).unlink()
    for command in (("gate", "--run", "results/latest", "--baseline", "results/baselines"), ("report",)):
        done = own.edgeworthy(*command)
        assert done.returncode == 0, done.stdout + done.stderr


def wrong_recipe(project: Project) -> None:
    project.add_recipes(RECIPES.replace('"numpy_mlp"', '"numpy_mpl"'))


def built_in(project: Project) -> None:
    project.models["runtimes"]["torch"] = project.models["runtimes"]["numpy_mlp"]


def no_file(project: Project) -> None:
    (project.root / "benchmarks" / "my_runtime.py").unlink()


def no_data(project: Project) -> None:
    project.models["runtimes"]["numpy_mlp"]["files"] = ["layers.py", "table.npy"]


def data_elsewhere(project: Project) -> None:
    (project.root / "table.npy").write_bytes(b"")
    project.models["runtimes"]["numpy_mlp"]["files"] = ["../table.npy"]


def json_suffix(project: Project) -> None:
    project.models["runtimes"]["numpy_mlp"]["suffix"] = ".json"


def wrong_backend(project: Project) -> None:
    project.devices["devices"]["host"]["backends"]["cpu"]["runtimes"] = ["onnxruntime", "numpy_mpl"]


def accelerator(project: Project) -> None:
    backend = {"providers": ["CUDAExecutionProvider", "CPUExecutionProvider"], "runtimes": ["onnxruntime", "numpy_mlp"]}
    project.devices["devices"]["host"]["backends"]["cuda"] = backend


def phone(project: Project) -> None:
    backends = {"cpu": {"delegate": "cpu"}}
    project.devices["devices"]["phone"] = {
        "kind": "android", "serial": "1", "benchmark_model": "/data/local/tmp/tool", "backends": backends
    }  # fmt: skip
    entry = project.models["models"]["linear"]
    entry |= {"reference": "mlp", "variants": {"mlp": {}}, "targets": ["phone:*"]}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (wrong_recipe, r"recipes.py: recipe 'mlp': unknown runtime 'numpy_mpl'; did you mean 'numpy_mlp'\?"),
        (built_in, r"models.yaml:\d+: runtimes.torch: 'torch' comes with edgeworthy"),
        (no_file, r"models.yaml:\d+: runtimes.numpy_mlp.class: .*my_runtime.py: no such file"),
        (no_data, r"models.yaml:\d+: runtimes.numpy_mlp.files.1: .*benchmarks/table.npy: no such file"),
        (
            data_elsewhere,
            r"models.yaml:\d+: runtimes.numpy_mlp.files.0: .*table.npy: lies neither beside .*my_runtime.py nor",
        ),
        (json_suffix, r"models.yaml:\d+: runtimes.numpy_mlp.suffix: the store keeps"),
        (
            wrong_backend,
            r"devices.yaml:\d+: devices.host.backends.cpu.runtimes.1: unknown runtime 'numpy_mpl'; did you",
        ),
        (accelerator, r"backends.cuda.runtimes.1: numpy_mlp runs on the processor alone, and this backend is for CUDA"),
        (phone, r"linear/mlp/phone:cpu: phones run LiteRT's files alone, by benchmark_model, and no numpy_mlp"),
    ],
)
def test_a_wrong_configuration_is_one_sentence(own: Project, fault: Callable[[Project], None], said: str) -> None:
    """It shows before anything is measured, with a hint."""
    fault(own)
    done = own.run("--edge-target", "phone:*") if fault is phone else own.run()
    assert done.returncode not in (0, 1), done.stdout
    assert re.search(said, done.stdout + done.stderr), done.stdout + done.stderr
    assert "int:" in done.stdout + done.stderr


BROKEN = {
    "no class": (RUNTIME.replace("class Mlp", "class Pml"), "its file has no class 'Mlp'"),
    "does not import": (
        RUNTIME + "\n1 / 0\n",
        "cannot be imported: Mlp raised ZeroDivisionError: division by zero ({file}.py:13: 1 / 0)",
    ),
    "lacks a package": (RUNTIME + "\nimport no_such_package\n", "is not installed (No module named 'no_such_package')"),
    "cannot load": (RUNTIME.replace('stored["bias"]', 'stored["no"]'), "({file}.py:8: self.weights, self.bias = "),
    "other arguments": (RUNTIME.replace(", threads", ""), "cannot load it: Mlp raised TypeError"),
    "no method": (RUNTIME.replace("def run", "def runs"), "Mlp has no method run"),
    "raises": (RUNTIME.replace("return dense", "return dense[0]"), "failed: Mlp raised TypeError"),
    "shape": (RUNTIME.replace("self.bias)", "self.bias)[0]"), "run of Mlp returned float32 (10,) for 1 sample"),
    "text": (RUNTIME.replace("self.bias)", "self.bias).astype(str)"), "run of Mlp returned <U"),
    "leaves": (RUNTIME.replace("return dense(", "raise SystemExit(3) #"), "failed: Mlp raised SystemExit: 3"),
    "crash": (RUNTIME.replace("return dense(", "__import__('os').abort() #"), "the runner was killed by SIGABRT"),
    "hang": (RUNTIME.replace("return dense(", "__import__('time').sleep(99) #"), "did not finish within"),
    "random": (RUNTIME.replace("self.bias)", "self.bias) + np.random.rand()"), "it is random: the same sample gave"),
    "NaN": (RUNTIME.replace("self.bias)", "self.bias) * np.nan"), "NaN"),
}


def broken(project: Project, faults: list[str], recipe: str) -> dict[str, str]:
    """Give the project a runtime and a variant for each of the faults, made by ``recipe``; fault -> variant."""
    variants = {fault: fault.replace(" ", "_") for fault in faults}
    body = RECIPES.partition("@recipe")[0]
    [made] = [part for part in RECIPES.split("@recipe") if part.startswith(f'("{recipe}",')]
    for fault, name in variants.items():
        (project.root / "benchmarks" / f"{name}.py").write_text(BROKEN[fault][0])
        project.models["runtimes"][name] = {"class": f"{name}.py:Mlp", "suffix": ".npz"}
        body += "@recipe" + made.replace(f'"{recipe}"', f'"{name}"').replace("numpy_mlp", name)
    project.add_recipes(body)
    project.models["models"]["linear"]["variants"] = {"ort_fp32": {}, **{name: {} for name in variants.values()}}
    project.models["timeouts"] = {"cell_s": 10}
    return variants


def test_what_goes_wrong_in_the_class_is_one_sentence(own: Project) -> None:
    """The cell is an error with it, with file and line where there is one; the cells of other runtimes are judged."""
    variants = broken(own, list(BROKEN), "mlp_coarse")
    own.run("-k", "accuracy or latency")
    statuses = own.statuses()
    assert statuses["linear/ort_fp32/host:cpu"] == "pass"
    for fault, variant in variants.items():
        assert statuses[f"linear/{variant}/host:cpu"] == ("fail" if fault == "NaN" else "error"), fault
        assert BROKEN[fault][1].format(file=variant) in own.message(variant)


def test_what_goes_wrong_where_a_lossless_artifact_is_compared(own: Project) -> None:
    """There the class runs in the process that converts; what is wrong with it is no refusal of the recipe's."""
    variants = broken(own, ["cannot load", "raises", "shape", "crash", "hang"], "mlp")
    own.run("-k", "accuracy")
    assert own.statuses()["linear/ort_fp32/host:cpu"] == "pass"
    here = {"crash": "the converter was killed by SIGABRT in crash.py:11", "hang": "did not finish within 10 s"}
    for fault, variant in variants.items():
        assert own.statuses()[f"linear/{variant}/host:cpu"] == "error", fault
        assert here.get(fault, BROKEN[fault][1].format(file=variant)) in own.message(variant)


def test_lossless_means_what_it_says(own: Project) -> None:
    """An artifact that is called lossless and gives other outputs in the user's class than its source is not accepted."""
    wrong = RECIPES.replace("**parameters(source))", "weights=1.1 * parameters(source)['weights'], bias=0)", 1)
    own.add_recipes(wrong)
    own.models["models"]["linear"]["variants"] = {"ort_fp32": {}, "mlp": {}}
    own.run("-k", "accuracy")
    assert own.statuses()["linear/mlp/host:cpu"] == "error"
    assert "converted, but not the same model" in own.message("mlp")


SEVERAL = """
import numpy as np

class Both:
    def __init__(self, path, threads):
        pass

    def run(self, given):
        assert given["ids"].dtype == np.int64 and given["x"].dtype == np.float32
        rows = given["x"] * given["factor"]
        return {"sum": rows + given["ids"], "double": 2 * rows}

class Listed(Both):
    def run(self, given):
        return list(super().run(given).values())

class Counts:
    def __init__(self, path, threads):
        pass

    def run(self, given):
        total = given["total"] + given["x"]
        return {"scores": 10 * total, "total_out": total}
"""


def several(folder: Path, class_name: str, samples: Samples, **facts: object) -> tuple[Job, HostTarget]:
    """A job for a class of SEVERAL whose artifact is an empty file."""
    (folder / "several.py").write_text(SEVERAL)
    (folder / "empty.bin").write_bytes(b"")
    entry = OwnRuntime.model_validate({"class": f"several.py:{class_name}", "suffix": ".bin"})
    runtime = own_runtime("several", entry, folder)
    artifact = Artifact("key", folder / "empty.bin", "own", runtime, "nhwc", 1, 1, **facts)  # type: ignore[arg-type]
    return Job(artifact, samples, 30), HostTarget("host", "cpu", RunnerBackend())


@pytest.mark.parametrize("class_name", ["Both", "Listed"])
def test_several_inputs_and_outputs_are_given_by_name(tmp_path: Path, class_name: str) -> None:
    """A dictionary of arrays, whole numbers as such, a number that all samples have as it is; outputs by name, or in order."""
    ids, x = np.arange(120).reshape(40, 3), np.random.default_rng(0).random((40, 3), np.float32)
    np.save(tmp_path / "rows.npy", np.concatenate([ids, x], axis=1).astype(np.float32))
    inputs = (*in_a_row({"ids": ids, "x": x}), constant("factor", 0.5))
    names = {"ids": "ids", "x": "x", "factor": "factor"}
    samples = Samples(tmp_path / "rows.npy", inputs=inputs)
    job, host = several(tmp_path, class_name, samples, inputs=names, outputs=("sum", "double"))
    with closing(host):
        found = host.outputs(job)
    assert found.batch == 32
    assert found.shapes == ((3,), (3,))
    np.testing.assert_allclose(found.values, np.concatenate([x / 2 + ids, x], axis=1), rtol=1e-6)


def test_a_state_is_given_back(tmp_path: Path) -> None:
    """Step by step over sequences, from zeros; its times are those of a step."""
    x = np.random.default_rng(0).random((5, 4, 2), np.float32)
    np.save(tmp_path / "rows.npy", x.reshape(5, 8))
    [steps] = in_a_row({"x": x})
    inputs = (replace(steps, stepped=True), state("total", "total_out", 0, (1, 2)))
    samples = Samples(tmp_path / "rows.npy", inputs=inputs)
    facts = {"inputs": {"x": "x", "total": "total"}, "outputs": ("scores",), "state": {"total": "total_out"}}
    job, host = several(tmp_path, "Counts", samples, **facts)
    with closing(host):
        found, timed = host.outputs(job), host.timing(job, LatencyPlan(loads=3, samples_per_load=4, min_load_ms=0))
    np.testing.assert_allclose(found.values, 10 * x.cumsum(axis=1).reshape(5, 8), rtol=1e-5)
    assert len(timed.samples_ns) == 12
