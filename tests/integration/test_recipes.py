"""The converting process, run for real: every recipe on a tiny model of every kind, and what can be wrong with one."""

from __future__ import annotations

import fnmatch
import functools
import importlib.util
import json
import math
import re
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeworthy.config import Timeouts
from edgeworthy.datasets.samples import Samples
from edgeworthy.tuning.candidates import present
from edgeworthy.variants.artifacts.child_process import Children
from edgeworthy.variants.artifacts.fork_servers import ForkServers
from edgeworthy.variants.conversion.tflite_packing import packed
from edgeworthy.variants.recipes.registry import builtin_recipes
from numpy.typing import NDArray

from tests.integration.conversion_jobs import run_jobs

SHAPE = (16, 16, 1)
OPTIONS: dict[str, dict[str, Any]] = {
    "mixed": {"float_ops": ["FULLY_CONNECTED"]},
    "ort_mixed": {"float_ops": ["Conv"]},
    "mine": {"opset": 18},
    **{name: {"epochs": 2} for name in ("pruned", "pruned_int8", "clustered", "qat_int8")},
}
TFLITE_FLOAT = {"fp32", "dynamic_int8", "float16", "weight_only_int8", "weight_only_int4", "int8_float_io", "mixed"}

MAKE_KERAS = """
import sys, keras, numpy as np
from keras import layers as L
keras.utils.set_random_seed(0)
i = keras.Input((16, 16, 1))
x = L.Activation("hard_swish")(L.Conv2D(8, 3, strides=2)(i))
m = keras.Model(i, L.Dense(4)(L.Flatten()(x)))
convolution, *_, readout = (layer for layer in m.layers if layer.weights)
convolution.kernel.assign(convolution.kernel * 4)
readout.kernel.assign(readout.kernel * abs(readout.kernel) * 10)  # half of the weights hold nearly all there is
m.save("tiny.keras")
x = L.Activation("hard_swish")(L.Conv2D(4, 3, strides=2, name="narrow")(i))
keras.Model(i, L.Dense(4)(L.Flatten()(x))).save("student.keras")
m.save("tiny.h5")
m.export("tiny_saved_model", verbose=False)
np.save("keras_answers.npy", m(np.load("images.npy"), training=False))

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
serve = tf.function(lambda image: m(image, training=False), input_signature=[tf.TensorSpec((None, 16, 16, 1), tf.float32)])
frozen = convert_variables_to_constants_v2(serve.get_concrete_function())
tf.io.write_graph(frozen.graph, ".", "tiny.pb", as_text=False)
tf.saved_model.save(tf.Module(), "no_signature")
strange = tf.Module()
matrix = tf.random.stateless_normal((16, 64), (1, 2))
strange.serve = tf.function(
    lambda image: tf.stack(
        [tf.linalg.det(image[..., 0]), tf.math.igamma(1.5, image[:, 0, 0, 0]), tf.reduce_sum(image[:, 0, :, 0] @ matrix, 1)], 1
    ),
    input_signature=[tf.TensorSpec((None, 16, 16, 1), tf.float32)],
)
tf.saved_model.save(strange, "strange_ops", signatures=strange.serve)
"""

#: Batch normalization whose results are what the next layer sees, and lie where ReLU and ReLU6 let nearly all pass.
MAKE_KERAS_BY_NAME = """
m = keras.applications.MobileNet(weights=None, classes=4, input_shape=(32, 32, 3), classifier_activation=None)
for layer in m.layers:
    if isinstance(layer, L.BatchNormalization):
        layer.momentum = 0.0
        layer.beta.assign(layer.beta + 3)
m(np.load("colours.npy"), training=True)
m.save_weights("mobilenet.weights.h5")
"""
MAKE_TORCH_BY_NAME = """
from torch import nn
from edgeworthy.variants.models.torch_sources import _torchvision
m = _torchvision().models.get_model("mnasnet0_5", weights=None, num_classes=4).train()
for block in m.modules():
    if isinstance(block, nn.BatchNorm2d):
        block.momentum = 1.0
    if isinstance(block, nn.Sequential):
        for layer, following in zip(block, block[1:]):
            if isinstance(layer, nn.BatchNorm2d) and isinstance(following, nn.ReLU):
                nn.init.constant_(layer.bias, 3)
with torch.no_grad():
    m(torch.from_numpy(np.load("colours.npy").transpose(0, 3, 1, 2).copy()))
torch.save(m.state_dict(), "mnasnet.pt")
"""

FACTORY = """
from torch import nn

def build():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Flatten(), nn.Linear(392, 4),
    )

def student():
    return nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(196, 4))

def raising():
    raise RuntimeError("no such architecture")
"""

MAKE_TORCH = """
import numpy as np, torch
from factory import build
torch.manual_seed(0)
m = build()
images = torch.from_numpy(np.load("images.npy").transpose(0, 3, 1, 2).copy())
with torch.no_grad():
    m[0].weight *= 4
    m[1].momentum = 1.0
    m(images)  # so that batch normalization is already what fine-tuning makes of it
    m[1].momentum = 0.1
    m[-1].weight *= abs(m[-1].weight) * 80  # half of the weights hold nearly all there is
m.eval()
torch.save(m.state_dict(), "tiny.pt")
batch = torch.export.Dim("batch", min=1, max=1024)
torch.export.save(torch.export.export(m, (torch.zeros(2, 1, 16, 16),), dynamic_shapes=({0: batch},)), "tiny.pt2")
torch.export.save(torch.export.export(m, (torch.zeros(1, 1, 16, 16),)), "single.pt2")
torch.save({"weight": torch.zeros(1)}, "other.pt")
torch.save(m, "pickled.pt")
with torch.no_grad():
    np.save("torch_answers.npy", m(images))
"""

