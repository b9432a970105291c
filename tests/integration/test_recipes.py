"""The converting process, run for real: every recipe on a tiny model of every kind, and what can be wrong with one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.sources.samples import Samples
from harness.variants.registry import builtin_recipes

SHAPE = [16, 16, 1]
OPTIONS: dict[str, dict[str, Any]] = {"mixed": {"float_ops": ["FULLY_CONNECTED"]}, "mine": {"opset": 18}}
TFLITE_FLOAT = {"fp32", "dynamic_int8", "float16", "int8_float_io", "mixed"}

MAKE_KERAS = """
import sys, keras, numpy as np
from keras import layers as L
keras.utils.set_random_seed(0)
i = keras.Input((16, 16, 1))
x = L.Activation("hard_swish")(L.Conv2D(8, 3, strides=2)(i))
m = keras.Model(i, L.Dense(4)(L.GlobalAveragePooling2D()(x)))
m.save("tiny.keras")
np.save("keras_answers.npy", m(np.load("images.npy"), training=False))
"""

FACTORY = """
from torch import nn

def build():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    )

def raising():
    raise RuntimeError("no such architecture")
"""

MAKE_TORCH = """
import numpy as np, torch
from factory import build
torch.manual_seed(0)
m = build().eval()
torch.save(m.state_dict(), "tiny.pt")
torch.save({"weight": torch.zeros(1)}, "other.pt")
torch.save(m, "pickled.pt")
with torch.no_grad():
    np.save("torch_answers.npy", m(torch.from_numpy(np.load("images.npy").transpose(0, 3, 1, 2).copy())))
"""

USERS_RECIPE = """
import numpy as np
from harness.errors import RecipeRefused
from harness.variants.registry import recipe

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
    (folder / "factory.py").write_text(FACTORY)
    (folder / "users_recipe.py").write_text(USERS_RECIPE)
    for code in (MAKE_KERAS, MAKE_TORCH):
        subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def keras_made(lab: Path) -> dict[str, dict[str, Any]]:
    return convert(lab, {"path": "tiny.keras"}, list(builtin_recipes()), out="keras")


@pytest.fixture(scope="module")
def torch_made(lab: Path) -> dict[str, dict[str, Any]]:
    return convert(lab, TORCH, list(builtin_recipes()), out="torch")


