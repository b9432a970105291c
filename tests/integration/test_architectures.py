"""Architectures that converters trip over: each becomes the same model in every runtime, or is refused with the reason."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgeworthy.variants.models.model_outputs import of_artifact

from tests.integration.conversion_jobs import run_jobs, write_job
from tests.integration.test_recipes import answers_one_by_one

SHAPE = (16, 8, 3)
RECIPES = ("fp32", "ort_fp32")

MAKE_KERAS = """
import keras, numpy as np
from keras import layers as L
images = np.load("images.npy")
keras.utils.set_random_seed(0)

def save(name, build, shape=(16, 8, 3), batch=None):
    image = keras.Input(shape, batch_size=batch)
    model = keras.Model(image, build(image))
    model.save(f"{name}.keras")
    np.save(f"{name}.npy", np.concatenate([model(image[None], training=False) for image in images]))

def scores(x):
    return L.Dense(4)(L.Flatten()(x))

def normalized(x):
    normalization = L.Normalization()
    normalization.adapt(images)
    return scores(normalization(x))

rows = L.Reshape((16, 24))
save("lstm", lambda x: L.Dense(4)(L.LSTM(8)(rows(x))))
save("lstm_of_one", lambda x: L.Dense(4)(L.LSTM(8)(rows(x))), batch=1)
save("gru", lambda x: L.Dense(4)(L.GRU(8)(rows(x))))
save("both_ways", lambda x: L.Dense(4)(L.Bidirectional(L.LSTM(6))(rows(x))))
save("transposed", lambda x: scores(L.Conv2DTranspose(4, 3, strides=2, padding="same")(x)))
save("transposed_valid", lambda x: scores(L.Conv2DTranspose(4, 3, strides=2, padding="valid")(x)))
save("augmenting", lambda x: scores(L.Conv2D(4, 3)(L.RandomRotation(0.2)(L.RandomFlip()(x)))))
save("normalizing", normalized)
save("open_sizes", lambda x: L.Dense(4)(L.GlobalMaxPooling2D()(L.Conv2D(6, 3, strides=2)(x))), (None, None, 3))
"""

NETS = """
import torch
from torch import nn

class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.rows, self.scores = kind(24, 8, batch_first=True), nn.Linear(8, 4)

    def forward(self, x):
        return self.scores(self.rows(x.permute(0, 2, 3, 1).reshape(x.shape[0], 16, 24))[0][:, -1])

def lstm():
    return Recurrent(nn.LSTM)

def gru():
    return Recurrent(nn.GRU)

class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.among, self.scores = nn.MultiheadAttention(24, 4, batch_first=True), nn.Linear(24, 4)

    def forward(self, x):
        rows = x.permute(0, 2, 3, 1).reshape(x.shape[0], 16, 24)
        return self.scores(self.among(rows, rows, rows, need_weights=False)[0].mean(1))

def attention():
    return Attention()

def exact_gelu():
    return nn.Sequential(nn.Flatten(), nn.Linear(384, 16), nn.GELU(), nn.Linear(16, 4))

def transposed():
    return nn.Sequential(nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1), nn.Flatten(), nn.Linear(2048, 4))

class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.bright, self.dark = nn.Linear(384, 4), nn.Linear(384, 4)

    def forward(self, x):
        return (self.bright if x.mean() > 0.5 else self.dark)(x.flatten(1))

def branching():
    return Branching()

class Dropping(nn.Module):
    def __init__(self):
        super().__init__()
        self.scores = nn.Linear(384, 4)

    def forward(self, x):
        return self.scores(nn.functional.dropout(x.flatten(1), 0.3))

def dropping():
    return Dropping()
"""

MAKE_TORCH = """
import nets, numpy as np, torch
images = torch.from_numpy(np.load("images.npy").transpose(0, 3, 1, 2).copy())
for name in ("lstm", "gru", "attention", "exact_gelu", "transposed", "branching", "dropping"):
    torch.manual_seed(0)
    net = getattr(nets, name)().eval()
    torch.save(net.state_dict(), f"torch_{name}.pt")
    with torch.no_grad():
        np.save(f"torch_{name}.npy", np.concatenate([net(image[None]) for image in images]))
"""

MAKE_ONNX = """
import numpy as np, onnx, onnxruntime
from onnx import TensorProto, helper, numpy_helper
images = np.load("images.npy").transpose(0, 3, 1, 2).copy()
weights = np.random.default_rng(0).standard_normal((384, 4)).astype(np.float32)
halves = np.random.default_rng(1).standard_normal((384, 4)).astype(np.float32)
image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 16, 8])
scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 4])
flat = helper.make_node("Flatten", ["image"], ["flat"])

def save(name, opset, nodes, constants):
    graph = helper.make_graph(nodes, name, [image], [scores], [numpy_helper.from_array(v, k) for k, v in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, f"{name}.onnx")
    session = onnxruntime.InferenceSession(f"{name}.onnx")
    np.save(f"{name}.npy", np.concatenate([session.run(None, {"image": each[None]})[0] for each in images]))

product = helper.make_node("MatMul", ["flat", "weights"], ["scores"])
pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["batch", 3, 16, 8])
numbers = helper.make_node("Cast", ["pixels"], ["numbers"], to=TensorProto.FLOAT)
divided = helper.make_node("Div", ["numbers", "levels"], ["image"])
constants = [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(np.array(255, np.float32), "levels")]
graph = helper.make_graph([numbers, divided, flat, product], "bytes", [pixels], [scores], constants)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "bytes.onnx")
bytes_ = np.random.default_rng(2).integers(0, 256, (64, 16, 8, 3)).astype(np.uint8)
np.save("bytes_images.npy", bytes_)
session = onnxruntime.InferenceSession("bytes.onnx")
np.save("bytes.npy", session.run(None, {"pixels": bytes_.transpose(0, 3, 1, 2).copy()})[0])
save("old_opset", 8, [flat, product], {"weights": weights})
save("layout_in_graph", 17, [
    helper.make_node("Transpose", ["image"], ["last"], perm=[0, 2, 3, 1]),
    helper.make_node("Flatten", ["last"], ["flat"]), product,
], {"weights": weights})