USERS_RECIPE = """
import numpy as np
from edgeworthy import RecipeRefused, recipe

@recipe("mine", runtime="onnxruntime", packages=("onnx",))
def mine(source, out, *, opset: int):
    print("a library talks")
    out.write_bytes(source.onnx_file().read_bytes())
    return source.onnx_layout()

@recipe("crashing", runtime="onnxruntime", packages=("onnx",))
def crashing(source, out):
    out.write_bytes(b"half")
    raise ZeroDivisionError("by me")
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny Keras model, a tiny torch factory with weights, images, and what the models answer."""
    folder = tmp_path_factory.mktemp("lab")
    np.save(folder / "images.npy", np.random.default_rng(0).random((16, *SHAPE), dtype=np.float32))
    colours = np.random.default_rng(0).random((16, 4, 4, 3), dtype=np.float32)
    np.save(folder / "colours.npy", colours.repeat(8, axis=1).repeat(8, axis=2))
    np.save(folder / "labels.npy", np.arange(16) % 4)
    (folder / "factory.py").write_text(FACTORY)
    (folder / "users_recipe.py").write_text(USERS_RECIPE)
    for code in (MAKE_KERAS + MAKE_KERAS_BY_NAME, MAKE_TORCH + MAKE_TORCH_BY_NAME):
        subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True)
    return folder


class Table:
    """Every source kind crossed with every recipe, a kind at a time and each once: what became of it."""

    def __init__(self, lab: Path) -> None:
        self.lab = lab
        self._pool = ThreadPoolExecutor(max_workers=2)
        self._rows: dict[str, Future[dict[str, dict[str, Any]]]] = {}

    def start(self, kind: str) -> None:
        """Have a kind's row made, in a child of its own."""
        if kind not in self._rows:
            self._rows[kind] = self._pool.submit(self._made, kind)

    def __getitem__(self, kind: str) -> dict[str, dict[str, Any]]:
        self.start(kind)
        return self._rows[kind].result()

    def _made(self, kind: str) -> dict[str, dict[str, Any]]:
        options = OPTIONS_BY_NAME if kind in BY_NAME else OPTIONS
        recipes = [name for name, recipe in builtin_recipes().items() if recipe.runtime in present([recipe.runtime])]
        return convert(self.lab, SOURCES[kind], recipes, out=kind, options=options, images=images_of(kind))


@pytest.fixture(scope="module")
def table(lab: Path) -> Table:
    table = Table(lab)
    for suffix, recipe in ((".onnx", "ort_fp32"), (".tflite", "fp32")):
        (lab / f"tiny{suffix}").write_bytes(table["torch"][recipe]["out"].read_bytes())
    return table


TORCH = {"factory": "factory.py:build", "weights": "tiny.pt"}
#: A source of every kind; the .onnx and the .tflite are what the torch factory became.
SOURCES = {
    "torch": TORCH,
    "keras": {"path": "tiny.keras"},
    "onnx": {"path": "tiny.onnx"},
    "saved_model": {"path": "tiny_saved_model"},
    "frozen_graph": {"path": "tiny.pb", "input": "image", "output": "Identity:0"},
    "tflite": {"path": "tiny.tflite"},
    "exported": {"path": "tiny.pt2"},
    "torchvision": {"torchvision": "mnasnet0_5", "weights": "mnasnet.pt"},
    "keras_application": {"keras_application": "MobileNet", "weights": "mobilenet.weights.h5"},
    "litert_torch": {**TORCH, "route": "litert_torch"},
}
#: litert-torch is an extra of its own, which `make test-litert-torch` installs beside the others.
HAS_LITERT_TORCH = importlib.util.find_spec("litert_torch") is not None
NEEDS_LITERT_TORCH = pytest.mark.skipif(
    not HAS_LITERT_TORCH, reason="litert-torch is not installed: make test-litert-torch"
)
KINDS = [kind for kind in SOURCES if kind != "litert_torch" or HAS_LITERT_TORCH]
#: Real architectures, on images of three channels. Random layers upon random layers make noise of rounding errors: these
#: are shifted to where their activations are nearly linear, so that what is wrong at the input is seen at the output.
BY_NAME = ("torchvision", "keras_application")
#: Random weights do not stand much training.
LITTLE = {"epochs": 1, "learning_rate": 1e-6}
OPTIONS_BY_NAME: dict[str, dict[str, Any]] = {
    **OPTIONS,
    # They classify by a convolution or a product; both begin with a convolution.
    "mixed": {"float_ops": ["CONV_2D"]},
    "pruned": {**LITTLE, "sparsity": 0.01},
    "pruned_int8": {**LITTLE, "sparsity": 0.01},
    "clustered": {**LITTLE, "clusters": 256},
    "qat_int8": LITTLE,
}
FROM_TORCH = ("torch", "onnx", "tflite", "exported", "torchvision", "litert_torch")


def of_modules(words: str) -> dict[str, str]:
    """Of recipes that begin with a PyTorch module, what they say where there is none."""
    return dict.fromkeys(("torch_*", "et_*", "coreml_*"), words)


