"""Samples of different sizes, run one by one or padded, and sizes of inputs that a model leaves open, fixed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from edgeworthy.cells import CellId
from edgeworthy.records import Outputs
from edgeworthy.runs.run import Run
from onnx import helper

from tests import tflite_files
from tests.integration.conftest import Digits, Project, make_project
from tests.onnx_files import masked_sum, onnx_file

#: Without VNNI, products of 8 bits saturate.
ORT = {"ort_fp32": {}, "ort_dynamic": {}, "ort_int8_minmax": {"options": {"reduce_range": True}}}
LEAST = {"ort_fp32": {}}
#: A Keras model of sounds of any length, shorter than its kernel too before it is resized; a module of images of any size.
KERAS = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
keras.utils.set_random_seed(0)
sound = keras.Input((None, 4), name="sound")
heard = keras.layers.GlobalAveragePooling1D()(keras.layers.Conv1D(8, 3, activation="relu")(sound))
keras.Model(sound, keras.layers.Dense(5)(heard)).save(f"{sys.argv[1]}/sounds.keras")
"""
FACTORY = """
from torch import nn

def pixels():
    return nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 1))
"""
TORCH_WEIGHTS = """
import sys, torch
sys.path.insert(0, sys.argv[1])
import nets
torch.manual_seed(0)
torch.save(nets.pixels().state_dict(), f"{sys.argv[1]}/pixels.pt")
"""
LITERT = {"fp32": {}, "weight_only_int8": {}, "int8_float_io": {}, "dynamic_int8": {}}
SAMPLES, CALIBRATION = 24, 12
WORDS = 30


def pixels_model(path: Path, side: int = 3, padded: int = 1) -> None:
    """Images (batch, 2, h, w) of any size -> scores of three classes for each pixel, of its square of that ``side``."""
    random = np.random.default_rng(0)
    weights = {
        "first": random.normal(size=(8, 2, side, side)).astype(np.float32),
        "last": random.normal(size=(3, 8, 1, 1)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["image", "first"], ["seen"], pads=[padded] * 4),
        helper.make_node("Relu", ["seen"], ["kept"]),
        helper.make_node("Conv", ["kept", "last"], ["scores"]),
    ]
    sizes = ["batch", 2, "height", "width"]
    onnx_file(path, nodes, {"image": sizes}, {"scores": ["batch", 3, "height", "width"]}, weights)


def words_model(path: Path) -> None:
    """Token ids and their mask (batch, tokens) of any length -> scores (batch, 3), the mean over the tokens of the mask."""
    nodes, weights = masked_sum(WORDS)
    nodes += [
        helper.make_node("ReduceSum", ["kept", "middle"], ["count"], keepdims=1),
        helper.make_node("Div", ["sum", "count"], ["mean"]),
        helper.make_node("MatMul", ["mean", "dense"], ["scores"]),
    ]
    sizes = ["batch", "tokens"]
    onnx_file(path, nodes, {"ids": sizes, "mask": sizes}, {"scores": ["batch", 3]}, weights, whole=["ids", "mask"])


def write_datasets(folder: Path) -> None:
    """Images and texts of different sizes, a key for each sample, and a function that yields them."""
    random = np.random.default_rng(1)
    images: dict[str, np.ndarray] = {}
    texts: dict[str, np.ndarray] = {}
    sounds: dict[str, np.ndarray] = {}
    masks: dict[str, np.ndarray] = {}
    session = onnxruntime.InferenceSession(folder / "pixels.onnx")
    for split, count in (("evaluation", SAMPLES), ("calibration", CALIBRATION)):
        for index in range(count):
            size = (*random.integers(6, 20, 2), 2)
            images[f"{split}_x/{index}"] = random.normal(size=size).astype(np.float32)
            (scores,) = session.run(None, {"image": images[f"{split}_x/{index}"].transpose(2, 0, 1)[np.newaxis]})
            wrong = random.random(size[:2]) < 0.2
            masks[f"{split}_y/{index}"] = np.where(wrong, 2, scores[0].argmax(axis=0))
            sounds[f"{split}_x/{index}"] = random.normal(size=(random.integers(6, 20), 4)).astype(np.float32)
            texts[f"{split}_words/{index}"] = random.integers(0, WORDS, random.integers(2, 9))
    np.savez(folder / "images.npz", **images)
    np.savez(folder / "masks.npz", **images, **masks)
    np.savez(folder / "texts.npz", **texts)
    np.savez(folder / "sounds.npz", **sounds)