def branch(name, constant):
    return helper.make_graph([helper.make_node("MatMul", ["flat", constant], [name])], name,
        [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)])

save("branches", 17, [
    flat, helper.make_node("ReduceMean", ["image"], ["mean"], keepdims=0), helper.make_node("Less", ["mean", "half"], ["dark"]),
    helper.make_node("If", ["dark"], ["scores"], then_branch=branch("then", "weights"), else_branch=branch("other", "halves")),
], {"weights": weights, "halves": halves, "half": np.array(0.5, np.float32)})
"""

#: Name of a source and of what its own framework gives for the images, one by one -> the source, and its recipes.
SAME: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    **{
        name: ({"path": f"{name}.keras"}, RECIPES)
        for name in (
            "lstm",
            "lstm_of_one",
            "gru",
            "both_ways",
            "transposed",
            "transposed_valid",
            "augmenting",
            "normalizing",
            "open_sizes",
        )
    },
    **{
        f"torch_{name}": ({"factory": f"nets.py:{name}", "weights": f"torch_{name}.pt"}, RECIPES)
        for name in ("lstm", "gru", "attention", "exact_gelu", "transposed")
    },
    **{name: ({"path": f"{name}.onnx"}, RECIPES) for name in ("old_opset", "layout_in_graph")},
    "branches": ({"path": "branches.onnx"}, ("ort_fp32",)),
}
#: Takes pixels as bytes, and divides them itself.
BYTES = {"bytes": ({"path": "bytes.onnx"}, ("fp32", "int8"))}
#: Name of a source -> the source, and words of why it is refused.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    name: ({"factory": f"nets.py:{name}", "weights": f"torch_{name}.pt"}, words)
    for name, words in {
        "branching": "the module branches on the values of its input",
        "dropping": "the source differs from itself",
    }.items()
}
WORK = {**SAME, **BYTES, **{name: (source, RECIPES) for name, (source, _) in REFUSED.items()}}
Events = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All sources, and what each gives; half of the images are dark and half bright."""
    folder = tmp_path_factory.mktemp("architectures")
    images = np.random.default_rng(0).random((16, *SHAPE), dtype=np.float32)
    np.save(
        folder / "images.npy", images * np.where(np.arange(16) < 8, 0.6, 1.4)[:, None, None, None].astype(np.float32)
    )
    (folder / "nets.py").write_text(NETS)
    made = [
        subprocess.Popen([sys.executable, "-c", code], cwd=folder, stderr=subprocess.DEVNULL)
        for code in (MAKE_KERAS, MAKE_TORCH, MAKE_ONNX)
    ]
    assert [process.wait() for process in made] == [0, 0, 0]
    return folder


@pytest.fixture(scope="module")
def converted(models: Path) -> Events:
    """How each recipe of each source ended, with the artifact's path as ``out``."""
    jobs = []
    for name, (source, recipes) in WORK.items():
        outs = {recipe: artifact(models, name, recipe) for recipe in recipes}
        own = models / f"{name}_images.npy"
        images = own if own.exists() else models / "images.npy"
        jobs.append(write_job(models / f"{name}.json", source, outs, images, classes=4))
    told = run_jobs(jobs, models / "log")
    return {
        name: [
            {**event, "out": artifact(models, name, WORK[name][1][event["index"]])}
            for event in events
            if event["event"] in ("made", "refused", "failed")
        ]
        for name, events in told.items()
    }


def artifact(models: Path, name: str, recipe: str) -> Path:
    return models / f"{name}-{recipe}{'.onnx' if recipe.startswith('ort') else '.tflite'}"


@pytest.mark.parametrize("name", SAME)
def test_it_becomes_the_same_model_in_each_runtime(models: Path, converted: Events, name: str) -> None:
    """One image at a time, as a device runs them, within 1e-4 of the spread of what the framework gives."""
    images, expected = np.load(models / "images.npy"), np.load(models / f"{name}.npy")
    assert len(converted[name]) == len(SAME[name][1])
    for made in converted[name]:
        assert made["event"] == "made", made
        given = answers_one_by_one(made, images)
        np.testing.assert_allclose(given, expected, atol=1e-4 * np.ptp(expected), rtol=0, err_msg=str(made["out"]))


@pytest.mark.parametrize("made", [0, 1], ids=BYTES["bytes"][1])
def test_bytes_are_fed_and_calibrated_as_bytes(models: Path, converted: Events, made: int) -> None:
    """An input of uint8 without a scale: the float graph is the same, int8 has the same best classes."""
    event = converted["bytes"][made]
    assert event["event"] == "made", event
    images, expected = np.load(models / "bytes_images.npy").astype(np.float32), np.load(models / "bytes.npy")
    given = of_artifact(event["out"], event["layout"])(images)
    error = np.abs(given - expected).max() / np.ptp(expected)
    assert error < (1e-4 if event["out"].name == "bytes-fp32.tflite" else 0.05)


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_for_its_own_fault(converted: Events, name: str) -> None:
    """A trace keeps one branch of a module, and with what is random nothing can be compared: no artifact is made."""
    assert len(converted[name]) == len(RECIPES)
    for made in converted[name]:
        assert made["event"] != "made"
        assert REFUSED[name][1] in made["message"], made
        assert not made["out"].exists()