#: What refuses, by a glob over recipes, and words of the reason; the other recipes make something that is right.
FINISHED = dict.fromkeys(("pruned*", "clustered", "qat_*"), "cannot be trained further: it is a finished graph")
REFUSED: dict[str, dict[str, str]] = {
    "torch": {},
    "keras": of_modules("a Keras model has no PyTorch module"),
    "onnx": {**of_modules("an ONNX file has no PyTorch module"), **FINISHED},
    "saved_model": {**of_modules("a SavedModel has no PyTorch module"), **FINISHED},
    "frozen_graph": {**of_modules("a frozen graph has no PyTorch module"), **FINISHED},
    "tflite": {
        **FINISHED,
        **of_modules("a finished .tflite has no PyTorch module"),
        "ort_*": "a finished .tflite cannot become ONNX",
        "ov_*": "a finished .tflite cannot become ONNX",
    },
    "exported": {"torch_int8": "all would stay float", **FINISHED},
    # Its own kernels for int8, after a mean.
    "torchvision": {"torch_int8": "^torch FX quantization cannot convert this model: required rank 4"},
    "keras_application": of_modules("a Keras model has no PyTorch module"),
    "litert_torch": {},
}


def images_of(kind: str) -> str:
    return "colours.npy" if kind in BY_NAME else "images.npy"


def convert(
    lab: Path,
    source: dict[str, str],
    names: list[str],
    *,
    out: str,
    recipe_files: tuple[str, ...] = (),
    options: Mapping[str, dict[str, Any]] = OPTIONS,
    images: str = "images.npy",
    lists: Mapping[str, list[Any]] | None = None,
) -> dict[str, dict[str, Any]]:
    """Run the child; the last event of each recipe, with the path of its artifact as ``out``.

    A name may go on after an ``@``, so that one recipe runs with several options; it may be that of one of ``lists``.
    """
    job = job_of(lab, source, names, out=out, recipe_files=recipe_files, options=options, images=images, lists=lists)
    (lab / out / "job.json").write_text(json.dumps(job))
    return status(names, job, run_jobs([lab / out / "job.json"], lab / out / "log")["job"])


def job_of(
    lab: Path,
    source: dict[str, str],
    names: list[str],
    *,
    out: str,
    recipe_files: tuple[str, ...] = (),
    options: Mapping[str, dict[str, Any]] = OPTIONS,
    images: str = "images.npy",
    lists: Mapping[str, list[Any]] | None = None,
) -> dict[str, Any]:
    """What the child is told; the artifacts go to the folder ``out``, which is made."""
    (lab / out).mkdir()
    samples = Samples(lab / images).to_json()
    training = {
        f"{split}_{part}": samples if part == "x" else str(lab / "labels.npy")
        for split in ("train", "validation")
        for part in "xy"
    }
    work = [
        {
            "recipe": (lists or {}).get(name, name.partition("@")[0]),
            "options": options.get(name, {}),
            "calibration": samples,
            "calibration_count": options.get(name, {}).get("calibration_samples"),
            "training": training,
            "out": str(lab / out / f"{name}{suffix_of((lists or {}).get(name, [name])[-1])}"),
        }
        for name in names
    ]
    return {
        "action": "convert",
        "source": source,
        "base_dir": str(lab),
        "samples": samples,
        "classes": 4,
        "recipe_files": [str(lab / file) for file in recipe_files],
        "runtimes": {},
        "work": work,
    }


