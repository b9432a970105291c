"""Models of every task through the front door: what is right passes, a seeded loss fails, the canary is rejected.

Each model is one product with an orthogonal matrix, whose outputs are known: what it is given was made from them. So a
quantized variant is nearly right, and a bias that its recipe adds is exactly the loss that is meant.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from edgeworthy.metrics import QUALITIES
from edgeworthy.tasks.table import TASKS
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers import models as tokenizer_models

from tests.commands import edgeworthy
from tests.integration.conftest import BESIDE_OTHER_TESTS, Digits, Project, make_project
from tests.onnx_files import onnx_file

SAMPLES = 60
RECIPE = """
from pathlib import Path
import numpy as np, onnx
from onnx import numpy_helper
from edgeworthy import recipe

@recipe("off", runtime="onnxruntime", packages=("onnx",))
def off(source, out, *, model):
    found = onnx.load(source.onnx_file())
    for tensor in found.graph.initializer:
        if tensor.name == "bias":
            bias = np.load(Path(__file__).with_name(model + "_off.npy")).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(bias, "bias"))
    onnx.save(found, out)
    return source.onnx_layout()
"""


@dataclass(frozen=True)
class Case:
    """A model: the outputs it gives (samples, ...) by name, its targets, and what is added to the outputs of a bad variant."""

    outputs: dict[str, NDArray[Any]]
    targets: NDArray[Any]
    off: dict[str, NDArray[Any]]
    entry: dict[str, Any]
    lost: str = "accuracy lost"


def in_a_row(parts: dict[str, NDArray[Any]], samples: int) -> NDArray[np.float32]:
    return np.concatenate([np.asarray(part, np.float32).reshape(samples, -1) for part in parts.values()], axis=1)


def write_model(path: Path, case: Case) -> NDArray[np.float32]:
    """The model's file; what it is given, (samples, values)."""
    rows = in_a_row(case.outputs, SAMPLES)
    size = rows.shape[1]
    turned = np.linalg.qr(np.random.default_rng(0).normal(size=(size, size)))[0].astype(np.float32)
    shapes = {name: list(part.shape[1:]) for name, part in case.outputs.items()}
    sizes = [int(np.prod(shape)) for shape in shapes.values()]
    weights = {"turned": turned, "bias": np.zeros(size, np.float32), "sizes": np.array(sizes, np.int64)}
    parts = [f"{name}_flat" for name in shapes]
    nodes = [
        helper.make_node("MatMul", ["x", "turned"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["all"]),
    ]
    nodes.append(helper.make_node("Split", ["all", "sizes"], parts, axis=1))
    for (name, shape), part in zip(shapes.items(), parts, strict=True):
        weights[f"{name}_shape"] = np.array([0, *shape], np.int64)
        nodes.append(helper.make_node("Reshape", [part, f"{name}_shape"], [name]))
    named = {name: ["batch", *shape] for name, shape in shapes.items()}
    onnx_file(path, nodes, {"x": ["batch", size]}, named, weights)
    return rows @ turned.T


def scores_of(classes: NDArray[np.int64], count: int, noise: float, seed: int) -> NDArray[np.float32]:
    """Scores (..., count) whose best is mostly that class."""
    return np.eye(count)[classes] * 4 + np.random.default_rng(seed).normal(size=(*classes.shape, count)) * noise


def boxes_of(random: np.random.Generator) -> NDArray[np.float64]:
    """Three objects in each picture of 64x64, apart from one another: rows of x1, y1, x2, y2 and a class of four."""
    starts = random.uniform(1, 4, size=(SAMPLES, 3, 2)) + np.array([[0, 0], [32, 0], [0, 32]])
    sides = random.uniform(12, 24, size=(SAMPLES, 3, 2))
    return np.concatenate([starts, starts + sides, random.integers(4, size=(SAMPLES, 3, 1))], axis=2)


def cases() -> dict[str, Case]:
    random = np.random.default_rng(1)
    masks = np.repeat(np.repeat(random.integers(3, size=(SAMPLES, 3, 4)), 2, axis=1), 2, axis=2)
    drop_class = np.zeros((3, 6, 8))
    drop_class[2] = -20
    words = ["a cab", "bad a", "dab ab", "ad bc"]
    texts = np.array([words[index] for index in random.integers(4, size=SAMPLES)])
    steps = np.zeros((SAMPLES, 12), np.int64)
    for row, text in enumerate(texts):
        for place, letter in enumerate(text):
            steps[row, 2 * place] = "-abcd ".index(letter)
    no_letter = np.zeros((12, 6))
    no_letter[:, 2] = -20  # the letter b is never heard
    tags = random.choice(5, size=(SAMPLES, 7), p=[0.5, 0.15, 0.15, 0.1, 0.1])
    no_tag = np.zeros((7, 5))
    no_tag[:, 1] = -20
    people = np.arange(SAMPLES) // 5
    faces = random.normal(size=(SAMPLES // 5, 16))[people] + 0.8 * random.normal(size=(SAMPLES, 16))
    labels = (random.random((SAMPLES, 6)) < 0.4).astype(np.int64)
    numbers = random.normal(size=(SAMPLES, 4))
    classes = random.integers(5, size=SAMPLES)
    pictures = np.cumsum(random.random((SAMPLES, 12, 12, 1)), axis=1) / 12
    sounds = random.normal(size=(SAMPLES, 64))
    objects = boxes_of(random)
    found = objects + np.array([1.5, -1, 1, 1.5, 0]) * random.normal(size=objects.shape)
    corners = random.uniform(4, 60, size=(SAMPLES, 6, 2))
    poses = np.concatenate([corners, np.full((SAMPLES, 6, 1), 2)], axis=2)
    return {
        "detector": Case(
            {"boxes": found[..., :4], "scores": random.uniform(0.3, 0.9, (SAMPLES, 3)), "kinds": objects[..., 4]},
            objects, {"boxes": np.full((3, 4), 4), "scores": np.zeros(3), "kinds": np.zeros(3)},
            {"task": {"kind": "detection", "classes": 4, "image_size": [64, 64], "nms_iou": None,
                      "decoder": {"kind": "boxes", "boxes": "boxes", "scores": "scores", "classes": "kinds"}}},
        ),
        "poses": Case(
            {"joints": poses + np.array([1, 1, 0.1]) * random.normal(size=poses.shape)}, poses,
            {"joints": np.tile([3, 0, 0], (6, 1))},
            {"task": {"kind": "keypoints", "sigmas": [0.05] * 6, "image_size": [64, 64], "decoder": {"kind": "coordinates"}}},
        ),
        "marks": Case(
            {"marks": corners + 0.5 * random.normal(size=corners.shape)}, corners, {"marks": np.full((6, 2), 2)},
            {"task": {"kind": "landmarks", "image_size": [64, 64]}}, lost="metric lost",
        ),
        "segmenter": Case(
            {"maps": np.moveaxis(scores_of(masks, 3, 0.9, 2), -1, 1)}, masks, {"maps": drop_class},
            {"task": "segmentation"},
        ),
        "reader": Case(
            {"scores": scores_of(steps, 6, 1.0, 3)}, texts, {"scores": no_letter},
            {"task": {"kind": "text", "decoder": {"kind": "ctc", "alphabet": "abcd "}}},
        ),
        "tagger": Case(
            {"scores": scores_of(tags, 5, 1.0, 4)}, tags, {"scores": no_tag},
            {"task": {"kind": "tokens", "labels": ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]}, "metric": "span_f1"},
        ),
        "faces": Case({"embedding": faces}, people, {"embedding": np.full(16, 4.0)}, {"task": "embeddings"}),
        "genres": Case(
            {"logits": 4.0 * labels - 2 + 1.2 * random.normal(size=labels.shape)}, labels, {"logits": np.full(6, 3.0)},
            {"task": {"kind": "multi_label", "logits": True}},
        ),
        "prices": Case(
            {"price": numbers + 0.1 * random.normal(size=numbers.shape)}, numbers, {"price": np.full(4, 0.2)},
            {"task": "regression", "metric": "r2"}, lost="metric lost",
        ),
        "animals": Case(
            {"scores": scores_of(classes, 5, 1.5, 5)}, classes, {"scores": np.array([-9.0, 0, 0, 0, 0])},
            {"task": "classification", "metric": "macro_f1"},
        ),
        "sharper": Case(
            {"image": pictures + 0.02 * random.normal(size=pictures.shape)}, pictures,
            {"image": 0.2 * random.normal(size=(12, 12, 1))}, {"task": "images", "metric": "ssim"}, lost="metric lost",
        ),
        "cleaner": Case(
            {"sound": sounds + 0.3 * random.normal(size=sounds.shape)}, sounds, {"sound": random.normal(size=64)},
            {"task": "audio"}, lost="metric lost",
        ),
    }  # fmt: skip


def add_model(project: Project, name: str, case: Case) -> None:
    """The model of a case, as it comes."""
    folder = project.root / "benchmarks"
    given = write_model(folder / f"{name}.onnx", case)
    np.savez(folder / f"{name}.npz", evaluation_x=given, evaluation_y=case.targets)
    project.models["datasets"][name] = {"kind": "npz", "path": f"{name}.npz"}
    project.models["models"][name] = {
        "source": {"path": f"{name}.onnx"},
        "dataset": name,
        "reference": "ort_fp32",
        "variants": {"ort_fp32": {}},
        **case.entry,
    }


def add_task(project: Project, name: str) -> None:
    """The model of that case, with a right variant and ``off``, a bad one."""
    case = cases()[name]
    add_model(project, name, case)
    off = in_a_row({key: part[np.newaxis] for key, part in case.off.items()}, 1)[0]
    np.save(project.root / "benchmarks" / f"{name}_off.npy", off)
    project.models["models"][name]["variants"] |= {"ort_dynamic": {}, "off": {"options": {"model": name}}}
    project.add_recipes(RECIPE)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, digits: Digits, shared_store: Path) -> Project:
    """One run of all the models."""
    project = make_project(tmp_path_factory.mktemp("tasks"), digits, shared_store)
    project.models = {"version": 1, "datasets": {}, "models": {}, "latency": {"loads": 3, "samples_per_load": 5}}
    for name in cases():
        add_task(project, name)
    project.models["budgets"] = [{"model": "marks", "max_metric_drop_percent": 15}]
    done = project.run("-k", "accuracy or canary or consistency")
    assert done.returncode == 1, done.stdout
    return project


def test_every_task_passes_what_is_right_and_fails_what_is_not(judged: Project) -> None:
    """The quantized variant of each is right; the one with a seeded loss is not, and says what it lost of which metric."""
    statuses = judged.statuses()
    for name in cases():
        found = {
            variant: statuses[f"{name}/{variant}/host:cpu"] for variant in ("ort_fp32", "ort_dynamic", "off", "canary")
        }
        assert found == {"ort_fp32": "pass", "ort_dynamic": "pass", "off": "fail", "canary": "rejected"}, (
            name,
            judged.message("ort_dynamic", name),
            judged.message("off", name),
        )


OWN = '''
import numpy as np
from edgeworthy import Measure, Task, mean_of
from helpers.rounding import rounded


class Costs(Task):
    """How far a digit is off, at most so much."""

    most: float

    def decode(self, outputs):
        [scores] = outputs.values()
        return rounded(scores.argmax(axis=1))

    def agree(self, first, other):
        return first == other

    def measure(self, metric: str) -> Measure:
        return mean_of(lambda digits, labels: np.minimum(abs(digits - labels), self.most))
'''


def test_a_task_of_ones_own_takes_one_file_and_goes_with_the_run(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It is judged, compared with a baseline, and judged again elsewhere from the run's folder alone."""
    folder = project.root / "benchmarks"
    (folder / "costs.py").write_text(OWN)
    (folder / "helpers").mkdir()
    (folder / "helpers" / "rounding.py").write_text("def rounded(digits):\n    return digits\n")
    linear = project.models["models"]["linear"]
    linear["task"] = {"kind": "own", "class": "costs.py:Costs", "better": "lower", "options": {"most": 3}}
    linear["variants"] = {"ort_fp32": {}, "ort_int8_minmax": {}}
    project.models["budgets"] = [{"max_loss": 0.5, "max_metric_drop_percent": 20}]
    project.models["regression"] = BESIDE_OTHER_TESTS
    done = project.run()
    assert done.returncode == 0, done.stdout
    assert "Costs" in done.stdout
    cells = project.result().cells.set_index("variant")
    assert 0 < cells.loss["ort_fp32"] < 0.5
    assert cells.metric["ort_fp32"] == "costs.py:Costs"
    accepted = project.edgeworthy("baseline", "accept", "--reason", "first")
    assert accepted.returncode == 0, accepted.stderr
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree((project.root / "results" / "latest").resolve(), elsewhere / "run")
    shutil.copytree(project.root / "results" / "baselines", elsewhere / "accepted")
    (elsewhere / "benchmarks").mkdir()
    shutil.copy(folder / "models.yaml", elsewhere / "benchmarks")
    shutil.rmtree(folder)
    again = edgeworthy("gate", "--run", "run", "--baseline", "accepted", cwd=elsewhere, env=project.environment())
    assert again.returncode == 0, again.stdout + again.stderr
    assert "regressed" not in again.stdout


def test_a_loss_against_the_baseline_is_a_regression(project: Project) -> None:
    """The baseline keeps the evidence of every sample: what another model lost of a task's metric is found, in pairs."""
    folder, case = project.root / "benchmarks", cases()["segmenter"]
    np.savez(folder / "linear.npz", evaluation_x=write_model(folder / "linear.onnx", case), evaluation_y=case.targets)
    project.models["datasets"]["maps"] = {"kind": "npz", "path": "linear.npz"}
    project.models["models"]["linear"] |= {"dataset": "maps", "variants": {"ort_fp32": {}}, **case.entry}
    project.models["regression"] = BESIDE_OTHER_TESTS
    assert project.run().returncode == 0
    accepted = project.edgeworthy("baseline", "accept", "--reason", "first")
    assert accepted.returncode == 0, accepted.stderr
    same = project.run("--edge-baseline")
    assert same.returncode == 0, same.stdout
    model = onnx.load(folder / "linear.onnx")
    [bias] = [tensor for tensor in model.graph.initializer if tensor.name == "bias"]
    bias.CopyFrom(numpy_helper.from_array(0.1 * case.off["maps"].ravel().astype(np.float32), "bias"))
    onnx.save(model, folder / "linear.onnx")
    regressed = project.run("--edge-baseline")
    assert regressed.returncode == 1
    assert re.search(r"regressed: metric miou 99.* -> .* on the same 60 samples: \d+\.\d\d pp worse", regressed.stdout)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("class Costs:\n    def __init__(self, most): pass\n", "costs.py:Costs is no subclass of edgeworthy.Task"),
        (OWN.replace("most: float", "least: float"), "task costs.py:Costs raised ValidationError"),
        (OWN.replace("return first == other", "return nothing"), "raised NameError: name 'nothing' is not defined"),
        (
            OWN.replace("np.minimum(abs(digits - labels), self.most)", "np.ones((len(labels), 697))"),
            "what a task measures has shape (697, 697) for 697 samples",
        ),
    ],
)
def test_a_task_that_is_none_is_refused(project: Project, written: str, said: str) -> None:
    """What is wrong with the user's class is said with its line."""
    folder = project.root / "benchmarks"
    (folder / "costs.py").write_text(written.replace("from helpers.rounding import rounded", "rounded = abs"))
    linear = project.models["models"]["linear"]
    linear["task"] = {"kind": "own", "class": "costs.py:Costs", "better": "lower", "options": {"most": 3}}
    linear["variants"] = {"ort_fp32": {}}
    done = project.run("-k", "accuracy")
    assert done.returncode == 1, done.stdout
    assert said in project.message("ort_fp32")


