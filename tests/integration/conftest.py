"""A small real project for inner pytest runs: a linear ONNX model on scikit-learn's digits, measured in seconds."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from edgeworthy.reports.frames import RunFrames, load_run
from onnx import TensorProto, helper, numpy_helper

from tests.commands import PYTEST, Ended, edgeworthy, ended

#: An inner run, without plugins that a user need not have; that of hypothesis takes half a second.
#: Other tests run on the same cores: what they take from a model of some microseconds is no change of the device.
BESIDE_OTHER_TESTS = {"latency_floor_us": 10_000}
REPOSITORY = Path(__file__).parents[2]
SUITES = sorted((REPOSITORY / "benchmarks").glob("test_*.py"))


@dataclass
class Project:
    """A user's repository: edit ``models`` and ``devices`` (what the YAML files say), then ``run()``."""

    root: Path
    store: Path
    models: dict[str, Any] = field(default_factory=dict)
    devices: dict[str, Any] = field(default_factory=dict)

    def write(self) -> None:
        """Write both YAML files as they now stand."""
        (self.root / "benchmarks" / "models.yaml").write_text(yaml.safe_dump(self.models, sort_keys=False))
        (self.root / "devices.yaml").write_text(yaml.safe_dump(self.devices, sort_keys=False))

    def command(self, *arguments: str) -> list[str]:
        """The command of an inner run, for tests that start it themselves."""
        return [*PYTEST, "benchmarks", *arguments]

    def environment(self) -> dict[str, str]:
        """The inner run's environment: one store for all of them, so that artifacts are made once."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "EDGE_"))}
        return {**inherited, "EDGE_STORE": str(self.store), "COLUMNS": "200"}

    def run(self, *arguments: str, timeout: float = 300) -> Ended:
        """Run the suite as a user would; standard output and standard error are captured."""
        self.write()
        return ended(self.command(*arguments), self.root, self.environment(), timeout)

    def edgeworthy(self, *arguments: str, timeout: float = 300) -> Ended:
        """A command of edgeworthy in the project's folder."""
        return edgeworthy(*arguments, cwd=self.root, env=self.environment(), timeout=timeout)

    def add_recipes(self, code: str) -> None:
        """Give the repository a recipe file of its own."""
        (self.root / "benchmarks" / "recipes.py").write_text(code)
        self.models["recipe_files"] = ["recipes.py"]

    def result(self) -> RunFrames:
        """The newest run, read back."""
        return load_run(self.root / "results" / "latest")

    def message(self, variant: str, model: str = "linear", target: str = "host:cpu") -> str:
        """Why the variant's cell has its status, in the newest run."""
        cells = self.result().cells
        chosen = (cells.model == model) & (cells.variant == variant) & (cells.target == target)
        return str(cells.loc[chosen, "message"].item())

    def unsound(self) -> dict[str, str]:
        """Why each cell that neither passed nor had to be rejected has its status, in the newest run."""
        cells = self.result().cells
        return {
            f"{row.model}/{row.variant}/{row.target}": row.message
            for row in cells[~cells.status.isin(["pass", "rejected"])].itertuples()
        }

    def statuses(self) -> dict[str, str]:
        """``model/variant/target`` -> status of the newest run."""
        cells = self.result().cells
        return {f"{row.model}/{row.variant}/{row.target}": row.status for row in cells.itertuples()}


def linear_model(path: Path, weights: np.ndarray, bias: np.ndarray, side: int = 8) -> None:
    """An ONNX classifier, (batch, 1, side, side) -> (batch, classes), that is one matrix product."""
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "weights", "bias"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, side, side])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", weights.shape[1]])],
        [
            numpy_helper.from_array(weights.astype(np.float32), "weights"),
            numpy_helper.from_array(bias.astype(np.float32), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def linear_tflite(weights: np.ndarray, bias: np.ndarray, side: int = 8) -> bytes:
    """The same classifier as a TFLite flatbuffer, (1, side, side, 1) -> (1, classes), without a second of TensorFlow."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    def tensor(name: str, shape: tuple[int, ...], buffer: int) -> Any:
        made = schema.TensorT()
        made.name, made.shape, made.buffer, made.type = name, list(shape), buffer, schema.TensorType.FLOAT32
        return made

    def buffer(values: np.ndarray | None = None) -> Any:
        made = schema.BufferT()
        if values is not None:
            made.data = np.frombuffer(np.ascontiguousarray(values, np.float32).tobytes(), np.uint8)
        return made

    pixels, classes = weights.shape
    product, code, graph, model = schema.OperatorT(), schema.OperatorCodeT(), schema.SubGraphT(), schema.ModelT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version = 1
    product.inputs, product.outputs = [0, 1, 2], [3]
    product.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    product.builtinOptions = schema.FullyConnectedOptionsT()
    graph.tensors = [
        tensor("image", (1, side, side, 1), 0),
        tensor("weights", (classes, pixels), 1),
        tensor("bias", (classes,), 2),
        tensor("scores", (1, classes), 0),
    ]
    graph.inputs, graph.outputs, graph.operators = [0], [3], [product]
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.signatureDefs = [_signature(schema)]
    model.buffers = [buffer(), buffer(weights.T), buffer(bias)]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _signature(schema: Any) -> Any:
    """serving_default, from the first tensor to the last."""
    made, ends = schema.SignatureDefT(), [schema.TensorMapT(), schema.TensorMapT()]
    for end, name, index in zip(ends, ("image", "scores"), (0, 3), strict=True):
        end.name, end.tensorIndex = name, index
    made.signatureKey, made.inputs, made.outputs, made.subgraphIndex = "serving_default", ends[:1], ends[1:], 0
    return made


@dataclass(frozen=True)
class Digits:
    """8x8 digits and the least-squares classifier for them (about 93 % on the held-out ones)."""

    arrays: dict[str, np.ndarray]
    weights: np.ndarray
    bias: np.ndarray


def make_project(root: Path, digits: Digits, store: Path) -> Project:
    """A repository with the embedded suites, one model, three variants and one target; green as it is."""
    benchmarks = root / "benchmarks"
    benchmarks.mkdir()
    for suite in SUITES:
        shutil.copy(suite, benchmarks)
    (root / "pytest.ini").write_text(
        "[pytest]\naddopts = --strict-markers --strict-config\nfilterwarnings = error\n"
        "edge_diagnose = false\n"  # test_diagnose.py switches it on: looking into seeded faults takes seconds each
        "edge_history = off\n"  # test_history.py switches it on
    )
    np.savez(benchmarks / "digits.npz", **digits.arrays)
    linear_model(benchmarks / "linear.onnx", digits.weights, digits.bias)
    made = Project(root, store)
    made.models = {
        "version": 1,
        "datasets": {"digits": {"kind": "npz", "path": "digits.npz", "classes": 10}},
        "models": {
            "linear": {
                "source": {"path": "linear.onnx"},
                "dataset": "digits",
                "reference": "ort_fp32",
                "variants": {"ort_fp32": {}, "ort_dynamic": {}, "ort_int8_minmax": {}},
            }
        },
        "budgets": [{"max_drop_points": 2.0, "max_p50_ms": 50}],
        "latency": {"loads": 3, "samples_per_load": 10, "min_load_ms": 0},
    }
    made.devices = {"version": 1, "devices": {"host": {"kind": "host", "backends": {"cpu": {"threads": 1}}}}}
    return made