def status(names: list[str], job: dict[str, Any], events: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What became of each recipe."""
    work = job["work"]
    assert [event["index"] for event in events if event["event"] == "started"] == list(range(len(work)))
    told = [event["text"] for event in events if event["event"] == "progress"]
    last = {names[event["index"]]: event for event in events if "index" in event}
    return {
        name: {**last[name], "out": Path(entry["out"]), "told": told} for name, entry in zip(names, work, strict=True)
    }


def suffix_of(name: str) -> str:
    recipe = builtin_recipes().get(name.partition("@")[0])
    return recipe.runtime.suffix if recipe else ".onnx"


def train(job: dict[str, Any]) -> list[dict[str, Any]]:
    return list(Children(Timeouts(conversion_s=300), ForkServers()).events(job))


def answers(made: dict[str, Any], images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run an artifact in its runtime, all images in one batch."""
    x = images if made["layout"] == "nhwc" else np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    runners: dict[str, Callable[[Path, Any], Any]] = {
        ".tflite": _litert,
        ".onnx": _onnxruntime,
        ".pt": _torch,
        ".openvino.zip": _openvino,
        ".pte": _executorch,
    }
    return runners["".join(made["out"].suffixes)](made["out"], x)


def _interpreter(path: Path) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(str(path))


def _litert(path: Path, x: Any) -> Any:
    runner = _interpreter(path)
    entry, exit_ = runner.get_input_details()[0], runner.get_output_details()[0]
    runner.resize_tensor_input(entry["index"], x.shape)
    runner.allocate_tensors()
    if entry["dtype"] != np.float32:
        scale, zero = entry["quantization"]
        limits = np.iinfo(entry["dtype"])
        x = np.clip(np.round(x / scale + zero), limits.min, limits.max).astype(entry["dtype"])
    runner.set_tensor(entry["index"], x)
    runner.invoke()
    y = runner.get_tensor(exit_["index"])
    scale, zero = exit_["quantization"]
    return y if y.dtype == np.float32 else (y.astype(np.float32) - zero) * scale


def _onnxruntime(path: Path, x: Any) -> Any:
    session = _session(path)
    return session.run(None, {session.get_inputs()[0].name: x})[0]


# What takes long to load is loaded once for all images, which are run one by one.


@functools.lru_cache(maxsize=2)
def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # The file as it is written: fused int8 kernels saturate on processors without VNNI.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _torch(path: Path, x: Any) -> Any:
    import torch

    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        return _traced(path)(torch.from_numpy(x)).numpy()


@functools.lru_cache(maxsize=2)
def _traced(path: Path) -> Any:
    import torch

    return torch.jit.load(path)


def _openvino(path: Path, x: Any) -> Any:
    return _compiled(path)(x)[0]


@functools.lru_cache(maxsize=2)
def _compiled(path: Path) -> Any:
    import edgeworthy.runners.python_runner.openvino  # noqa: F401  so that it reports nothing
    import openvino

    with zipfile.ZipFile(path) as archive:
        archive.extractall(path.with_suffix(""))
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    return openvino.compile_model(path.with_suffix("") / "model.xml", "CPU", settings)


def _executorch(path: Path, x: Any) -> Any:
    import torch

    _, method = _method(path)
    return method.execute((torch.from_numpy(x),))[0].numpy().copy()  # the next inference writes there


@functools.lru_cache(maxsize=2)
def _method(path: Path) -> tuple[Any, Any]:
    """The program, which its method needs, and the method."""
    with warnings.catch_warnings():  # of what it imports
        warnings.simplefilter("ignore")
        from executorch.runtime import Runtime

        program = Runtime.get().load_program(path)
        return program, program.load_method("forward")


def refusal(kind: str, recipe: str) -> str | None:
    """Words of the reason for which the recipe should refuse the kind; None where it should not."""
    return next((words for glob, words in REFUSED[kind].items() if fnmatch.fnmatchcase(recipe, glob)), None)


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if kind in KINDS else [NEEDS_LITERT_TORCH]) for kind in SOURCES]
)
def test_every_recipe_on_every_kind_of_source(table: Table, lab: Path, kind: str) -> None:
    """Each recipe makes of each kind of source what answers as the source does, or refuses with the stated reason."""
    table.start(kind)
    for following in KINDS[KINDS.index(kind) + 1 :][:1]:
        table.start(following)  # while this row is looked at
    images, expected = np.load(lab / images_of(kind)), expected_answers(table, lab, kind)
    for recipe, entry in table[kind].items():
        words = refusal(kind, recipe)
        if words is None:
            assert entry["event"] == "made", (recipe, entry)
            given = answers_one_by_one(entry, images)
            assert given.shape == expected.shape
            assert np.isfinite(given).all()
            if kind in BY_NAME and not builtin_recipes()[recipe].lossless:
                given = given - given.mean(axis=0) + expected.mean(axis=0)  # what all layers add to every image alike
            assert error_share(given, expected) < allowed(recipe, kind), recipe
            if not builtin_recipes()[recipe].lossless:
                assert error_share(given, expected) > 1e-4, f"{recipe} quantized nothing"
        else:
            assert entry["event"] == "refused", (recipe, entry)
            assert re.search(words, entry["message"]), (recipe, entry["message"])
            assert not entry["out"].exists()


def expected_answers(table: Table, lab: Path, kind: str) -> NDArray[np.float32]:
    """The answers of the framework; of a model by name, which test_sources.py holds against its own, those of ONNX."""
    if kind in BY_NAME:
        return answers_one_by_one(table[kind]["ort_fp32"], np.load(lab / images_of(kind)))
    answered: NDArray[np.float32] = np.load(lab / f"{'torch' if kind in FROM_TORCH else 'keras'}_answers.npy")
    return answered


def answers_one_by_one(entry: dict[str, Any], images: NDArray[np.float32]) -> NDArray[np.float32]:
    """One batch for each image: what onnx2tf makes of some architectures takes no other."""
    return np.concatenate([answers(entry, image[None]) for image in images])