def test_every_metric_of_a_task_has_its_column(judged: Project) -> None:
    """With its interval, in every run; the others' stay empty."""
    cells = judged.result().cells
    for name, case in cases().items():
        entry = judged.models["models"][name]
        kind = entry["task"] if isinstance(entry["task"], str) else entry["task"]["kind"]
        metric = entry.get("metric", TASKS[kind].METRICS[0])
        [row] = cells[(cells.model == name) & (cells.variant == "off")].to_dict("records")
        column = QUALITIES[metric].metric
        assert row[f"{column}_low"] < row[column] < row[f"{column}_high"]
        assert row["metric"] == metric
        assert case.lost in row["message"]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"task": "clasification"}, "unknown value 'clasification'; did you mean 'classification'?"),
        ({"task": "text"}, "models.linear.task.decoder: this key is missing"),
        (
            {"metric": "macro_f1"},
            "metric macro_f1 is one of several tasks; give task: classification or multi_label or tokens",
        ),
        ({"task": "classification", "metric": "miou"}, "task classification is judged by top1, top5, macro_f1"),
        ({"task": {"kind": "tokens", "label": ["O"]}}, "unknown key 'label'; did you mean 'labels'?"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_key(project: Project, entry: dict[str, Any], said: str) -> None:
    """Before anything is measured."""
    project.models["models"]["linear"] |= entry
    done = project.run()
    assert done.returncode != 0
    assert said in done.stdout + done.stderr


def word_tokenizer(path: Path, words: list[str]) -> None:
    """A tokenizer that knows these words and no others."""
    made = Tokenizer(tokenizer_models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="a"))
    made.save(str(path))


