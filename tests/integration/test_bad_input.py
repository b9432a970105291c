"""Bad input: each has one clear error that names the place and a next step, and harms nothing else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.commands import Ended, ended
from tests.integration.conftest import linear_model, make_project

if TYPE_CHECKING:
    from tests.integration.conftest import Digits, Project

Edit = Callable[[Any], object]

HEALTHY = "linear/ort_fp32/host:cpu"


def is_misuse(done: Ended) -> bool:
    """pytest's usage error: exit status 4, and not a line of Python shown."""
    said = done.stdout + done.stderr
    return done.returncode == 4 and "Traceback" not in said and "INTERNALERROR" not in said and "harness/" not in said


# -- model files and datasets: the other cells are unharmed -------------------------------------------------------

BAD_MODELS = {
    "missing": (r"nowhere\.onnx: no such file", "correct the path in models.yaml"),
    "empty": (r"empty\.onnx: the file is empty", "export the model again"),
    "truncated": (r"truncated\.onnx: cannot be read as an ONNX model", "export or download the model again"),
    "garbage": (r"garbage\.onnx: cannot be read as an ONNX model", "export or download the model again"),
    "folder": (r"folder\.onnx: no such file", "correct the path in models.yaml"),
    "suffix": (
        r"model\.bin: \.bin is not a known kind of model file",
        "give a .keras, .h5, .pt2, .onnx, .pb, .tflite file",
    ),
    "shape": (r"the model's input is \(1, 12, 12\), but the dataset's samples are \(8, 8, 1\)", "choose a dataset"),
    "classes": (r"the model gives 7 classes, the dataset 'digits' has 10", "set the dataset's 'classes'"),
    "torch_pickle": (
        r"weights\.pt: .*not loaded|weights\.pt: cannot be read as torch weights",
        "save the weights with",
    ),
    "torch_other": (
        r"other\.pt: the weights do not fit factory\.py:build: .*unexpected keys: ",
        "save the weights of this",
    ),
    "no_function": (r"factory\.py has no function 'biuld' \(asked for by 'factory\.py:biuld'\)", "correct the name"),
}

#: Python that does not come to its function: a file, and what importing it comes to.
BAD_CODE = {
    "raises": ("raise RuntimeError('no licence\\nfor this machine')", "RuntimeError: no licence"),
    "exits": ("import sys\nsys.exit(3)", "SystemExit: 3"),
    "leaves": ("import sys\nsys.exit()", "SystemExit"),
    "syntax": ("def build(:", r"SyntaxError: .*line 1"),
    "package": ("raise OSError('no network')", "OSError: no network"),
}
#: Whose function stands in such a file -> which of them, and what is asked for.
ASKED = {
    "factory": ("build", tuple(BAD_CODE)),
    "trainer": ("train", ("raises", "package")),
    "data": ("splits", ("exits", "package")),
    "metric": ("score", ("leaves", "syntax")),
}
#: Functions that are found, and do not return.
CALLED = {"factory": "build", "trainer": "train", "data": "splits", "metric": "score"}

BAD_DATASETS = {
    "no_file": (r"dataset 'no_file': .*nowhere\.npz: no such file", "correct its path"),
    "no_samples": (r"dataset 'no_samples': evaluation_x is empty", "correct the dataset's arrays"),
    "no_labels": (
        r"dataset 'no_labels' lacks 'evaluation_y', which the metric top1 needs",
        "add the array evaluation_y; or judge the model without targets, by 'metric: fidelity'",
    ),
    "bad_label": (r"evaluation_y has 2 labels out of range \(0 to 9\): sample 3 is 10", "correct the dataset's arrays"),
    "nan": (r"dataset 'nan': evaluation_x holds NaN or infinity", "correct the dataset's arrays"),
    "pickled": (r"pickled\.npz: not a readable \.npz of plain arrays", "write it with numpy.savez"),
    "cut": (r"cut\.npz: not a readable \.npz of plain arrays", "write it with numpy.savez"),
    "flat": (
        r"dataset 'flat': calibration_x has samples of shape \(8, 8, 1\), evaluation_x of \(64,\)",
        "correct the dataset's arrays",
    ),
    "float_labels": (
        r"evaluation_y is float64 of shape \(697,\); 697 integers are needed",
        "correct the dataset's arrays",
    ),
    "strange": (r"dataset 'strange' has an unknown array 'evalution_x'", "its arrays may be"),
}


