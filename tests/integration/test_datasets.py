"""Datasets and metrics through the front door: images decoded once, one part changed, numbers predicted, own metrics."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from tests.integration.conftest import BESIDE_OTHER_TESTS, Digits, Project, linear_model

QUICK = ("-k", "accuracy or canary")


def write_images(folder: Path, arrays: dict[str, np.ndarray], split: str) -> None:
    """Digits as gray PNG files, a folder per class; values of 0 to 16 become 0 to 240, without loss."""
    labels = arrays.get("evaluation_y") if split == "evaluation" else None
    for index, image in enumerate(arrays[f"{split}_x"]):
        target = folder / (str(labels[index]) if labels is not None else ".")
        target.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image[..., 0] * 240).round().astype(np.uint8)).save(target / f"{index:04}.png")


@pytest.fixture
def images(project: Project, digits: Digits) -> Project:
    """The digits as image files, scaled back by preprocessing; labels are those of the class folders."""
    folder = project.root / "benchmarks"
    write_images(folder / "val", digits.arrays, "evaluation")
    write_images(folder / "calibration", digits.arrays, "calibration")
    (folder / "val" / "0" / "phone.heic").write_bytes(b"as a phone saves it")
    project.models["datasets"]["digits"] = {
        "kind": "images",
        "path": "val",
        "preprocessing": {"channels": "gray", "scale": "1/240"},
        "calibration": {"path": "calibration"},
    }
    return project


def artifacts(project: Project) -> dict[str, str]:
    """Variant -> content address of its artifact, in the newest run."""
    cells = project.result().cells
    return dict(zip(cells.variant, cells.artifact, strict=True))


def test_images_answer_as_the_same_arrays_do_and_one_calibration_image_remakes_what_depends_on_it(
    images: Project, digits: Digits
) -> None:
    """From files, accuracy is that of the arrays; a warm run decodes and converts nothing; another calibration image
    makes the calibrated variant anew, and only that; the dataset and its preprocessing are in the report."""
    first = images.run(*QUICK)
    assert first.returncode == 0, first.stdout + first.stderr
    scores = digits.arrays["evaluation_x"].reshape(697, -1) @ digits.weights + digits.bias
    accuracy = 100 * (scores.argmax(axis=1) == digits.arrays["evaluation_y"]).mean()
    cells = images.result().cells.set_index("variant")
    assert cells.top1_percent["ort_fp32"] == pytest.approx(accuracy)
    described = json.loads((images.root / "results" / "latest" / "environment.json").read_text())["datasets"]["digits"]
    assert "697 evaluation, 100 calibration samples of 8x8x1; gray, scale 0.00416667" in described
    assert "1 files below val are not read as images (.heic 1)" in described
    assert described in (images.root / "results" / "latest" / "summary.md").read_text()
    before = artifacts(images)

    warm = images.run(*QUICK)
    assert warm.returncode == 0, warm.stdout
    assert "converting" not in warm.stdout

    Image.new("L", (8, 8), 255).save(images.root / "benchmarks" / "calibration" / "0003.png")
    changed = images.run(*QUICK)
    assert changed.returncode == 0, changed.stdout
    after = artifacts(images)
    assert {variant for variant in after if after[variant] != before[variant]} == {"ort_int8_minmax"}
    assert [line for line in changed.stdout.splitlines() if "converting" in line] == [
        "edgeworthy: converting linear: ort_int8_minmax (1/1)"
    ]


def test_bad_images_harm_only_their_own_models(images: Project, digits: Digits) -> None:
    """A corrupt image, labels that are off by one by file or by what the model says, a class too many, calibration
    images that are evaluation images: each is that model's error, in a sentence; the healthy model passes."""
    folder = images.root / "benchmarks"
    models, datasets = images.models["models"], images.models["datasets"]
    models["linear"]["variants"] = {"ort_fp32": {}}
    healthy = datasets["digits"]
    paths = sorted((folder / "val").rglob("*.png"))
    names = [path.relative_to(folder / "val").as_posix() for path in paths]
    one_more = [f"{name} {int(name[0]) + 1}" for name in names]
    (folder / "from_one.txt").write_text("\n".join(one_more))
    (folder / "torn" / "0").mkdir(parents=True)
    (folder / "torn" / "0" / "torn.png").write_bytes(paths[0].read_bytes()[:50])
    bad = {
        "torn": ({"path": "torn", "calibration": None}, r"torn/0/torn.png"),
        "from_one": ({"labels": "from_one.txt", "classes": 10}, "labels off by one: they run from 1 to 10"),
        "shifted": (
            {"labels": "from_one.txt", "classes": 11},
            "the model gives 10 classes, the dataset 'shifted' has 11",
        ),
        "count": ({"classes": 12}, "10 class folders, 'classes' says 12"),
        "seen": ({"calibration": {"path": "val"}, "count": 10, "seed": 1}, "are left"),
        "modulo": ({"labels": "modulo.txt", "classes": 10}, "labels off by one: 'modulo' predicts label -1 far more"),
    }
    (folder / "modulo.txt").write_text("\n".join(f"{name} {(int(name[0]) + 1) % 10}" for name in names))
    (folder / "copies").mkdir()
    (folder / "copies" / "copy.png").write_bytes(paths[5].read_bytes())
    bad["seen"] = ({"calibration": {"path": "copies"}}, f"copy.png = {names[5]}")
    (folder / "gone" / "0").mkdir(parents=True)
    (folder / "gone" / "0" / "gone.png").symlink_to("nowhere.png")
    bad["gone"] = ({"path": "gone", "calibration": None}, "1 of its 1 files cannot be used: ")
    dark = {"calibration_x": digits.arrays["calibration_x"] / 255}
    write_images(folder / "dark", dark, "calibration")
    bad["dark"] = ({"calibration": {"path": "dark"}}, "calibration inputs have another range than evaluation inputs")
    for name, (keys, _) in bad.items():
        datasets[name] = {key: value for key, value in {**healthy, **keys}.items() if value is not None}
        models[name] = {**models["linear"], "dataset": name}
    done = images.run(*QUICK)
    assert done.returncode == 1
    assert images.statuses()["linear/ort_fp32/host:cpu"] == "pass"
    for name, (_, message) in bad.items():
        assert images.statuses()[f"{name}/ort_fp32/host:cpu"] == "error", done.stdout
        assert message in images.message("ort_fp32", name)