def transcribed(targets: list[str], **entry: Any) -> Case:
    """The reader's outputs of 6 symbols, with these transcripts, over and over."""
    case = cases()["reader"]
    return replace(case, targets=np.resize(np.array(targets), SAMPLES), entry=case.entry | entry)


def misplaced(shift: float) -> NDArray[np.float64]:
    """The detector's objects, moved to the right by so many pixels."""
    objects = cases()["detector"].targets.copy()
    objects[..., [0, 2]] += shift
    return objects


def unlike() -> dict[str, tuple[Case, str, str]]:
    """Targets that are not those of the task: the case, what is said, and what is to be done."""
    detector, masks = cases()["detector"], cases()["segmenter"]
    tokens = {"task": {"kind": "text", "decoder": {"kind": "tokens", "tokenizer": "words.json"}}}
    symbols = {"task": {"kind": "text", "decoder": {"kind": "ctc", "alphabet_file": "symbols.txt"}}}
    reader = {"task": {"kind": "text", "decoder": {"kind": "tokens", "tokenizer": "none.json"}}}
    return {
        "outside": (
            replace(detector, targets=misplaced(40)),
            r"\d+ boxes of the targets lie outside the image, 64 pixels wide and 64 high; the first is row \d of sample 0",
            "scale the boxes as the images are resized, and clip them",
        ),
        "objectless": (replace(detector, targets=np.full_like(detector.targets, -1)), "no sample has an object", "give targets"),
        "silent": (transcribed(["a cab", " "]), "the target of sample 1 is an empty text", "leave it out"),
        "foreign": (
            transcribed(["a cab", "a zoo"]),
            r"the target of sample 1 has characters that no prediction can have: \['o', 'z'\]",
            "write the targets with the symbols of the model",
        ),
        "short_alphabet": (
            transcribed(["a cab"], **symbols), "the alphabet and the blank are 4 symbols", "an alphabet of one symbol less",
        ),
        "other_words": (transcribed(["a cab"], **tokens), "and 7 tokens are known", "the vocabulary that the model was trained"),
        "no_words": (transcribed(["a cab"], **reader), r"none\.json: no readable tokenizer", "give the path of a tokenizer.json"),
        "ignored": (replace(masks, targets=np.full_like(masks.targets, 255)), "no target counts", "other than 255"),
        "larger": (
            replace(masks, targets=np.repeat(masks.targets, 2, axis=1)),
            "does not fit targets of 12 x 8", "give targets of the output's size",
        ),
    }  # fmt: skip