def write_bad_models(folder: Path, digits: Digits) -> dict[str, str]:
    """The bad model files, and the path of each."""
    whole = (folder / "linear.onnx").read_bytes()
    (folder / "empty.onnx").touch()
    (folder / "truncated.onnx").write_bytes(whole[: len(whole) // 2])
    (folder / "garbage.onnx").write_bytes(np.random.default_rng(0).bytes(5000))
    (folder / "folder.onnx").mkdir()
    (folder / "model.bin").write_bytes(whole)
    linear_model(folder / "shape.onnx", np.zeros((144, 10)), np.zeros(10), side=12)
    linear_model(folder / "classes.onnx", digits.weights[:, :7], digits.bias[:7])
    special = {"missing": "nowhere.onnx", "suffix": "model.bin"}
    return {name: special.get(name, f"{name}.onnx") for name in BAD_MODELS if not name.startswith(("torch", "no_"))}


def write_bad_datasets(folder: Path, good: dict[str, Any]) -> None:
    """A file for every dataset that has one."""
    labels = good["evaluation_y"].copy()
    labels[[3, 5]] = 10, -1
    images = good["evaluation_x"].copy()
    images[7, 0, 0, 0] = np.nan
    changed: dict[str, dict[str, Any]] = {
        "no_samples": {"evaluation_x": images[:0], "evaluation_y": labels[:0]},
        "bad_label": {"evaluation_y": labels},
        "nan": {"evaluation_x": images},
        "pickled": {"evaluation_x": np.array([{"an": "object"}] * len(images))},
        "flat": {"evaluation_x": good["evaluation_x"].reshape(len(images), -1)},
        "float_labels": {"evaluation_y": good["evaluation_y"].astype(float)},
        "strange": {"evalution_x": images},
    }
    for name, arrays in changed.items():
        np.savez(folder / f"{name}.npz", **{**good, **arrays})
    np.savez(folder / "no_labels.npz", evaluation_x=good["evaluation_x"])
    whole = (folder / "digits.npz").read_bytes()
    (folder / "cut.npz").write_bytes(whole[: len(whole) // 2])


def function_in(file: str, function: str) -> str:
    """How models.yaml names it: by file, or by module for what is in a package."""
    return f"no_licence.{file}:{function}" if file == "package" else f"{file}.py:{function}"


def write_bad_code(root: Path) -> None:
    """The files of BAD_CODE, a package that raises before its module is reached, and functions that exit."""
    for name, (code, _) in BAD_CODE.items():
        path = root / "no_licence" / "__init__.py" if name == "package" else root / "benchmarks" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(code + "\n")
    (root / "no_licence" / "package.py").touch()
    functions = [f"def {function}(*given):\n    sys.exit('enough')\n" for function in CALLED.values()]
    (root / "benchmarks" / "called.py").write_text("import sys\n" + "".join(functions))


def add_bad_code(project: Project, healthy: dict[str, Any]) -> None:
    """A model for each function, with the part of it that is in a bad file."""
    datasets, models = project.models["datasets"], project.models["models"]
    for part, (function, files) in ASKED.items():
        for file in (*files, "called"):
            name, asked = f"{part}_{file}", function_in(file, function)
            changed: dict[str, Any] = {
                "factory": {"source": {"factory": asked, "weights": "weights.pt"}},
                "trainer": {"source": {"trainer": asked}, "dataset": "trained"},
                "data": {"dataset": name},
                "metric": {"metric": {"function": asked, "better": "higher"}},
            }[part]
            models[name] = {**healthy, **changed}
            if part == "data":
                datasets[name] = {"kind": "function", "function": asked, "classes": 10}
    models["factory_exits"]["variants"] = {"ort_fp32": {}, "ort_dynamic": {}}


@pytest.fixture(scope="module")
def mixed_run(tmp_path_factory: pytest.TempPathFactory, digits: Digits, shared_store: Path) -> tuple[Project, Ended]:
    """One run of a healthy model among all of the bad ones."""
    project = make_project(tmp_path_factory.mktemp("mixed"), digits, shared_store)
    folder = project.root / "benchmarks"
    models = project.models["models"]
    healthy = models["linear"] = {**models["linear"], "variants": {"ort_fp32": {}}}
    for name, path in write_bad_models(folder, digits).items():
        models[f"model_{name}"] = {**healthy, "source": {"path": path}}
    (folder / "weights.pt").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")  # what pickle.loads would execute
    (folder / "factory.py").write_text("def build():\n    import torch\n    return torch.nn.Flatten()\n")
    save = "import torch; torch.save({'weight': torch.zeros(1)}, 'other.pt')"
    subprocess.run([sys.executable, "-c", save], cwd=folder, check=True)
    for name, factory, weights in (
        ("torch_pickle", "build", "weights.pt"),
        ("torch_other", "build", "other.pt"),
        ("no_function", "biuld", "other.pt"),
    ):
        models[f"model_{name}"] = {**healthy, "source": {"factory": f"factory.py:{factory}", "weights": weights}}
    write_bad_code(project.root)
    add_bad_code(project, healthy)
    write_bad_datasets(folder, digits.arrays)
    parts = {
        f"{split}_{part}": digits.arrays[f"evaluation_{part}"][i : i + 1] + 0
        for i, split in enumerate(("train", "validation"))
        for part in ("x", "y")
    }
    np.savez(
        folder / "trained.npz", **{key: value[2:] for key, value in digits.arrays.items() if "eval" in key}, **parts
    )
    project.models["datasets"]["trained"] = {"kind": "npz", "path": "trained.npz", "classes": 10}
    for name in BAD_DATASETS:
        path = "nowhere.npz" if name == "no_file" else f"{name}.npz"
        project.models["datasets"][name] = {"kind": "npz", "path": path, "classes": 10}
        models[f"data_{name}"] = {**healthy, "dataset": name}
    return project, project.run()


def test_a_healthy_model_is_unharmed_by_bad_ones(
    mixed_run: tuple[Project, Ended],
) -> None:
    """The run is red, and every cell of the healthy model is measured, judged and passes."""
    project, done = mixed_run
    assert done.returncode == 1, done.stdout
    statuses = project.statuses()
    assert statuses.pop(HEALTHY) == "pass"
    assert statuses.pop("linear/canary/host:cpu") == "rejected"
    assert set(statuses.values()) == {"error"}
    assert not (project.root / "pwned").exists()


@pytest.mark.parametrize(
    ("model", "words", "hint"),
    [(f"model_{name}", *said) for name, said in BAD_MODELS.items()]
    + [(f"data_{name}", *said) for name, said in BAD_DATASETS.items()],
)
def test_bad_models_and_datasets_are_named(mixed_run: tuple[Project, Ended], model: str, words: str, hint: str) -> None:
    """Each has an error of one sentence with the file or the dataset, and what to do, in the report and on the terminal."""
    project, done = mixed_run
    message = project.message("ort_fp32", model)
    assert re.search(words, message), message
    assert "\n" not in message
    cells = project.result().cells
    assert hint in cells.loc[cells.model == model, "hint"].iloc[0]
    assert message in done.stdout


@pytest.mark.parametrize(
    ("part", "file"), [(part, file) for part, (_, files) in ASKED.items() for file in (*files, "called")]
)
def test_code_that_raises_or_exits_is_named(mixed_run: tuple[Project, Ended], part: str, file: str) -> None:
    """A factory's, a trainer's, a dataset's or a metric's module that raises on import or exits, and a function that
    does when it is called: one sentence with the file and what it raised, and what to do."""
    project, done = mixed_run
    function = ASKED[part][0]
    message = project.message("ort_fp32", f"{part}_{file}")
    if file == "called":
        assert re.search(rf"called\.py:{function}.* raised SystemExit: enough \(called\.py:", message), message
    else:
        assert re.search(rf"import.*raised {BAD_CODE[file][1]}", message), message
        assert ("no_licence" if file == "package" else f"{file}.py") in message
    cells = project.result().cells
    assert cells.loc[cells.model == f"{part}_{file}", "hint"].all()
    assert message in done.stdout
    assert "Traceback" not in done.stdout


def test_every_variant_of_a_factory_that_exits_says_so(
    mixed_run: tuple[Project, Ended],
) -> None:
    """Not only the first: a module that came half way is not taken for one without the function."""
    project, _ = mixed_run
    assert project.message("ort_dynamic", "factory_exits") == project.message("ort_fp32", "factory_exits")


# -- configuration: a usage error before anything is measured -----------------------------------------------------

#: What is done to models.yaml or devices.yaml, and the words of the answer.
BAD_CONFIGURATION: dict[str, tuple[str, Edit, str]] = {
    "recipe": (
        "models",
        lambda m: m["models"]["linear"]["variants"].update(ort_fp23={}),
        r"models\.yaml:\d+: models\.linear\.variants\.ort_fp23: unknown recipe 'ort_fp23'; did you mean 'ort_fp32'",
    ),
    "recipe of a variant": (
        "models",
        lambda m: m["models"]["linear"]["variants"].update(mine={"recipe": "ort_dynamc"}),
        r"models\.linear\.variants\.mine\.recipe: unknown recipe 'ort_dynamc'; did you mean 'ort_dynamic'",
    ),
    "recipe option": (
        "models",
        lambda m: m["models"]["linear"]["variants"].update(mixed={"options": {"float_opps": []}}),
        r"variants\.mixed\.options: recipe 'mixed' has no option 'float_opps'; did you mean 'float_ops'",
    ),
    "recipe option's type": (
        "models",
        lambda m: m["models"]["linear"]["variants"].update(mixed={"options": {"float_ops": "ADD"}}),
        r"variants\.mixed\.options: recipe 'mixed', option float_ops: .*list",
    ),
    "recipe file": (
        "models",
        lambda m: m.update(recipe_files=["nowhere.py"]),
        r"recipe_files: .*nowhere\.py: no such file",
    ),
    "dataset": (
        "models",
        lambda m: m["models"]["linear"].update(dataset="digts"),
        r"models\.linear\.dataset: unknown dataset 'digts'; did you mean 'digits'",
    ),
    "dataset kind": (
        "models",
        lambda m: m["datasets"]["digits"].update(kind="nzp"),
        r"datasets\.digits\.kind: unknown value 'nzp'; did you mean 'npz'",
    ),
    "metric": (
        "models",
        lambda m: m["models"]["linear"].update(metric="top_1"),
        r"models\.linear\.metric: unknown value 'top_1'; did you mean 'top1'",
    ),
    "reference": (
        "models",
        lambda m: m["models"]["linear"].update(reference="ort_fp23"),
        r"models\.linear\.reference: unknown variant 'ort_fp23'; did you mean 'ort_fp32'",
    ),
    "share": (
        "models",
        lambda m: m["budgets"].append({"min_top1_percent": 0.95}),
        r"models\.yaml:\d+: budgets\.1\.min_top1_percent: it is a percentage: 0\.95 % would accept almost anything",
    ),
    "no variants": ("models", lambda m: m["models"]["linear"].pop("variants"), r"models\.linear\.variants: .*missing"),
    "target": (
        "models",
        lambda m: m["models"]["linear"].update(targets=["host:cpuu"]),
        r"models\.linear\.targets\.0: unknown target 'host:cpuu'; did you mean 'host:cpu'",
    ),
    "device kind": (
        "devices",
        lambda d: d["devices"]["host"].update(kind="hosst"),
        r"devices\.yaml:\d+: devices\.host\.kind: unknown value 'hosst'; did you mean 'host'",
    ),
    "backend option": (
        "devices",
        lambda d: d["devices"]["host"]["backends"]["cpu"].update(thread=1),
        r"devices\.host\.backends\.cpu\.thread: unknown key 'thread'; did you mean 'threads'",
    ),
    "runtime": (
        "devices",
        lambda d: d["devices"]["host"]["backends"]["cpu"].update(runtimes=["onnxruntme"]),
        r"runtimes\.0: unknown runtime 'onnxruntme'; did you mean 'onnxruntime'",
    ),
    "budget's variant": (
        "models",
        lambda m: m["budgets"].append({"variant": "ort_dynamik", "max_p50_ms": 1}),
        r"budgets\.1\.variant: unknown variant 'ort_dynamik'; did you mean 'ort_dynamic'",
    ),
    "budget's variant of another model": (
        "models",
        lambda m: (
            m["models"].update(second={**m["models"]["linear"], "variants": {"ort_fp32": {}}}),
            m["budgets"].append({"model": "second", "variant": "ort_dynamic", "max_p50_ms": 1}),
        ),
        r"budgets\.1\.variant: unknown variant 'ort_dynamic'; .*known: ort_fp32$",
    ),
    "budget's model": (
        "models",
        lambda m: m["budgets"].append({"model": "liner", "max_p50_ms": 1}),
        r"budgets\.1\.model: unknown model 'liner'; did you mean 'linear'",
    ),
    "budget's target": (
        "models",
        lambda m: m["budgets"].append({"target": "host:gpu", "max_p50_ms": 1}),
        r"budgets\.1\.target: unknown target 'host:gpu'; did you mean 'host:cpu'",
    ),
    "budget's limit": (
        "models",
        lambda m: m["budgets"].append({"max_p5_ms": 1}),
        r"budgets\.1\.max_p5_ms: unknown key 'max_p5_ms'; did you mean 'max_p(50|95)_ms'",
    ),
    "key at the top": ("models", lambda m: m.update(modles={}), r"modles: unknown key 'modles'; did you mean 'models'"),
    "key of a model": (
        "models",
        lambda m: m["models"]["linear"].update(sourc={}),
        r"models\.linear\.sourc: unknown key 'sourc'; did you mean 'source'",
    ),
    "key of a source": (
        "models",
        lambda m: m["models"]["linear"]["source"].update(paht="x"),
        r"models\.linear\.source\.paht: unknown key 'paht'; did you mean 'path'",
    ),
    "key of a variant": (
        "models",
        lambda m: m["models"]["linear"]["variants"].update(ort_fp32={"recpie": "x"}),
        r"variants\.ort_fp32\.recpie: unknown key 'recpie'; did you mean 'recipe'",
    ),
    "key of latency": (
        "models",
        lambda m: m["latency"].update(load=3),
        r"latency\.load: unknown key 'load'; did you mean 'loads'",
    ),
    "newer version": ("models", lambda m: m.update(version=2), r"version: version 2 is newer .*\n?.*update edgeworthy"),
    "variant called canary": (
        "models",
        lambda m: m["models"]["linear"]["variants"].update(canary={"recipe": "ort_fp32"}),
        r"variants\.canary: 'canary' is the name of the gate's self-test; rename",
    ),
    "variable": (
        "models",
        lambda m: m["datasets"]["digits"].update(path="${HOME}/digits.npz"),
        r"\$\{HOME\} is not expanded; only EDGE_\* variables are",
    ),
    "unset variable": (
        "models",
        lambda m: m["datasets"]["digits"].update(path="${EDGE_NOWHERE}/digits.npz"),
        r"the environment variable EDGE_NOWHERE is not set",
    ),
    **{
        f"name {name!r}": (
            "models",
            lambda m, name=name: m["models"].update({name: m["models"]["linear"]}),
            "is not a name: letters, digits",
        )
        for name in ("../up", "a;b", "$(id)", "two words", "", "-x", "a" * 65, "a/b", "a\nb")
    },
    "device name": (
        "devices",
        lambda d: d["devices"].update({"pi:5": d["devices"]["host"]}),
        "'pi:5' is not a name",
    ),
}


@pytest.mark.parametrize("case", BAD_CONFIGURATION)
def test_bad_configuration_is_a_usage_error(project: Project, case: str) -> None:
    """File, line, key and the nearest valid name, once, before anything runs."""
    file, edit, words = BAD_CONFIGURATION[case]
    edit(project.models if file == "models" else project.devices)
    done = project.run()
    assert is_misuse(done), done.stdout + done.stderr
    assert re.search(words, done.stderr, re.MULTILINE), done.stderr
    assert done.stderr.count("models.yaml:") + done.stderr.count("devices.yaml:") <= 1
    assert not (project.root / "results").exists()


@pytest.mark.parametrize("file", ["exits", "syntax"])
def test_a_recipe_file_that_cannot_be_imported_is_a_usage_error(project: Project, file: str) -> None:
    """sys.exit() too: the sentence has the file and what it raised, and nothing runs."""
    code, raised = BAD_CODE[file]
    project.add_recipes(code)
    done = project.run()
    assert is_misuse(done), done.stdout + done.stderr
    assert re.search(rf"recipe_files: .*recipes\.py: importing it raised {raised}", done.stderr), done.stderr
    assert "Hint: fix the file" in done.stderr


BAD_YAML = {
    "duplicate key": (
        "version: 1\nversion: 1\n",
        r"models\.yaml:2: the key 'version' stands twice; the first is on line 1",
    ),
    "bomb": (
        "a: &a [x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        r"aliases expand to more than 200,000 values \(a YAML bomb\)",
    ),
    "own alias": ("a: &a [*a]\n", "an alias that contains itself"),
    "python tag": ("!!python/object/apply:os.system ['touch pwned']\n", "not plain data: the tag .*os.system"),
    "python tag on a scalar": ("a: !!python/name:os.system x\n", "not plain data"),
    "not YAML": ("models: [1, 2\n", r"models\.yaml:2: not valid YAML"),
    "a list": ("- 1\n", "expected a mapping with the keys version"),
    "empty": ("", "the file is empty"),
    "not text": ("\x80\x81", "not valid YAML"),
}


@pytest.mark.parametrize("case", BAD_YAML)
def test_bad_yaml_is_a_usage_error(project: Project, case: str) -> None:
    """A file that is no YAML, or YAML that attacks its reader, is refused with its line, and nothing in it is run."""
    text, words = BAD_YAML[case]
    project.write()
    (project.root / "benchmarks" / "models.yaml").write_text(text)
    done = run_as_written(project)
    assert is_misuse(done), done.stdout + done.stderr
    assert re.search(words, done.stderr), done.stderr
    assert not (project.root / "pwned").exists()


def run_as_written(project: Project, *prefix: str, **variables: str) -> Ended:
    """Run without writing the YAML files anew, under another command or with other variables."""
    return ended([*prefix, *project.command()], project.root, {**project.environment(), **variables})


def test_missing_models_yaml_says_how_to_make_one(project: Project) -> None:
    """A repository that was never set up is told of 'edgeworthy init'."""
    done = run_as_written(project)
    assert is_misuse(done), done.stdout + done.stderr
    assert re.search(r"models\.yaml: no such file\nHint: run 'edgeworthy init'", done.stderr)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--edge-model", "liner"], "--edge-model liner: no model matches; did you mean 'linear'"),
        (["--edge-variant", "fp32"], "--edge-variant fp32: no variant matches; did you mean 'ort_fp32'"),
        (["--edge-target", "host:gpu"], "--edge-target host:gpu: no target matches; did you mean 'host:cpu'"),
        (["--edge-budget", "max_p5_ms=1"], "--edge-budget max_p5_ms=1: unknown limit 'max_p5_ms'; did you mean"),
        (["--edge-budget", "max_p50_ms=fast"], "--edge-budget max_p50_ms=fast: .*number"),
        (["--edge-budget", "max_p50_ms"], "--edge-budget max_p50_ms: "),
        (["--edge-budget", "min_top1_percent=0.95"], "min_top1_percent=0.95 is a percentage: .*almost anything"),
        (["--edge-budget", "max_drop_points=-1"], "--edge-budget max_drop_points=-1: .*greater than or equal to 0"),
        (["--edge-resume", "nope"], "--edge-resume nope: no such run"),
    ],
)
def test_bad_options_are_usage_errors(project: Project, arguments: list[str], words: str) -> None:
    """An option that selects or limits nothing is not silently a run over nothing."""
    done = project.run(*arguments)
    assert is_misuse(done), done.stdout + done.stderr
    assert re.search(words, done.stderr), done.stderr


def test_a_bad_mark_is_a_usage_error(project: Project) -> None:
    """A misspelt limit in @pytest.mark.edge_budget names the test that has it, before anything runs."""
    (project.root / "benchmarks" / "test_mine.py").write_text(
        "import pytest\n@pytest.mark.edge_budget(max_p5_ms=1)\ndef test_mine(edge_cell): pass\n"
    )
    done = project.run()
    assert done.returncode == 4, done.stdout + done.stderr
    assert re.search(r"test_mine\.py::test_mine.*unknown limit 'max_p5_ms'; did you mean", done.stderr), done.stderr


def test_bad_configuration_under_xdist_is_said_too(project: Project) -> None:
    """Workers collect; what is wrong still reaches the terminal in its own words."""
    project.models["models"]["linear"]["dataset"] = "digts"
    done = project.run("-n", "1")
    assert done.returncode not in (0, 5), done.stdout
    assert "unknown dataset 'digts'; did you mean 'digits'" in done.stdout + done.stderr
    assert "INTERNALERROR" not in done.stdout + done.stderr


def test_unreadable_waivers_under_xdist_are_said_once(project: Project) -> None:
    """Before a worker starts, as without xdist; not by every test."""
    (project.root / "benchmarks" / "waivers.yaml").write_text("version: 1\nwaivers: [{cell: nowhere}]\n")
    done = project.run("-n", "1")
    assert is_misuse(done), done.stdout + done.stderr
    assert (done.stdout + done.stderr).count("unknown key 'cell'") == 1


# -- the machine --------------------------------------------------------------------------------------------------


def in_namespace(command: str) -> list[str]:
    """``command`` before the rest of the arguments, with mounts that nobody else sees; skips where that is forbidden."""
    if (
        not shutil.which("unshare")
        or subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("private mounts need root (or CAP_SYS_ADMIN) and unshare")
    return ["unshare", "-m", "sh", "-c", f'{command} && exec "$@"', "sh"]


def small_disk(project: Project, size: str) -> Ended:
    """A run whose store is a disk of so little space."""
    store = project.root / "small"
    store.mkdir()
    project.write()
    mount = in_namespace(f"mount -t tmpfs -o size={size} tmpfs '{store}'")
    return run_as_written(project, *mount, EDGE_STORE=str(store))


def test_a_full_disk_is_said(project: Project) -> None:
    """A store without space for the dataset ends each cell with an error that says so."""
    done = small_disk(project, "48k")
    assert done.returncode == 1, done.stdout + done.stderr
    assert set(project.statuses().values()) == {"error"}
    assert "small: no space left to write" in project.message("ort_fp32")
    assert "edgeworthy prune" in done.stdout


def test_a_disk_that_one_artifact_fills_costs_that_cell(project: Project) -> None:
    """A variant that does not fit on the disk is that variant's error; those that fit are measured."""
    project.add_recipes(
        "from edgeworthy import recipe\n"
        "@recipe('fat', runtime='onnxruntime', packages=())\n"
        "def fat(source, out):\n"
        "    import time; time.sleep(1)\n"  # until the variants before it are stored
        "    out.write_bytes(bytes(5_000_000))\n"
        "    return 'nchw'\n"
    )
    project.models["models"]["linear"]["variants"] = {"ort_fp32": {}, "fat": {}}
    done = small_disk(project, "2m")
    assert done.returncode == 1, done.stdout + done.stderr
    assert project.statuses() == {
        HEALTHY: "pass",
        "linear/fat/host:cpu": "error",
        "linear/canary/host:cpu": "rejected",
    }
    assert "No space left on device" in project.message("fat")


def test_a_read_only_store_serves_what_it_has_and_says_what_it_cannot(project: Project) -> None:
    """Artifacts of a read-only store are used; what would have to be made there says that it may not be written."""
    assert project.run().returncode == 0
    project.add_recipes(
        "from edgeworthy import recipe\n"
        "@recipe('mine', runtime='onnxruntime', packages=())\n"
        "def mine(source, out):\n    out.write_bytes(source.onnx_file().read_bytes())\n    return 'nchw'\n"
    )
    project.models["models"]["linear"]["variants"]["mine"] = {}
    project.write()
    done = run_as_written(
        project,
        *in_namespace(
            f"mount --bind '{project.store}' '{project.store}' && mount -o remount,ro,bind '{project.store}'"
        ),
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert project.statuses()[HEALTHY] == "pass"
    assert project.statuses()["linear/mine/host:cpu"] == "error"
    assert "may not be written" in project.message("mine")
    assert "set EDGE_STORE to a folder of your own" in done.stdout


def test_a_store_that_cannot_be_made_is_said(project: Project) -> None:
    """A store below a file is an error of one sentence, not a traceback for every test."""
    project.write()
    done = run_as_written(project, EDGE_STORE=str(project.root / "pytest.ini" / "store"))
    assert done.returncode not in (0, 5), done.stdout + done.stderr
    assert re.search(r"pytest\.ini/store: cannot be written", done.stdout + done.stderr)
    assert "Traceback" not in done.stdout
    assert "INTERNALERROR" not in done.stdout + done.stderr


def test_a_runtime_that_is_not_installed_is_named(project: Project, tmp_path: Path) -> None:
    """The cells of a missing runtime say what to install."""
    stub = tmp_path / "stub" / "onnxruntime"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text("raise ImportError('no onnxruntime here')\n")
    assert project.run("--edge-variant", "ort_fp32").returncode == 0  # converted while it was there
    project.models["models"]["linear"]["variants"] = {"ort_fp32": {}}
    project.write()
    done = run_as_written(project, PYTHONPATH=os.pathsep.join([str(stub.parent), os.environ.get("PYTHONPATH", "")]))
    assert done.returncode == 1, done.stdout + done.stderr
    assert project.statuses()[HEALTHY] == "error"
    assert "the runtime onnxruntime is not installed (no onnxruntime here)" in project.message("ort_fp32")
    assert "pip install 'edgeworthy[onnx]'" in done.stdout


def test_more_calibration_samples_than_there_are_is_an_error_of_that_variant(project: Project) -> None:
    """The key, both numbers and what to do; the other variants are made."""
    project.models["models"]["linear"]["variants"]["many"] = {
        "recipe": "ort_int8_minmax",
        "options": {"calibration_samples": 100000},
    }
    project.run("-k", "accuracy")
    statuses = project.statuses()
    assert statuses.pop("linear/many/host:cpu") == "error"
    assert set(statuses.values()) == {"pass", "rejected"}
    assert (
        "models.linear.variants.many.options.calibration_samples is 100000, and the dataset 'digits' has 100 calibration"
        in project.message("many")
    )