def error_share(given: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """The error of answers (images, classes) over how much the expected ones differ from image to image, both as rms.

    The best constant answer has 1, whatever its classes; NaN where an answer is not finite.
    """
    between_images = expected - expected.mean(axis=0)
    return float(np.sqrt(np.square(given - expected).mean() / np.square(between_images).mean()))


def allowed(recipe: str, kind: str) -> float:
    """The error share that answers may have."""
    entry = builtin_recipes()[recipe]
    if entry.lossless:
        return 1e-3
    if kind in BY_NAME:
        # 4 bits do not survive so many random layers, nor does anything OpenVINO's int8 kernels for torchvision's model: of the
        # same file the share is 0.2 where they are off (LP_TRANSFORMS_MODE), and 1 where they are on.
        return math.inf if recipe in ("weight_only_int4", "ov_int8") else MOST
    return MOST if entry.trained or recipe == "weight_only_int4" else 0.1


#: What a recipe of few bits, or a training of two epochs, may do.
MOST = 0.6

#: What is wrong with a model in silence, as what it does to its images.
WRONGS: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "inverted": lambda images: 1 - images,
    "of another image": lambda images: np.roll(images, 1, axis=0),
    "height for width": lambda images: images.transpose(0, 2, 1, 3),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_would_see_wrong_answers(table: Table, lab: Path, kind: str) -> None:
    """A constant answer, and those to wrong images, are far beyond what any recipe may do: the images tell them apart."""
    images, expected = np.load(lab / images_of(kind)), expected_answers(table, lab, kind)
    faithful = table[kind]["fp32"]
    shares = {
        name: error_share(answers_one_by_one(faithful, wrong(images)), expected) for name, wrong in WRONGS.items()
    }
    shares["constant"] = error_share(np.broadcast_to(expected.mean(axis=0), expected.shape), expected)
    assert min(shares.values()) > 0.99 > 1.5 * MOST, shares


def test_layouts(table: Table) -> None:
    """TFLite inputs are NHWC, torch's NCHW; an ONNX file keeps the layout of what it was made from."""
    for kind, made in table_rows(table):
        for entry in made.values():
            if entry["event"] == "made":
                wanted = "nchw" if entry["out"].suffix != ".tflite" and kind in FROM_TORCH else "nhwc"
                assert entry["layout"] == wanted, (kind, entry)


def table_rows(table: Table) -> list[tuple[str, dict[str, dict[str, Any]]]]:
    return [(kind, table[kind]) for kind in KINDS]


def test_the_users_file_is_taken_byte_for_byte(table: Table, lab: Path) -> None:
    """ort_fp32 of an .onnx and fp32 of a .tflite keep every byte, and nothing writes to the user's file."""
    for kind, recipe in (("onnx", "ort_fp32"), ("tflite", "fp32")):
        original = table["torch"][recipe]["out"].read_bytes()
        assert table[kind][recipe]["out"].read_bytes() == original
        assert (lab / SOURCES[kind]["path"]).read_bytes() == original


def test_names_tell_the_type_of_input_and_output(table: Table) -> None:
    """int8 takes and answers int8, int8_uint8_io uint8, int16x8 int16, and the others float32."""
    expected = {"int8": np.int8, "int8_uint8_io": np.uint8, "int16x8": np.int16} | dict.fromkeys(
        TFLITE_FLOAT, np.float32
    )
    for name, dtype in expected.items():
        runner = _interpreter(table["torch"][name]["out"])
        assert runner.get_input_details()[0]["dtype"] is dtype, name
        assert runner.get_output_details()[0]["dtype"] is dtype, name


def test_both_quantizers_mean_the_same_by_a_name(lab: Path, table: Table) -> None:
    """A recipe of one name gives the same types of input and output by either tool, and nearly the same answers."""
    images = np.load(lab / "images.npy")
    for name in ("dynamic_int8", "float16", "int8", "int8_float_io", "int8_uint8_io", "int8_per_tensor", "mixed"):
        by_converter, by_quantizer = (_interpreter(made[name]["out"]) for made in (table["torch"], table["tflite"]))
        for details in ("get_input_details", "get_output_details"):
            dtypes = [getattr(runner, details)()[0]["dtype"] for runner in (by_converter, by_quantizer)]
            assert dtypes[0] is dtypes[1], name
        given, expected = (answers(made[name], images) for made in (table["tflite"], table["torch"]))
        assert error_share(given, expected) < 0.05, name


def test_an_unfit_tflite_is_refused_with_the_reason(lab: Path, table: Table) -> None:
    """A .tflite that is quantized already is taken as it is and cannot be quantized."""
    (lab / "quantized.tflite").write_bytes(table["tflite"]["int8"]["out"].read_bytes())
    made = convert(lab, {"path": "quantized.tflite"}, ["fp32", "int8", "weight_only_int4"], out="quantized")
    assert made["fp32"]["event"] == "made"
    assert [made[recipe]["event"] for recipe in ("int8", "weight_only_int4")] == ["refused", "refused"]
    assert "quantized.tflite is quantized already" in made["int8"]["message"]
    assert "keep only fp32" in made["int8"]["hint"]


def test_a_tflite_without_a_signature_becomes_what_one_with_it_does(lab: Path, table: Table) -> None:
    """The quantizer needs one, which says no more than the file does; fp32 is the file as it is."""
    _write_without_signature(lab / "tiny.tflite", lab / "unsigned.tflite")
    made = convert(lab, {"path": "unsigned.tflite"}, ["fp32", "int8", "weight_only_int4"], out="unsigned")
    assert made["fp32"]["out"].read_bytes() == (lab / "unsigned.tflite").read_bytes()
    images = np.load(lab / "images.npy")
    for name in ("int8", "weight_only_int4"):
        given, expected = (answers(found[name], images) for found in (made, table["tflite"]))
        np.testing.assert_array_equal(given, expected)


def _write_without_signature(path: Path, out: Path) -> None:
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(path))
    model.signatureDefs = []
    flatbuffer_utils.write_model(model, str(out))


def bits_of_weights(path: Path) -> set[str]:
    """The types of the constant tensors of more than one axis."""
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(path))
    names = {value: name for name, value in vars(flatbuffer_utils.TensorType).items() if not name.startswith("_")}
    return {
        names[tensor.type]
        for tensor in model.subgraphs[0].tensors
        if len(tensor.shape) > 1 and model.buffers[tensor.buffer].data is not None
    }


def test_names_tell_the_type_of_the_weights(table: Table) -> None:
    """weight_only_int4 stores 4-bit weights, float16 16-bit ones, the others 8-bit ones."""
    expected = {"fp32": "FLOAT32", "weight_only_int4": "INT4", "weight_only_int8": "INT8", "float16": "FLOAT16"}
    for name, kind in {**expected, "int8": "INT8", "int16x8": "INT8"}.items():
        assert kind in bits_of_weights(table["tflite"][name]["out"]), name


def scales_of_weights(path: Path) -> int:
    """The largest number of scales that one tensor has."""
    return max(len(tensor["quantization_parameters"]["scales"]) for tensor in _interpreter(path).get_tensor_details())


