"""Metrics over a whole dataset whose samples have outputs of different sizes: what is right passes, a seeded loss fails.

Each model is one product with an orthogonal matrix along the channels of its input, which is of any size otherwise. Its
outputs are known: what it is given was made from them, so that a bias that a recipe adds is exactly the loss that is meant.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest
from edgeworthy.cells import CellId
from edgeworthy.records import Outputs
from edgeworthy.runs.run import Run
from numpy.typing import NDArray
from onnx import helper
from sklearn.metrics import jaccard_score

from tests.integration.conftest import Digits, Project, make_project
from tests.integration.test_tasks import RECIPE, scores_of
from tests.onnx_files import onnx_file
from tests.unit.test_average_precision import coco_stats

SAMPLES = 40
CLASSES = 4
LETTERS = "-abcd "
WORDS = ("a cab", "bad a dab", "dab", "ad bc cab ab")


def write_model(path: Path, channels: int, kind: str) -> NDArray[np.float32]:
    """A model of inputs with so many channels and any sizes beside; its matrix.

    It takes and gives ``steps`` (steps, channels), ``maps`` (channels, h, w), or of such an image ``rows`` (h times w, channels).
    """
    turned = np.linalg.qr(np.random.default_rng(0).normal(size=(channels, channels)))[0].astype(np.float32)
    weights = {"turned": turned, "bias": np.zeros(channels, np.float32), "rows": np.array([0, -1, channels])}
    last, given = "x" if kind == "steps" else "moved", "scores" if kind == "steps" else "added"
    nodes = [
        helper.make_node("MatMul", [last, "turned"], ["product"]),
        helper.make_node("Add", ["product", "bias"], [given]),
    ]
    shape: list[int | str] = ["batch", "steps", channels]
    if kind != "steps":
        nodes.insert(0, helper.make_node("Transpose", ["x"], ["moved"], perm=[0, 2, 3, 1]))
        shape = ["batch", channels, "height", "width"]
    if kind == "maps":
        nodes.append(helper.make_node("Transpose", ["added"], ["scores"], perm=[0, 3, 1, 2]))
    if kind == "rows":
        nodes.append(helper.make_node("Reshape", ["added", "rows"], ["scores"]))
    outputs = {"scores": ["batch", "anchors", channels] if kind == "rows" else shape}
    onnx_file(path, nodes, {"x": shape}, outputs, weights)
    return turned


def spoken(random: np.random.Generator) -> tuple[list[NDArray[Any]], list[str], NDArray[Any]]:
    """Scores (steps, letters) as long as each text is, the texts, and a bias by which the letter b is never heard."""
    texts = [WORDS[index] for index in random.integers(len(WORDS), size=SAMPLES)]
    steps = [np.array([[LETTERS.index(letter), 0] for letter in text]).ravel() for text in texts]
    return [scores_of(each, len(LETTERS), 1.2, place) for place, each in enumerate(steps)], texts, -20.0 * np.eye(6)[2]


def found(random: np.random.Generator) -> tuple[list[NDArray[Any]], list[NDArray[Any]], NDArray[Any]]:
    """YOLO's rows of images of different sizes, boxes as shares of each; two objects in each; a bias that moves boxes."""
    outputs, targets = [], []
    for _ in range(SAMPLES):
        height, width = random.integers(4, 9, 2)
        rows = np.zeros((height, width, 5 + CLASSES))
        sides = np.array([width, height])
        boxes = np.array([[0.1, 0.1, 0.4, 0.9], [0.55, 0.2, 0.95, 0.8]]) * np.tile(sides, 2)
        kinds = random.integers(CLASSES, size=2)
        for place, (box, kind) in enumerate(zip(boxes, kinds, strict=True)):
            centre, extent = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
            missed = centre / sides + 0.05 * random.normal(size=2)
            rows[place, place] = [*missed, *extent / sides, random.uniform(0.5, 1), *np.eye(CLASSES)[kind]]
        outputs.append(rows)
        targets.append(np.concatenate([boxes, kinds[:, np.newaxis]], axis=1)[: random.integers(1, 3)])
    return outputs, targets, np.array([0.15, 0.1, *np.zeros(3 + CLASSES)])


def painted(random: np.random.Generator) -> tuple[list[NDArray[Any]], list[NDArray[Any]], NDArray[Any]]:
    """Scores of three classes for each pixel, masks of these sizes, and a bias by which one class is never seen."""
    masks = [random.integers(3, size=tuple(random.integers(3, 9, 2))) for _ in range(SAMPLES)]
    return [scores_of(each, 3, 0.9, place) for place, each in enumerate(masks)], masks, -20.0 * np.eye(3)[2]


DETECTION = {"kind": "detection", "nms_iou": None, "decoder": {"kind": "yolov5", "normalized": True}}
#: Name of a model -> what makes its outputs, what shape they have, and its entry.
CASES: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "reader": (spoken, "steps", {"task": {"kind": "text", "decoder": {"kind": "ctc", "alphabet": LETTERS[1:]}}}),
    "finder": (found, "rows", {"task": DETECTION}),
    "painter": (painted, "maps", {"task": "segmentation"}),
}


