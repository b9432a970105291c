"""Convert a PyTorch, a Keras and an ONNX model in the environment that runs this script, by a user's own commands.

``make test-unpinned`` runs it where the extras were installed without constraints. It needs no package but those of
the extras: run it as ``python tests/unpinned.py FOLDER``.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

MODELS_YAML = """\
version: 1
datasets:
  digits: {kind: digits, classes: 10}
models:
  from_torch:
    source: {factory: "torch_net.py:build", weights: torch_net.pt}
    dataset: digits
    variants:
      fp32:
      int8:
      weight_only_int8:
      ort_fp32:
      ort_int8_minmax:
      pruned: {options: {epochs: 1, sparsity: 0.1, learning_rate: 0.00001}}
      torch_fp32:
  from_keras:
    source: {path: net.keras}
    dataset: digits
    variants:
      fp32:
      int8:
      weight_only_int8:
      ort_fp32:
      ort_int8_minmax:
      pruned: {options: {epochs: 1, sparsity: 0.1, learning_rate: 0.00001}}
  from_onnx:
    source: {path: net.onnx}
    dataset: digits
    variants:
      fp32:
      int8:
      weight_only_int8:
      ort_fp32:
      ort_int8_minmax:
budgets:
  - {max_drop_points: 2.0}
  - {model: from_keras, min_delegated_percent: 0}
"""
TORCH_NET = """
from torch import nn

def build():
    return nn.Sequential(nn.Conv2d(1, 8, 3, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10))
"""
#: Random features and a readout by least squares: nothing is trained, and quantization has something to lose.
READOUT = """
import numpy as np
from edgeworthy.datasets.digits import load_digits
digits = load_digits()
images, labels = digits["train_x"], digits["train_y"]

def readout(features):
    ones = np.concatenate([features, np.ones((len(features), 1))], axis=1).astype(np.float64)
    solved = np.linalg.solve(ones.T @ ones + np.eye(ones.shape[1]), ones.T @ np.eye(10)[labels])
    return solved[:-1].astype(np.float32), solved[-1].astype(np.float32)
"""
MAKE_TORCH = """
import torch
from torch_net import build
torch.manual_seed(0)
net = build().eval()
with torch.no_grad():
    weight, bias = readout(net[:3](torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy())
    net[3].weight.copy_(torch.from_numpy(weight.T.copy()))
    net[3].bias.copy_(torch.from_numpy(bias))
torch.save(net.state_dict(), "torch_net.pt")
np.savez("torch_net.npz", **{name.replace(".", "_"): value.numpy() for name, value in net.state_dict().items()})
"""
MAKE_KERAS = """
import keras
keras.utils.set_random_seed(0)
layers = [keras.layers.Conv2D(8, 3, strides=4, activation="relu"), keras.layers.Flatten(), keras.layers.Dense(10)]
net = keras.Sequential([keras.Input((32, 32, 1)), *layers])
layers[2].set_weights(readout(keras.Sequential([keras.Input((32, 32, 1)), *layers[:2]]).predict(images, verbose=0)))
net.save("net.keras")
"""
MAKE_ONNX = """
import onnx
from onnx import helper, numpy_helper
weights = np.load("torch_net.npz")
nodes = [
    helper.make_node("Conv", ["image", "0_weight", "0_bias"], ["mapped"], strides=[4, 4]),
    helper.make_node("Relu", ["mapped"], ["positive"]),
    helper.make_node("Flatten", ["positive"], ["flat"]),
    helper.make_node("Gemm", ["flat", "3_weight", "3_bias"], ["scores"], transB=1),
]
ends = [
    helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
    for name, shape in (("image", ["batch", 1, 32, 32]), ("scores", ["batch", 10]))
]
tensors = [numpy_helper.from_array(weights[name], name) for name in weights.files]
graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], tensors)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), "net.onnx")
"""
SHOWN = ("torch", "triton", "tensorflow", "keras", "onnx", "onnx2tf", "onnxruntime", "ai-edge-litert", "numpy")


def main(folder: Path) -> int:
    """Make the models in ``folder``, judge their variants, and say what passed; the exit status."""
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": ""}
    print("with", ", ".join(f"{name} {_version(name)}" for name in SHOWN), flush=True)
    benchmarks = folder / "benchmarks"
    subprocess.run([Path(sys.executable).with_name("edgeworthy"), "init"], cwd=folder, env=environment, check=True)
    (folder / "pytest.ini").write_text("[pytest]\n")  # a repository of its own: not the one around it, and its settings
    (benchmarks / "models.yaml").write_text(MODELS_YAML)
    (benchmarks / "torch_net.py").write_text(TORCH_NET)
    for code in (MAKE_TORCH, MAKE_KERAS, MAKE_ONNX):
        subprocess.run([sys.executable, "-c", READOUT + code], cwd=benchmarks, env=environment, check=True)
    done = subprocess.run([sys.executable, "-m", "pytest", "benchmarks"], cwd=folder, env=environment, check=False)
    return done.returncode or _check(folder)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "absent"


def _check(folder: Path) -> int:
    """Whether every variant passed: pytest is green with a refused one, too."""
    table = folder / "results" / "latest" / "cells.csv"
    with table.open(encoding="utf-8", newline="") as stream:
        verdicts = [{name: row[name] for name in ("model", "variant", "status")} for row in csv.DictReader(stream)]
    wrong = [verdict for verdict in verdicts if verdict["status"] not in ("pass", "rejected")]
    for verdict in wrong:
        print(verdict)
    print(f"{len(verdicts) - len(wrong)} of {len(verdicts)} as expected")
    return int(bool(wrong) or not verdicts)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