def test_per_tensor_has_one_scale_a_tensor(table: Table) -> None:
    """int8 has a scale for every channel, int8_per_tensor one for all, by either tool."""
    for made in (table["torch"], table["tflite"]):
        assert scales_of_weights(made["int8"]["out"]) > 1
        assert scales_of_weights(made["int8_per_tensor"]["out"]) == 1


def test_one_vector_of_zeros_serves_all_zero_points(table: Table) -> None:
    """By either tool, what is said twice is stored once: writing the file anew saves nothing more."""
    from ai_edge_litert import schema_py_generated as schema

    for made in (table["torch"], table["tflite"]):
        for name in ("dynamic_int8", "int8", "weight_only_int8", "int16x8"):
            content = made[name]["out"].read_bytes()
            assert packed(content, schema) == content, name


def kernels(path: Path) -> list[NDArray[Any]]:
    """The constant tensors of a .tflite with more than one axis, but for those of a padding or a reshape."""
    runner = _interpreter(path)
    runner.allocate_tensors()
    found = [
        entry for entry in runner.get_tensor_details() if np.prod(entry["shape"]) >= 32 and entry["dtype"] != np.int32
    ]
    constant = {index for op in runner._get_ops_details() for index in op["inputs"]} - {
        index for op in runner._get_ops_details() for index in op["outputs"]
    }
    return [
        runner.get_tensor(entry["index"]) for entry in found if entry["index"] in constant and entry["shape"][0] > 1
    ]


def share_of_zeros(path: Path) -> float:
    return float(np.mean(np.concatenate([kernel.ravel() for kernel in kernels(path)]) == 0))


@pytest.mark.parametrize("kind", ["keras", "torch"])
def test_what_was_trained_is_what_its_name_says(table: Table, kind: str) -> None:
    """Half of the weights of pruned and pruned_int8 are zero; a kernel of clustered has at most 16 distinct weights."""
    for recipe in ("pruned", "pruned_int8"):
        assert share_of_zeros(table[kind][recipe]["out"]) == pytest.approx(0.5, abs=0.03), recipe
    for kernel in kernels(table[kind]["clustered"]["out"]):
        assert max(len(np.unique(channel)) for channel in kernel) <= 16
    for recipe in ("pruned_int8", "qat_int8"):
        assert _interpreter(table[kind][recipe]["out"]).get_input_details()[0]["dtype"] is np.int8


def test_training_is_told_repeats_and_ends(lab: Path) -> None:
    """Progress is told; a seed gives the same weights, another one others; a time limit is an error, not a shorter training."""
    options: dict[str, dict[str, Any]] = {
        "pruned": {"epochs": 2},
        "pruned_int8": {"epochs": 2},
        "clustered": {"epochs": 2},
        "clustered@again": {"epochs": 2, "time_limit_s": 500},  # of other options, and so trained again
        "clustered@seed": {"epochs": 2, "seed": 1},
        "clustered@taught": {"epochs": 2, "distillation": 0.9},
        "pruned@late": {"epochs": 2, "time_limit_s": 1e-9},
        "pruned@most": {"epochs": 2, "sparsity": 0.9, "schedule": "constant"},
    }
    made = convert(lab, TORCH, list(options), out="training", options=options)
    assert re.fullmatch(r"fine-tuning: epoch 1/2, validation top-1 \d+\.\d %", made["pruned"]["told"][0])
    epochs = [text for text in made["pruned"]["told"] if "epoch 1/2" in text]
    assert len(epochs) == 6, "pruned and pruned_int8 of the same options are trained once"
    first, again, other = (kernels(made[name]["out"]) for name in ("clustered", "clustered@again", "clustered@seed"))
    assert all(map(np.array_equal, first, again))
    assert not all(map(np.array_equal, first, other))
    assert not all(map(np.array_equal, first, kernels(made["clustered@taught"]["out"])))
    assert made["pruned@late"]["event"] == "failed"
    assert "fine-tuning was not done after time_limit_s = 1e-09: epoch 1 of 2" in made["pruned@late"]["message"]
    assert share_of_zeros(made["pruned@most"]["out"]) == pytest.approx(0.9, abs=0.03)


SHORT = {"epochs": 1, "learning_rate": 1e-4}
HALF = {"pruned": {**SHORT, "schedule": "constant"}}
#: Lists, and the recipe of the last one's float weights.
LISTED: dict[str, list[Any]] = {
    "rounded": [HALF, {"qat": SHORT}, "int8"],
    "shared": [HALF, {"clustered": {**SHORT, "clusters": 8}}, "weight_only_int8"],
    "fp32": [HALF, {"clustered": {**SHORT, "clusters": 8}}, "fp32"],
    "ort": [HALF, "ort_float16"],
}
#: A student of each kind, and the layers of its teacher that its own learn from.
STUDENTS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "keras": ({"path": "student.keras"}, {"conv2d": "narrow"}),
    "torch": ({"factory": "factory.py:student"}, {"0": "0"}),
}


def students(kind: str) -> dict[str, list[Any]]:
    """Lists that begin with a student: of outputs and a layer, and one that names a layer that there is not."""
    student, features = STUDENTS[kind]
    given = {"student": student, "epochs": 2, "hard_labels": 0.1, "features": features}
    lost = {**given, "features": dict.fromkeys(features, "nowhere")}
    return {
        "student": [{"distilled": given}, {"qat": SHORT}, "int8"],
        "student_fp32": [{"distilled": given}, "fp32"],
        "lost": [{"distilled": lost}, "fp32"],
    }