def add_model(project: Project, name: str) -> None:
    """The model of a case with a right variant and ``off``, a bad one."""
    make, kind, entry = CASES[name]
    folder = project.root / "benchmarks"
    outputs, targets, off = make(np.random.default_rng(3))
    turned = write_model(folder / f"{name}.onnx", len(off), kind)
    arrays = {f"evaluation_x/{index}": (each @ turned.T).astype(np.float32) for index, each in enumerate(outputs)}
    if isinstance(targets[0], str):
        arrays["evaluation_y"] = np.array(targets)
    else:
        arrays |= {f"evaluation_y/{index}": each for index, each in enumerate(targets)}
    np.savez(folder / f"{name}.npz", **arrays)
    np.save(folder / f"{name}_off.npy", off)
    project.models["datasets"][name] = {"kind": "npz", "path": f"{name}.npz"}
    project.models["models"][name] = {
        "source": {"path": f"{name}.onnx"},
        "dataset": name,
        "reference": "ort_fp32",
        "variants": {"ort_fp32": {}, "ort_dynamic": {}, "off": {"options": {"model": name}}},
        **entry,
    }


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, digits: Digits, shared_store: Path) -> Project:
    """One run of all the models; beside them one whose embeddings have different sizes."""
    project = make_project(tmp_path_factory.mktemp("ragged_tasks"), digits, shared_store)
    project.models = {"version": 1, "datasets": {}, "models": {}}
    for name in CASES:
        add_model(project, name)
    folder = project.root / "benchmarks"
    stored = dict(np.load(folder / "reader.npz"))
    np.savez(folder / "people.npz", **{**stored, "evaluation_y": np.arange(SAMPLES) // 4})
    project.models["datasets"]["people"] = {"kind": "npz", "path": "people.npz", "classes": SAMPLES}
    same = {
        "source": {"path": "reader.onnx"},
        "dataset": "people",
        "reference": "ort_fp32",
        "variants": {"ort_fp32": {}},
    }
    project.models["models"]["people"] = {**same, "task": "embeddings"}
    project.models["budgets"] = [{"model": "finder", "max_drop_points": 3}]  # boxes need finer steps than scores
    project.add_recipes(RECIPE)
    done = project.run("-k", "accuracy or canary")
    assert done.returncode == 1, done.stdout
    return project


@pytest.mark.parametrize("name", CASES)
def test_what_is_right_passes_and_a_seeded_loss_fails(judged: Project, name: str) -> None:
    """Judged by the word error rate, COCO's mAP and the mean IoU; the canary is rejected."""
    statuses = judged.statuses()
    variants = ("ort_fp32", "ort_dynamic", "off", "canary")
    assert [statuses[f"{name}/{variant}/host:cpu"] for variant in variants] == ["pass", "pass", "fail", "rejected"]
    assert "accuracy lost" in judged.message("off", name)


def test_the_metrics_are_the_libraries(judged: Project) -> None:
    """Of what the models gave, each sample cut to its own size here: jiwer's and scikit-learn's."""
    (texts, targets), (maps, masks) = (own_outputs(judged, name) for name in ("reader", "painter"))
    paths = ["".join(LETTERS[best] for best in each.argmax(axis=1)) for each in texts]
    heard = ["".join(letter for at, letter in enumerate(path) if path[at - 1 : at] != letter) for path in paths]
    wrong = jiwer.wer([str(each) for each in targets], [each.replace("-", "") for each in heard])
    assert metric(judged, "reader", "wer_percent") == pytest.approx(100 * wrong)
    guessed, right = (np.concatenate([each.ravel() for each in part]) for part in ([m.argmax(2) for m in maps], masks))
    assert metric(judged, "painter", "miou_percent") == pytest.approx(
        100 * jaccard_score(right, guessed, average="macro")
    )


def test_map_is_that_of_boxes_in_each_samples_own_image(judged: Project) -> None:
    """COCOeval's of the boxes that are in the outputs, as shares of the image that its sample is."""
    rows, targets = own_outputs(judged, "finder")
    stored = np.load(judged.root / "benchmarks" / "finder.npz")
    samples = []
    for index, (found, objects) in enumerate(zip(rows, targets, strict=True)):
        height, width, _ = stored[f"evaluation_x/{index}"].shape
        scores = found[:, 4:5] * found[:, 5:]
        cells, kinds = np.nonzero(scores >= 0.001)
        order = np.argsort(-scores[cells, kinds], kind="stable")
        cells, kinds = cells[order], kinds[order]
        centres, halves = found[cells, :2], found[cells, 2:4] / 2
        boxes = np.concatenate([centres - halves, centres + halves], axis=1) * np.tile([width, height], 2)
        truth = (objects[:, :4], objects[:, 4].astype(int), np.zeros(len(objects), bool))
        samples.append(((boxes, scores[cells, kinds], kinds), truth))
    assert metric(judged, "finder", "map_percent") == pytest.approx(coco_stats(samples, CLASSES)[0])


def test_what_needs_one_size_is_refused(judged: Project) -> None:
    """Embeddings are compared with one another."""
    message = judged.message("ort_fp32", "people")
    assert "metric eer compares the samples with one another" in message
    assert "what is predicted for them has different sizes" in message


def own_outputs(judged: Project, name: str) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """Each sample's output and target."""
    found = Run.open(judged.root / "results" / "latest").journal.find(Outputs, CellId(name, "ort_fp32", "host:cpu"))
    assert found is not None
    assert found.sizes is not None
    values = found.values.reshape(-1, *found.shapes[0])
    stored = np.load(judged.root / "benchmarks" / f"{name}.npz")
    numbered = [stored.get(f"evaluation_y/{index}") for index in range(SAMPLES)]
    targets = numbered if numbered[0] is not None else list(stored["evaluation_y"])
    return [each[tuple(map(slice, size))] for each, size in zip(values, found.sizes, strict=True)], targets


def metric(judged: Project, name: str, column: str) -> float:
    """What the run's table has of the float variant."""
    cells = judged.result().cells
    chosen = (cells.model == name) & (cells.variant == "ort_fp32")
    return float(cells.loc[chosen, column].item())