def image_model(path: Path) -> None:
    """An ONNX model that smooths an image: (batch, 1, 8, 8) -> the same shape, channels before height and width."""
    kernel = np.array([[0.05, 0.1, 0.05], [0.1, 0.4, 0.1], [0.05, 0.1, 0.05]], np.float32)[None, None]
    node = helper.make_node("Conv", ["image", "kernel"], ["smooth"], pads=[1, 1, 1, 1])
    shape = ["batch", 1, 8, 8]
    graph = helper.make_graph(
        [node],
        "smooth",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("smooth", TensorProto.FLOAT, shape)],
        [onnx.numpy_helper.from_array(kernel, "kernel")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def regression_project(project: Project, digits: Digits) -> Project:
    """Judge the smoothing model by PSNR against clean images."""
    folder = project.root / "benchmarks"
    image_model(folder / "smooth.onnx")
    clean = {name: array for name, array in digits.arrays.items() if name.endswith("_x")}
    noisy = np.random.default_rng(0).normal(0, 0.05, clean["evaluation_x"].shape).astype(np.float32)
    np.savez(
        folder / "clean.npz",
        evaluation_x=clean["evaluation_x"] + noisy,
        evaluation_y=clean["evaluation_x"],
        calibration_x=clean["calibration_x"],
    )
    project.models["datasets"] = {"clean": {"kind": "npz", "path": "clean.npz"}}
    variants = {"ort_fp32": {}, "ort_int8_minmax": {}}
    source = {"source": {"path": "smooth.onnx"}, "dataset": "clean", "reference": "ort_fp32", "variants": variants}
    project.models["models"] = {"smooth": {**source, "metric": "psnr"}}
    project.models["budgets"] = [{"max_metric_drop_percent": 3.0, "max_p50_ms": 50}]
    return project


def test_a_regression_model_is_judged_accepted_and_compared(project: Project, digits: Digits) -> None:
    """PSNR in pairs against clean images, a canary rejected by it, a baseline of it that a worse variant breaks; class
    accuracy as its metric is refused."""
    regression_project(project, digits)
    done = project.run()
    assert done.returncode == 0, done.stdout + done.stderr
    cells = project.result().cells.set_index("variant")
    assert cells.status["canary"] == "rejected"
    assert 15 < cells.psnr_db["ort_fp32"] < 40
    assert cells.metric_drop["ort_fp32"] == 0
    assert cells.psnr_db_low["ort_int8_minmax"] < cells.psnr_db["ort_int8_minmax"]
    assert np.isnan(cells.top1_percent["ort_fp32"])
    assert "psnr " in cells.message["ort_int8_minmax"]

    accepted = project.edgeworthy("baseline", "accept", "results/latest", "--reason", "first")
    assert accepted.returncode == 0, accepted.stdout + accepted.stderr
    project.models["regression"] = BESIDE_OTHER_TESTS
    same = project.run("--edge-baseline", "-k", "regression or canary")
    assert same.returncode == 0, same.stdout

    project.models["models"]["smooth"]["variants"]["ort_int8_minmax"] = {"recipe": "bad"}
    project.add_recipes(
        "from edgeworthy import recipe\n"
        "@recipe('bad', runtime='onnxruntime', packages=['onnx'])\n"
        "def bad(source, out):\n"
        "    import onnx, numpy as np\n"
        "    model = onnx.load(source.onnx_file())\n"
        "    kernel = onnx.numpy_helper.to_array(model.graph.initializer[0]) * np.float32(0.9)\n"
        "    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(kernel, 'kernel'))\n"
        "    onnx.save(model, out)\n"
        "    return 'nchw'\n"
    )
    worse = project.run("--edge-baseline", "-k", "regression or canary")
    assert worse.returncode == 1
    assert "regressed: metric psnr" in worse.stdout, worse.stdout

    project.models["models"]["smooth"]["metric"] = "top1"
    project.run("--edge-variant", "ort_fp32", *QUICK)
    assert "are numbers to predict, not class numbers" in project.message("ort_fp32", "smooth")


def test_a_metric_of_ones_own_says_which_way_is_better(project: Project, digits: Digits) -> None:
    """The entropy of the softmax, lower is better: judged, limited by max_loss, and refused where it raises."""
    folder = project.root / "benchmarks"
    linear_model(folder / "linear.onnx", digits.weights, digits.bias)
    (folder / "mine.py").write_text(
        "import numpy as np\n"
        "def surprise(outputs, targets):\n"
        "    powers = np.exp(outputs)\n"
        "    right = powers[np.arange(len(targets)), targets] / powers.sum(axis=1)\n"
        "    return -np.log(right)\n"
    )
    linear = project.models["models"]["linear"]
    linear["metric"] = {"function": "mine.py:surprise", "better": "lower", "unit": "nats"}
    linear["variants"] = {"ort_fp32": {}, "ort_int8_minmax": {}}
    project.models["budgets"] = [{"max_metric_drop_percent": 5.0, "max_loss": 3.0}]
    done = project.run(*QUICK)
    assert done.returncode == 0, done.stdout + done.stderr
    cells = project.result().cells.set_index("variant")
    assert 0 < cells.loss["ort_fp32"] < 3
    assert "nats on 697 samples" in cells.message["ort_int8_minmax"]
    project.models["budgets"] = [{"max_loss": 0.1}]
    broken = project.run("--edge-variant", "ort_fp32", *QUICK)
    assert broken.returncode == 1
    assert "at most 0.1000 allowed" in project.message("ort_fp32")