@pytest.fixture(scope="module")
def onnx_made(lab: Path, torch_made: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """All recipes on an .onnx file: the one that the torch factory became."""
    (lab / "tiny.onnx").write_bytes(torch_made["ort_fp32"]["out"].read_bytes())
    return convert(lab, {"path": "tiny.onnx"}, list(builtin_recipes()), out="onnx")


TORCH = {"factory": "factory.py:build", "weights": "tiny.pt"}


def convert(
    lab: Path, source: dict[str, str], names: list[str], *, out: str, recipe_files: tuple[str, ...] = ()
) -> dict[str, dict[str, Any]]:
    """Run the child; the last event of each recipe, with the path of its artifact as ``out``."""
    recipes = builtin_recipes()
    folder = lab / out
    folder.mkdir()
    work = [
        {
            "recipe": name,
            "options": OPTIONS.get(name, {}),
            "calibration": Samples(lab / "images.npy").to_json(),
            "out": str(folder / (name + (recipes[name].suffix if name in recipes else ".onnx"))),
        }
        for name in names
    ]
    job = {
        "action": "convert",
        "source": {"path": None, "factory": None, "weights": None, "base_dir": str(lab), **source},
        "input_shape": SHAPE,
        "recipe_files": [str(lab / file) for file in recipe_files],
        "work": work,
    }
    events = run_child(job, folder)
    assert [event["index"] for event in events if event["event"] == "started"] == list(range(len(work)))
    last = {names[event["index"]]: event for event in events}
    return {entry["recipe"]: {**last[entry["recipe"]], "out": Path(entry["out"])} for entry in work}


def run_child(job: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    (folder / "job.json").write_text(json.dumps(job))
    with (folder / "log").open("w") as log:
        command = [sys.executable, "-m", "harness.variants.child", str(folder / "job.json")]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=log, text=True, check=False)
    assert done.returncode == 0, (folder / "log").read_text()[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def answers(made: dict[str, Any], images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run an artifact in its runtime, all images in one batch."""
    x = images if made["layout"] == "nhwc" else np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    runners: dict[str, Callable[[Path, Any], Any]] = {".tflite": _litert, ".onnx": _onnxruntime, ".pt": _torch}
    return runners[made["out"].suffix](made["out"], x)


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
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def _torch(path: Path, x: Any) -> Any:
    import warnings

    import torch

    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        return torch.jit.load(path)(torch.from_numpy(x)).numpy()


def check_answers(lab: Path, made: dict[str, dict[str, Any]], wanted: str) -> None:
    """Float artifacts answer as the source does; quantized ones nearly."""
    images = np.load(lab / "images.npy")
    expected = np.load(lab / wanted)
    for name, entry in made.items():
        if entry["event"] == "made":
            atol = 1e-4 if name.endswith("fp32") else 0.05
            np.testing.assert_allclose(answers(entry, images), expected, atol=atol, rtol=0, err_msg=name)


def test_keras_becomes_everything_but_torch(lab: Path, keras_made: dict[str, dict[str, Any]]) -> None:
    """A Keras model is made by every recipe except torch's, and int16x8, which has no HARD_SWISH; each says why."""
    refused = {name: entry["message"] for name, entry in keras_made.items() if entry["event"] != "made"}
    assert refused.keys() == {"int16x8", "torch_fp32", "torch_int8"}
    assert "16x8" in refused["int16x8"]
    assert "HARD_SWISH" in refused["int16x8"]
    assert refused["torch_int8"] == "a Keras model has no PyTorch module"
    assert not keras_made["int16x8"]["out"].exists()
    check_answers(lab, keras_made, "keras_answers.npy")


def test_a_torch_factory_becomes_everything(lab: Path, torch_made: dict[str, dict[str, Any]]) -> None:
    """A PyTorch factory is made by all recipes; TFLite inputs are NHWC, the others NCHW; every batch is dynamic."""
    assert {entry["event"] for entry in torch_made.values()} == {"made"}
    assert all((entry["layout"] == "nhwc") == (entry["out"].suffix == ".tflite") for entry in torch_made.values())
    check_answers(lab, torch_made, "torch_answers.npy")


def test_onnx_becomes_tflite_and_onnx(lab: Path, onnx_made: dict[str, dict[str, Any]]) -> None:
    """An .onnx file is made by all but the torch recipes; ort_fp32 keeps every byte; the file is not touched."""
    refused = {name for name, entry in onnx_made.items() if entry["event"] != "made"}
    assert refused == {"torch_fp32", "torch_int8"}
    original = (lab / "torch" / "ort_fp32.onnx").read_bytes()
    assert onnx_made["ort_fp32"]["out"].read_bytes() == original
    assert (lab / "tiny.onnx").read_bytes() == original
    check_answers(lab, onnx_made, "torch_answers.npy")


def test_names_tell_the_type_of_input_and_output(torch_made: dict[str, dict[str, Any]]) -> None:
    """int8 takes and answers int8, int8_uint8_io uint8, int16x8 int16, and the others float32."""
    expected = {"int8": np.int8, "int8_uint8_io": np.uint8, "int16x8": np.int16} | dict.fromkeys(
        TFLITE_FLOAT, np.float32
    )
    for name, dtype in expected.items():
        runner = _interpreter(torch_made[name]["out"])
        assert runner.get_input_details()[0]["dtype"] is dtype, name
        assert runner.get_output_details()[0]["dtype"] is dtype, name


def test_a_finished_tflite_is_taken_as_it_is(lab: Path, torch_made: dict[str, dict[str, Any]]) -> None:
    """fp32 copies a .tflite byte for byte; quantizing it again is refused with the reason."""
    (lab / "finished.tflite").write_bytes(torch_made["fp32"]["out"].read_bytes())
    made = convert(lab, {"path": "finished.tflite"}, ["fp32", "int8", "ort_fp32"], out="finished")
    assert made["fp32"]["out"].read_bytes() == (lab / "finished.tflite").read_bytes()
    assert made["fp32"]["layout"] == "nhwc"
    assert made["int8"]["event"] == "refused"
    assert "taken as it is" in made["int8"]["message"]
    assert made["ort_fp32"]["event"] == "refused"


def test_users_recipes_run_beside_the_builtin_ones(lab: Path, onnx_made: dict[str, dict[str, Any]]) -> None:
    """A user's recipe gets its options; one that raises fails alone, leaves no file, and its prints go to the log."""
    names = ["crashing", "mine"]
    made = convert(lab, {"path": "tiny.onnx"}, names, out="users", recipe_files=("users_recipe.py",))
    assert made["crashing"]["error_type"] == "ZeroDivisionError"
    assert not made["crashing"]["out"].exists()
    assert made["mine"]["event"] == "made"
    log = (lab / "users" / "log").read_text()
    assert "a library talks" in log
    assert "by me" in log


@pytest.mark.parametrize(
    ("source", "recipe", "sentence"),
    [
        ({"path": "absent.keras"}, "fp32", "absent.keras: no such file"),
        ({"path": "empty.onnx"}, "ort_fp32", "empty.onnx: the file is empty"),
        ({"path": "cut.onnx"}, "ort_fp32", "cut.onnx: cannot be read as an ONNX model"),
        ({"path": "cut.keras"}, "fp32", "cut.keras: cannot be read as a Keras model"),
        ({"path": "words.tflite"}, "fp32", "words.tflite: not a TFLite file"),
        ({"path": "cut.tflite"}, "fp32", "cut.tflite: cannot be read as a TFLite file"),
        ({"path": "model.pkl"}, "fp32", "model.pkl: models are read from .keras, .h5, .onnx, .tflite"),
        ({"path": "large.onnx"}, "ort_fp32", "input is (1, 28, 28), but the dataset's samples are (16, 16, 1)"),
        ({**TORCH, "weights": "absent.pt"}, "torch_fp32", "absent.pt: no such file"),
        ({**TORCH, "weights": "other.pt"}, "torch_fp32", "other.pt: the weights do not fit factory.py:build: Missing"),
        ({**TORCH, "weights": "pickled.pt"}, "torch_fp32", "pickled.pt: not plain weights but a pickle"),
        ({**TORCH, "factory": "factory.py:buidl"}, "torch_fp32", "has no function 'buidl'"),
        ({**TORCH, "factory": "factory.py:raising"}, "torch_fp32", "raised RuntimeError: no such architecture"),
        ({**TORCH, "factory": "absent.py:build"}, "torch_fp32", "absent.py: no such file"),
        ({**TORCH, "factory": "factory"}, "torch_fp32", "'factory' does not name a function"),
    ],
)
def test_a_wrong_source_is_named(
    damaged: Path, source: dict[str, str], recipe: str, sentence: str, request: pytest.FixtureRequest
) -> None:
    """A missing, empty, damaged or unfitting source is a SourceError that names the file and what is wrong with it."""
    made = convert(damaged, source, [recipe], out=f"wrong{request.node.callspec.indices['source']}")[recipe]
    assert made["event"] == "failed"
    assert made["error_type"] == "SourceError"
    assert sentence in made["message"]
    assert not made["out"].exists()


@pytest.fixture(scope="module")
def damaged(lab: Path, torch_made: dict[str, dict[str, Any]]) -> Path:
    """The lab, with files that are cut in half, empty, or of another model."""
    (lab / "empty.onnx").touch()
    (lab / "words.tflite").write_text("not a model at all")
    whole = {"cut.onnx": torch_made["ort_fp32"]["out"], "cut.keras": lab / "tiny.keras"}
    whole["cut.tflite"] = torch_made["fp32"]["out"]
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
    assert run_child(job, tmp_path) == [{"event": "progress", "text": "3"}, {"event": "made"}]
    assert (tmp_path / "weights").read_bytes() == b"weights"
    (failed,) = run_child({**job, "trainer": "trainer.py:failing"}, tmp_path)
    assert failed["error_type"] == "SourceError"
    assert "trainer.py:failing raised ValueError: no convergence" in failed["message"]
    assert not (tmp_path / "weights").exists()