@pytest.mark.parametrize("kind", ["keras", "torch"])
def test_lists_do_what_each_of_their_parts_says(lab: Path, kind: str) -> None:
    """What trained later keeps what trained before; one training serves all lists that begin with it, whatever exports."""
    lists = {**LISTED, **students(kind)}
    made = convert(lab, SOURCES[kind], list(lists), out=f"lists_{kind}", options={}, lists=lists)
    lost = made.pop("lost")
    assert lost["event"] == "failed"
    assert "features: it has no layer 'nowhere'; " in lost["message"]
    assert {entry["event"] for entry in made.values()} == {"made"}, made
    for name in ("rounded", "shared", "fp32"):
        assert share_of_zeros(made[name]["out"]) == pytest.approx(0.5, abs=0.03), name
    for kernel in kernels(made["fp32"]["out"]):
        assert max(len(np.unique(channel)) for channel in kernel) <= 8
    assert _interpreter(made["rounded"]["out"]).get_input_details()[0]["dtype"] is np.int8
    told = made["ort"]["told"]
    assert len([text for text in told if "epoch 1/1" in text]) == 4
    assert len([text for text in told if "distilling: epoch 1/2" in text]) == 1
    assert min(len(kernel) for kernel in kernels(made["student_fp32"]["out"])) == 4
    assert _interpreter(made["student"]["out"]).get_input_details()[0]["dtype"] is np.int8
    assert made["student"]["out"].stat().st_size < made["rounded"]["out"].stat().st_size


def test_ops_that_litert_has_not_are_named_and_may_be_allowed(lab: Path) -> None:
    """Without leave they are refused, with the options that give it; Select-TF leaves only what it has not got itself."""
    options: dict[str, dict[str, Any]] = {
        "dynamic_int8": {},
        "dynamic_int8@select": {"allow_select_tf_ops": True},
        "dynamic_int8@both": {"allow_select_tf_ops": True, "allow_custom_ops": True},
        "fp32": {"allow_select_tf_ops": True, "allow_custom_ops": True},
    }
    made = convert(lab, {"path": "strange_ops"}, list(options), out="strange", options=options)
    assert "nor a flex op" in made["dynamic_int8"]["message"]
    assert "allow_select_tf_ops" in made["dynamic_int8"]["hint"]
    assert "Igamma" in made["dynamic_int8@select"]["message"]
    assert made["dynamic_int8@both"]["event"] == "made"
    assert b"FlexMatrixDeterminant" in made["dynamic_int8@both"]["out"].read_bytes()
    assert made["fp32"]["event"] == "refused"  # it is compared with its source, and cannot be run here


LEFT_FLOAT = {
    "mixed@op": ({"float_ops": ["HARD_SWICH"]}, "no op 'HARD_SWICH'; did you mean 'HARD_SWISH'"),
    "mixed@node": ({"float_nodes": ["absent.*"]}, "no node 'absent.*'"),
    "mixed@none": ({}, "nothing to leave in float"),
    "ort_mixed@op": ({"float_ops": ["Convv"]}, "no op 'Convv'; did you mean 'Conv'"),
}
BINS = {"histogram_bins": 512}
#: Each choice of options makes another artifact of the recipe.
CHOICES: dict[str, dict[str, Any]] = {
    "int8": {},
    "int8@ranges": {"ranges": "moving_average"},
    "int8@samples": {"calibration_samples": 1},
    "ort_int8_minmax": {},
    "ort_int8_minmax@ranges": {"ranges": "moving_average"},
    "ort_int8_minmax@symmetric": {"symmetric_activations": True},
    "ort_int8_minmax@samples": {"calibration_samples": 1},
    "ort_int8_percentile": {},
    "ort_int8_percentile@90": {"percentile": 90.0},
    "ort_qnn_int8": {},
    "ort_qnn_int8@16": {"activation_bits": 16},
}


@pytest.fixture(scope="module")
def chosen(lab: Path) -> dict[str, dict[str, Any]]:
    """The Keras model by recipes with options."""
    options = {**{name: given for name, (given, _) in LEFT_FLOAT.items()}, **CHOICES, "ort_int8_entropy@bins": BINS}
    return convert(lab, {"path": "tiny.keras"}, list(options), out="chosen", options=options)


def test_a_part_that_is_not_there_cannot_be_left_in_float(chosen: dict[str, dict[str, Any]]) -> None:
    """A misspelt op or node is refused with the nearest name: a quantizer would quantize everything."""
    for name, (_, message) in LEFT_FLOAT.items():
        assert chosen[name]["event"] == "refused"
        assert message in chosen[name]["message"]


def test_options_of_calibration_change_the_artifact(chosen: dict[str, dict[str, Any]]) -> None:
    """Ranges, symmetry, percentile and the number of samples each make another artifact."""
    contents = [chosen[name]["out"].read_bytes() for name in CHOICES]
    assert len(set(contents)) == len(contents)


def test_entropy_searches_in_as_many_bins_as_it_is_told(lab: Path, chosen: dict[str, dict[str, Any]]) -> None:
    """ONNX Runtime says in the log how many bins its histograms have."""
    assert chosen["ort_int8_entropy@bins"]["event"] == "made"
    assert "Number of histogram bins : 512" in (lab / "chosen" / "log").read_text()