@pytest.fixture(scope="module")
def unlike_run(tmp_path_factory: pytest.TempPathFactory, digits: Digits, shared_store: Path) -> tuple[Project, str]:
    """One run of a healthy model among those whose targets are not those of their tasks."""
    project = make_project(tmp_path_factory.mktemp("unlike"), digits, shared_store)
    project.models = {"version": 1, "datasets": {}, "models": {}, "latency": {"loads": 3, "samples_per_load": 5}}
    word_tokenizer(project.root / "benchmarks" / "words.json", list("abcdefg"))
    (project.root / "benchmarks" / "symbols.txt").write_text("a\nb\nc\n")
    add_model(project, "healthy", cases()["reader"])
    for name, (case, *_) in unlike().items():
        add_model(project, name, case)
    done = project.run("-k", "accuracy and ort_fp32")
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stdout
    return project, done.stdout


def test_a_right_model_is_unharmed_by_those_of_other_targets(unlike_run: tuple[Project, str]) -> None:
    """It passes; each of the others is an error of its own."""
    statuses = unlike_run[0].statuses()
    assert statuses.pop("healthy/ort_fp32/host:cpu") == "pass"
    assert {name for name in statuses if "/ort_fp32/" in name} == {f"{name}/ort_fp32/host:cpu" for name in unlike()}
    assert {status for name, status in statuses.items() if not name.startswith("healthy/")} == {"error"}


@pytest.mark.parametrize("name", unlike())
def test_targets_of_another_task_are_named(unlike_run: tuple[Project, str], name: str) -> None:
    """In one sentence that says which, in the report and on the terminal, with what to do."""
    (project, printed), (_, said, hint) = unlike_run, unlike()[name]
    message = project.message("ort_fp32", name)
    assert re.search(said, message), message
    assert "\n" not in message
    assert message in printed
    cells = project.result().cells
    assert hint in cells.loc[(cells.model == name) & (cells.variant == "ort_fp32"), "hint"].item()


def test_what_a_task_cannot_judge_is_refused(project: Project) -> None:
    """A model whose outputs or targets are not those of its task, with what is wrong."""
    project.models["models"]["linear"] |= {"task": "segmentation", "variants": {"ort_fp32": {}}}
    done = project.run("-k", "accuracy")
    assert done.returncode == 1
    assert "the targets have shape (697,)" in project.message("ort_fp32")