def model(source: str | dict[str, str], dataset: str, variants: dict[str, Any] = ORT, **more: Any) -> dict[str, Any]:
    return {
        "source": {"path": source} if isinstance(source, str) else source,
        "dataset": dataset,
        "variants": variants,
        "reference": next(iter(variants)),
        "metric": "fidelity",
        **more,
    }


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, digits: Digits, shared_store: Path) -> Project:
    """One run of all the models."""
    project = make_project(tmp_path_factory.mktemp("ragged"), digits, shared_store)
    folder = project.root / "benchmarks"
    pixels_model(folder / "pixels.onnx")
    words_model(folder / "words.onnx")
    write_datasets(folder)
    names = ("images", "masks", "sounds", "texts")
    project.models["datasets"] |= {name: {"kind": "npz", "path": f"{name}.npz"} for name in names}
    (folder / "nets.py").write_text(FACTORY)
    for code in (KERAS, TORCH_WEIGHTS):
        subprocess.run([sys.executable, "-c", code, str(folder)], check=True, capture_output=True, timeout=300)
    filters = np.random.default_rng(0).normal(size=(3, 3, 3, 2)).astype(np.float32)
    tflite_files.pixels(folder / "pixels.tflite", filters)
    given = {"ids": "words", "mask": "words.mask"}
    fixed = {"shapes": {"image": [1, 2, 24, 20]}, "ragged": {"pad": 0.5}}
    project.models["models"] = {
        "own": model("pixels.onnx", "images"),
        "longest": model("pixels.onnx", "images", LEAST, ragged="pad"),
        "fixed": model("pixels.onnx", "images", **fixed),
        "multiple": model("pixels.onnx", "images", LEAST, ragged={"pad": 0, "multiple_of": 8}),
        "segmented": model("pixels.onnx", "masks", metric="pixel_accuracy", task={"kind": "segmentation"}),
        "covered": model(
            "pixels.onnx", "masks", LEAST, metric="pixel_accuracy", task={"kind": "segmentation"}, **fixed
        ),
        "lite": model("pixels.tflite", "images", LITERT),
        "lite_fixed": model(
            "pixels.tflite", "images", {"fp32": {}, "int8_float_io": {}}, shapes={"image": [1, 24, 20, 2]}, ragged="pad"
        ),
        "keras": model("sounds.keras", "sounds", {"fp32": {}, "int8_float_io": {}, "ort_fp32": {}}),
        "torch": model(
            {"factory": "nets.py:pixels", "weights": "pixels.pt"},
            "images",
            {"torch_fp32": {}, "torch_int8": {}, "ort_fp32": {}},
        ),
        "words": model("words.onnx", "texts", inputs=given),
        "padded": model("words.onnx", "texts", inputs=given, ragged={"pad": 3}),
    }
    project.run()
    return project


def test_every_variant_is_measured(judged: Project) -> None:
    """Nothing fails, by calibration or without, one by one or padded."""
    assert not judged.unsound()


def test_every_framework_leaves_sizes_open(judged: Project) -> None:
    """A float variant of one source has the same outputs in each runtime, sample by sample of its own size."""
    for name, reference in (("keras", "fp32"), ("torch", "torch_fp32")):
        found, wanted = outputs(judged, name, "ort_fp32"), outputs(judged, name, reference)
        np.testing.assert_allclose(found.values, wanted.values, atol=1e-5)
        assert (found.sizes is None) == (name == "keras")
        assert found.sizes is None or np.array_equal(found.sizes, sizes_of(wanted))