def test_users_recipes_run_beside_the_builtin_ones(lab: Path, table: Table) -> None:
    """A user's recipe gets its options; one that raises fails alone, leaves no file, and its prints go to the log."""
    names = ["crashing", "mine"]
    made = convert(lab, {"path": "tiny.onnx"}, names, out="users", recipe_files=("users_recipe.py",))
    assert made["crashing"]["error_type"] == "ZeroDivisionError"
    assert not made["crashing"]["out"].exists()
    assert made["mine"]["event"] == "made"
    log = (lab / "users" / "log").read_text()
    assert "a library talks" in log
    assert "by me" in log


#: A source, a recipe, and words of what is said.
WRONG: list[tuple[dict[str, str], str, str]] = [
    ({"path": "absent.keras"}, "fp32", "absent.keras: no such file"),
    ({"path": "empty.onnx"}, "ort_fp32", "empty.onnx: the file is empty"),
    ({"path": "cut.onnx"}, "ort_fp32", "cut.onnx: cannot be read as an ONNX model"),
    ({"path": "cut.keras"}, "fp32", "cut.keras: cannot be read as a Keras model"),
    ({"path": "words.tflite"}, "fp32", "words.tflite: not a TFLite file"),
    ({"path": "cut.tflite"}, "fp32", "cut.tflite: cannot be read as a TFLite file"),
    ({"path": "model.pkl"}, "fp32", "model.pkl: .pkl is not a known kind of model file"),
    ({"path": "large.onnx"}, "ort_fp32", "input is (1, 28, 28), but the dataset's samples are (16, 16, 1)"),
    ({**TORCH, "weights": "absent.pt"}, "torch_fp32", "absent.pt: no such file"),
    (
        {**TORCH, "weights": "other.pt"},
        "torch_fp32",
        "other.pt: the weights do not fit factory.py:build: missing keys: ",
    ),
    ({**TORCH, "weights": "pickled.pt"}, "torch_fp32", "pickled.pt: not plain weights but a pickle"),
    ({**TORCH, "factory": "factory.py:buidl"}, "torch_fp32", "has no function 'buidl'"),
    ({**TORCH, "factory": "factory.py:raising"}, "torch_fp32", "raised RuntimeError: no such architecture"),
    ({**TORCH, "factory": "absent.py:build"}, "torch_fp32", "absent.py: no such file"),
    ({**TORCH, "factory": "factory"}, "torch_fp32", "'factory' does not name a function"),
]


@pytest.mark.parametrize("index", range(len(WRONG)), ids=lambda index: WRONG[index][2])
def test_a_wrong_source_is_named(wrong: list[dict[str, Any]], index: int) -> None:
    """A missing, empty, damaged or unfitting source is a SourceError that names the file and what is wrong with it."""
    made = wrong[index]
    assert made["event"] == "failed"
    assert made["error_type"] == "SourceError"
    assert WRONG[index][2] in made["message"]
    assert not made["out"].exists()


@pytest.fixture(scope="module")
def wrong(damaged: Path) -> list[dict[str, Any]]:
    """What became of every wrong source."""
    jobs = {
        f"wrong{index}": job_of(damaged, source, [recipe], out=f"wrong{index}")
        for index, (source, recipe, _) in enumerate(WRONG)
    }
    for name, job in jobs.items():
        (damaged / f"{name}.json").write_text(json.dumps(job))
    events = run_jobs([damaged / f"{name}.json" for name in jobs], damaged / "wrong.log")
    recipes = [[recipe] for _, recipe, _ in WRONG]
    return [
        status(names, job, events[name])[names[0]] for names, (name, job) in zip(recipes, jobs.items(), strict=True)
    ]


@pytest.fixture(scope="module")
def damaged(lab: Path, table: Table) -> Path:
    """The lab, with files that are cut in half, empty, or of another model."""
    (lab / "empty.onnx").touch()
    (lab / "words.tflite").write_text("not a model at all")
    whole = {"cut.onnx": table["torch"]["ort_fp32"]["out"], "cut.keras": lab / "tiny.keras"}
    whole["cut.tflite"] = table["torch"]["fp32"]["out"]
    for name, path in whole.items():
        (lab / name).write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    _write_large_onnx(lab / "large.onnx")
    return lab


def _write_large_onnx(path: Path) -> None:
    import onnx
    from onnx import helper

    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 1, 28, 28]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "large", ends[:1], ends[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def test_training_tells_its_progress_and_writes_the_weights(tmp_path: Path) -> None:
    """A trainer gets the splits; its progress becomes events; one that raises fails and leaves no file."""
    (tmp_path / "trainer.py").write_text(
        "def train(splits, out, progress):\n"
        "    progress(f\"{splits['train_x'].sum():.0f}\")\n"
        "    out.write_bytes(b'weights')\n"
        "def failing(splits, out, progress):\n"
        "    out.write_bytes(b'half')\n"
        "    raise ValueError('no convergence')\n"
    )
    np.save(tmp_path / "x.npy", np.ones(3))
    job = {
        "action": "train",
        "trainer": "trainer.py:train",
        "base_dir": str(tmp_path),
        "splits": {"train_x": str(tmp_path / "x.npy")},
        "out": str(tmp_path / "weights"),
    }
    assert train(job) == [{"event": "progress", "text": "3"}, {"event": "made"}]
    assert (tmp_path / "weights").read_bytes() == b"weights"
    (failed,) = train({**job, "trainer": "trainer.py:failing"})
    assert failed["error_type"] == "SourceError"
    assert "trainer.py:failing raised ValueError: no convergence" in failed["message"]
    assert not (tmp_path / "weights").exists()