def test_samples_are_run_in_their_own_sizes(judged: Project) -> None:
    """Bit by bit what the runtime gives for each sample alone, as large as that is; which sample is timed is said."""
    found, session = outputs(judged, "own"), session_of(judged, "own")
    images = samples(judged, "images")
    assert len({image.shape for image in images}) > 10
    for values, size, image in zip(framed(found), sizes_of(found), images, strict=True):
        (wanted,) = session.run(None, {"image": image.transpose(2, 0, 1)[np.newaxis]})
        assert tuple(size) == (*image.shape[:2], 3)
        np.testing.assert_array_equal(values[: size[0], : size[1]], wanted[0].transpose(1, 2, 0))
        assert not values[size[0] :].any()
        assert not values[:, size[1] :].any()
    areas = [image.size for image in images]
    timed = areas.index(sorted(areas)[(len(areas) - 1) // 2])
    said = Run.open(judged.root / "results" / "latest").journal.datasets()["images"]
    assert f"one by one, sample {timed} is timed, of median size" in said


def test_padded_samples_are_what_the_entry_says(judged: Project) -> None:
    """To the largest of all splits, to the shape that is fixed, to each one's next multiple; with the value that is given."""
    images = samples(judged, "images")
    largest = np.max([each.shape for each in [*images, *samples(judged, "images", "calibration_x")]], axis=0)
    for name, value, frame in (("longest", 0, largest), ("fixed", 0.5, (24, 20, 2))):
        given = [np.pad(each, pads(each, frame), constant_values=value) for each in images]
        found = outputs(judged, name)
        assert found.sizes is None
        wanted = session_of(judged, "own").run(None, {"image": np.stack(given).transpose(0, 3, 1, 2)})[0]
        np.testing.assert_allclose(framed(found), wanted.transpose(0, 2, 3, 1), atol=1e-5)
    multiples = sizes_of(outputs(judged, "multiple"))
    np.testing.assert_array_equal(multiples[:, :2], [[-(-side // 8) * 8 for side in each.shape[:2]] for each in images])


def test_shapes_are_those_of_every_artifact(judged: Project) -> None:
    """Open sizes are fixed in the float file and in the quantized ones, those of the outputs too."""
    for variant in ORT:
        session = session_of(judged, "fixed", variant)
        assert session.get_inputs()[0].shape == [1, 2, 24, 20]
        assert session.get_outputs()[0].shape == [1, 3, 24, 20]


def test_a_segmentation_is_judged_on_each_samples_own_pixels(judged: Project) -> None:
    """One by one each map in its own size; of padded images without the padding. As counted from the runtime's own outputs."""
    images, masks, session = (
        samples(judged, "masks"),
        samples(judged, "masks", "evaluation_y"),
        session_of(judged, "own"),
    )
    for name, given in (
        ("segmented", images),
        ("covered", [np.pad(each, pads(each, (24, 20, 2)), constant_values=0.5) for each in images]),
    ):
        right = total = 0
        for image, mask in zip(given, masks, strict=True):
            (scores,) = session.run(None, {"image": image.transpose(2, 0, 1)[np.newaxis]})
            height, width = mask.shape
            right += int((scores[0].argmax(axis=0)[:height, :width] == mask).sum())
            total += mask.size
        cells = judged.result().cells
        chosen = (cells.model == name) & (cells.variant == "ort_fp32") & (cells.target == "host:cpu")
        assert cells.loc[chosen, "pixel_accuracy_percent"].item() == pytest.approx(100 * right / total)


def test_a_mask_makes_padding_harmless(judged: Project) -> None:
    """A model with a mask has the same outputs for padded texts as for each text alone."""
    for variant in ORT:
        alone, padded = outputs(judged, "words", variant), outputs(judged, "padded", variant)
        np.testing.assert_allclose(padded.values, alone.values, atol=1e-5)
    assert alone.sizes is None


def test_the_page_shows_what_differs(judged: Project) -> None:
    """The run's page is written, with samples, predictions and differences of each model."""
    done = judged.edgeworthy("report", "results/latest", "--html")
    assert done.returncode == 0, done.stderr
    assert "segmented" in (judged.root / "results" / "latest" / "report.html").read_text()


@pytest.mark.parametrize(("name", "variant"), [("own", "ort_int8_minmax"), ("lite", "int8_float_io")])
def test_layers_are_compared(judged: Project, name: str, variant: str) -> None:
    """Diagnose compares the layers of graphs with open sizes, on all samples."""
    done = judged.edgeworthy("diagnose", name, variant)
    assert done.returncode == 0, done.stderr
    assert f"{SAMPLES} samples" in done.stdout


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory, digits: Digits, shared_store: Path) -> Project:
    """One run of models that do not fit their samples, beside one that does."""
    project = make_project(tmp_path_factory.mktemp("refused"), digits, shared_store)
    folder = project.root / "benchmarks"
    pixels_model(folder / "pixels.onnx")
    write_datasets(folder)
    pixels_model(folder / "wide.onnx", side=9, padded=0)
    tflite_files.pixels(folder / "square.tflite", np.ones((3, 3, 3, 2), np.float32), side=16)
    images = np.load(folder / "images.npz")
    found = {name: images[name] for name in images.files}
    np.savez(folder / "gap.npz", **{name: each for name, each in found.items() if name != "evaluation_x/3"})
    np.savez(folder / "flat.npz", **{**found, "evaluation_x/3": np.ones((4, 4), np.float32)})
    np.savez(folder / "even.npz", evaluation_x=np.stack([np.resize(each, (9, 7, 2)) for each in found.values()]))
    names = ("images", "gap", "flat", "even")
    project.models["datasets"] |= {name: {"kind": "npz", "path": f"{name}.npz"} for name in names}
    alone = {"ort_fp32": {}}

    def shaped(shape: list[int | None], dataset: str = "images", **more: Any) -> dict[str, Any]:
        return model("pixels.onnx", dataset, alone, shapes={"image": shape}, **more)

    project.models["models"] = {
        "sound": model("pixels.onnx", "images", alone | {"fp32": {}}),
        "half": shaped([1, 2, None, None]),
        "name": model("pixels.onnx", "images", alone, shapes={"imags": [1, 2, 24, 20]}, ragged="pad"),
        "rank": shaped([1, 24, 20], ragged="pad"),
        "batch": shaped([4, 2, 24, 20], ragged="pad"),
        "channels": shaped([1, 3, 24, 20], ragged="pad"),
        "small": shaped([1, 2, 8, 8], ragged="pad"),
        "open": shaped([1, 2, 24, 20]),
        "other": shaped([1, 2, 24, 20], "even"),
        "static": model("square.tflite", "images", {"fp32": {}}),
        "gap": model("pixels.onnx", "gap", alone),
        "flat": model("pixels.onnx", "flat", alone),
        "wide": model("wide.onnx", "images", alone),
        "mask": model("pixels.onnx", "even", alone, inputs={"image": "x.mask"}),
    }
    project.run("-k", "accuracy")
    return project


REFUSED = {
    "name": "pixels.onnx: the model has no input 'imags'; did you mean 'image'",
    "rank": "'shapes' fixes the input 'image' to 1x24x20, 3 axes, and a batch of samples of dataset 'images', ?x?x2 .*, has 4",
    "batch": "'shapes' fixes the input 'image' to 4x2x24x20: a batch of 4, and samples are run one by one",
    "channels": "'shapes' fixes the input 'image' to 1x3x24x20, and in the model it is [?]x2x[?]x[?]; only [?] is open",
    "small": "dataset 'images' has samples of ?x?x2 .*, which cannot be padded to the 8x8x2 that 'shapes' fixes",
    "open": "dataset 'images' has samples of ?x?x2 .*, and 'shapes' fixes the input 'image' to 24x20x2 a sample",
    "other": "dataset 'even' has samples of 9x7x2, and 'shapes' fixes the input 'image' to 24x20x2 a sample",
    "static": r"the model's input 'image' is .16, 16, 2., but the dataset's samples are .None, None, 2., None where",
    "gap": "dataset 'gap': evaluation_x/4 is one sample of 'evaluation_x', and there is no evaluation_x/3",
    "flat": r"dataset 'flat': evaluation_x: sample 3 of shape .4, 4. has 2 axes, and others 3",
    "wide": r"a sample of \d+x\d+x2 cannot be run: .*Conv",
    "mask": "dataset 'even' has no array 'evaluation_x.mask' for the model's input 'image'",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_one_sentence(refused: Project, name: str) -> None:
    """It names the tensor, both shapes and the dataset, or what else is wrong."""
    variant = "fp32" if name == "static" else "ort_fp32"
    message = refused.message(variant, name)
    assert re.search(REFUSED[name].replace("?x?x2", "[?]x[?]x2"), message), message


def test_other_cells_are_unharmed(refused: Project) -> None:
    """Beside them a sound model passes; LiteRT by onnx2tf is refused with what to do, for samples of different sizes."""
    statuses = refused.statuses()
    assert statuses["sound/ort_fp32/host:cpu"] == statuses["half/ort_fp32/host:cpu"] == "pass"
    assert statuses["sound/fp32/host:cpu"] == "refused"
    assert "onnx2tf makes a graph of one input size, and the samples of 'x' have different ones" in refused.message(
        "fp32", "sound"
    )


def outputs(judged: Project, name: str, variant: str = "ort_fp32") -> Outputs:
    """The stored outputs of a cell."""
    found = Run.open(judged.root / "results" / "latest").journal.find(Outputs, CellId(name, variant, "host:cpu"))
    assert found is not None
    return found


def framed(found: Outputs) -> np.ndarray:
    """The only output (samples, ...) in its frame."""
    (shape,) = found.shapes
    return found.values.reshape(-1, *shape)


def sizes_of(found: Outputs) -> np.ndarray:
    """The sizes of the outputs of samples that differ in them."""
    assert found.sizes is not None
    return found.sizes


def session_of(judged: Project, name: str, variant: str = "ort_fp32") -> onnxruntime.InferenceSession:
    """The artifact of a variant in its runtime."""
    key = Run.open(judged.root / "results" / "latest").journal.provenance(CellId(name, variant, "host:cpu")).artifact
    return onnxruntime.InferenceSession(judged.store / "artifacts" / key / "artifact.onnx")


def samples(judged: Project, name: str, array: str = "evaluation_x") -> list[np.ndarray]:
    """The samples of an array in the dataset's file."""
    stored = np.load(judged.root / "benchmarks" / f"{name}.npz")
    keys = sorted((key for key in stored.files if key.startswith(array)), key=lambda key: int(key.partition("/")[2]))
    return [stored[key] for key in keys]


def pads(sample: np.ndarray, frame: Any) -> list[tuple[int, int]]:
    """What is missing after a sample along each axis."""
    return [(0, int(size) - own) for size, own in zip(frame, sample.shape, strict=True)]
