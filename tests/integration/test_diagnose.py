"""``edgeworthy diagnose`` names the layer that was made bad, first, and what it proposes passes the gate."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

from tests.integration.conftest import make_project
from tests.onnx_files import onnx_file

if TYPE_CHECKING:
    from tests.integration.conftest import Digits, Project

#: Two Keras classifiers of random features. In ``outlier`` one channel of the second convolution is 300 times as large,
#: and the third takes that back: nothing changes in float, and no int8 range fits all its channels.
MAKE_MODELS = """
import sys, keras, numpy as np
from keras import layers as L
data = np.load("digits.npz")

def classifier(activation, factor, path):
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 1))
    x = L.Conv2D(8, 3, padding="same", activation=activation, name="first")(image)
    x = L.Conv2D(16, 3, strides=2, padding="same", activation=activation, name="second")(x)
    x = L.Conv2D(32, 3, padding="same", activation=activation, name="third")(x)
    features = keras.Model(image, L.Flatten()(x))
    x, y = data["train_x"], np.eye(10)[data["train_y"]]
    inside = np.c_[features.predict(x, verbose=0), np.ones(len(x))]
    solution = np.linalg.solve(inside.T @ inside + 1e-3 * np.eye(inside.shape[1]), inside.T @ y)
    for name, scale, channel in (("second", factor, np.s_[..., 0]), ("third", 1 / factor, np.s_[:, :, 0])):
        kernel, bias = features.get_layer(name).get_weights()
        kernel[channel] *= scale
        features.get_layer(name).set_weights([kernel, bias])
    model = keras.Model(image, L.Dense(10, name="readout")(features.output))
    model.get_layer("readout").set_weights([solution[:-1], solution[-1]])
    model.save(path)

classifier("relu", 300.0, "outlier.keras")
classifier("hard_swish", 1.0, "swish.keras")
"""


#: int8 for ONNX Runtime with one activation held to a range: at first the third of four, to an eighth of what it reaches.
CLIPPED = """
import numpy as np, onnxruntime
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from edgeworthy import recipe

class Reader:
    def __init__(self, samples):
        self.left = iter(samples)

    def get_next(self):
        sample = next(self.left, None)
        return None if sample is None else {"image": sample[np.newaxis]}

@recipe("clipped", runtime="onnxruntime", packages=("onnxruntime",), calibrated=True)
def clipped(source, out, *, calibration, tensor: str = "hidden2", highest: float = HIGHEST / 8):
    prepared = source.scratch / "clipped.onnx"
    quant_pre_process(source.onnx_file(), prepared)
    held = {tensor: [{"rmin": np.float32(0), "rmax": np.float32(highest)}]}
    quantize_static(
        prepared, out, Reader(calibration.transpose(0, 3, 1, 2)), quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QInt8, weight_type=QuantType.QInt8, extra_options={"TensorQuantOverrides": held},
    )
    return source.onnx_layout()
"""

#: int8 calibrated on other values than the dataset's, which the dataset's own checks do not see.
RESCALED = """
from edgeworthy.variants.recipes.onnx_runtime import ort_int8_minmax
from edgeworthy import recipe

@recipe("rescaled", runtime="onnxruntime", packages=("onnxruntime",), calibrated=True)
def rescaled(source, out, *, calibration, factor: float):
    return ort_int8_minmax(source, out, calibration=calibration * factor)
"""

#: A recipe whose file shares no tensor with the model's.
STRANGER = """
import numpy as np, onnx
from onnx import TensorProto, helper, numpy_helper
from edgeworthy import recipe

@recipe("stranger", runtime="onnxruntime", packages=("onnx",))
def stranger(source, out):
    shapes = [("a", ["n", 1, 8, 8]), ("d", ["n", 10])]
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes]
    nodes = [
        helper.make_node("ReduceMean", ["a"], ["b"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Reshape", ["b", "column"], ["c"]),
        helper.make_node("MatMul", ["c", "row"], ["d"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([-1, 1], np.int64), "column"),
        numpy_helper.from_array(np.arange(10, dtype=np.float32)[None], "row"),
    ]
    graph = helper.make_graph(nodes, "stranger", infos[:1], infos[1:], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), out)
    return source.onnx_layout()
"""


def layered_model(path: Path, train_x: np.ndarray, train_y: np.ndarray) -> float:
    """An ONNX classifier of four random layers and a readout fitted to ``train``; what its third layer reaches."""
    randomness, inside = np.random.default_rng(0), train_x.reshape(len(train_x), -1)
    nodes, constants, highest = [helper.make_node("Flatten", ["image"], ["hidden"], axis=1)], [], 0.0
    for index, width in enumerate((48, 48, 48, 48)):
        weights = (randomness.normal(size=(inside.shape[1], width)) / np.sqrt(inside.shape[1] / 2)).astype(np.float32)
        before = f"hidden{index - 1}" if index else "hidden"
        nodes.append(helper.make_node("MatMul", [before, f"weights{index}"], [f"sum{index}"], name=f"product{index}"))
        nodes.append(helper.make_node("Relu", [f"sum{index}"], [f"hidden{index}"], name=f"relu{index}"))
        constants.append(numpy_helper.from_array(weights, f"weights{index}"))
        inside = np.maximum(inside @ weights, 0)
        highest = float(inside.max()) if index == 2 else highest
    readout = np.linalg.lstsq(inside, np.eye(10)[train_y], rcond=None)[0].astype(np.float32)
    nodes.append(helper.make_node("MatMul", ["hidden3", "readout"], ["scores"], name="readout"))
    constants.append(numpy_helper.from_array(readout, "readout"))
    ends = [("image", ["batch", 1, 8, 8]), ("scores", ["batch", 10])]
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in ends]
    graph = helper.make_graph(nodes, "layered", infos[:1], infos[1:], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return highest


def unnamed_model(path: Path, train_x: np.ndarray, train_y: np.ndarray) -> None:
    """An ONNX classifier whose nodes have no names, some of which the quantizer fuses: convolutions with batch
    normalization, a product with a bias. One channel of the first is 300 times as large, and the second takes that back."""
    randomness = np.random.default_rng(0)
    large = np.where(np.arange(8) == 0, 300, 1).astype(np.float32)
    constants: dict[str, np.ndarray] = {
        "kernel0": randomness.normal(size=(8, 1, 3, 3)) / 3,
        "kernel1": randomness.normal(size=(16, 8, 3, 3)) / 9 / large[:, None, None],
        "kernel2": randomness.normal(size=(16, 16, 3, 3)) / 12,
        "kernel3": randomness.normal(size=(16, 16, 3, 3)) / 12,
    }
    nodes, entry = [], "image"
    for index, scale in enumerate((large, *[np.ones(16, np.float32)] * 3)):
        nothing = np.zeros(len(scale))
        batch_norm = {"scale": scale, "shift": nothing, "mean": nothing, "variance": nothing + 1}
        constants |= {f"{name}{index}": value for name, value in batch_norm.items()}
        nodes += [
            helper.make_node("Conv", [entry, f"kernel{index}"], [f"conv{index}"], pads=[1, 1, 1, 1]),
            helper.make_node(
                "BatchNormalization", [f"conv{index}", *(f"{name}{index}" for name in batch_norm)], [f"norm{index}"]
            ),
            helper.make_node("Relu", [f"norm{index}"], [f"hidden{index}"]),
        ]
        entry = f"hidden{index}"
    nodes.append(helper.make_node("Flatten", [entry], ["flat"], axis=1))
    features = _session(_classifier(nodes, constants, ("flat", ["batch", 1024]))).run(None, {"image": train_x})[0]
    inside = np.c_[features, np.ones(len(features))]
    readout = np.linalg.solve(inside.T @ inside + 1e-3 * np.eye(inside.shape[1]), inside.T @ np.eye(10)[train_y])
    constants |= {"readout": readout[:-1], "bias": readout[-1]}
    nodes += [
        helper.make_node("MatMul", ["flat", "readout"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["scores"]),
    ]
    onnx.save(_classifier(nodes, constants, ("scores", ["batch", 10])), path)


def _classifier(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], end: tuple[str, list[Any]]) -> Any:
    ends = [("image", ["batch", 1, 8, 8]), end]
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in ends]
    tensors = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "unnamed", infos[:1], infos[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _session(model: Any) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, digits: Digits, shared_store: Path) -> Project:
    """A repository with both models, float and int8."""
    from sklearn.datasets import load_digits

    project = make_project(tmp_path_factory.mktemp("diagnose"), digits, shared_store)
    benchmarks = project.root / "benchmarks"
    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))[
        :1000
    ]  # those that the evaluation samples are not of
    train = {"train_x": (found.images[order] / 16.0).astype(np.float32)[..., None], "train_y": found.target[order]}
    np.savez(benchmarks / "digits.npz", **digits.arrays, **train)
    subprocess.run([sys.executable, "-c", MAKE_MODELS], cwd=benchmarks, check=True, capture_output=True, timeout=300)
    for name in ("outlier", "swish"):
        project.models["models"][name] = {
            "source": {"path": f"{name}.keras"},
            "dataset": "digits",
            "variants": {"fp32": None, "int8": None},
        }
    highest = layered_model(benchmarks / "layered.onnx", train["train_x"], train["train_y"])
    project.add_recipes(CLIPPED.replace("HIGHEST", repr(highest)) + RESCALED)
    project.models["models"]["layered"] = {
        "source": {"path": "layered.onnx"},
        "dataset": "digits",
        "reference": "ort_fp32",
        "variants": {
            "ort_fp32": None,
            "clipped": None,
            "clipped_output": {"recipe": "clipped", "options": {"tensor": "scores", "highest": 0.1}},
        },
    }
    project.models["models"]["outlier_onnx"] = {
        "source": {"path": "outlier.keras"},
        "dataset": "digits",
        "reference": "ort_fp32",
        "variants": {"ort_fp32": None},
    }
    dark = {name: values / 255 if name.endswith("_x") else values for name, values in digits.arrays.items()}
    np.savez(benchmarks / "dark.npz", **dark)
    project.models["datasets"]["dark"] = {"kind": "npz", "path": "dark.npz", "classes": 10}
    for name, dataset, factor in (("calibration_twice", "digits", 1 / 255), ("evaluation_twice", "dark", 255.0)):
        project.models["models"][name] = {
            "source": {"path": "layered.onnx"},
            "dataset": dataset,
            "expect_weak_reference": dataset == "dark",
            "reference": "ort_fp32",
            "variants": {"ort_fp32": None, "rescaled": {"options": {"factor": factor}}},
        }
    unnamed_model(benchmarks / "unnamed.onnx", train["train_x"].transpose(0, 3, 1, 2), train["train_y"])
    project.models["models"]["unnamed"] = {
        "source": {"path": "unnamed.onnx"},
        "dataset": "digits",
        "reference": "ort_fp32",
        "variants": {"ort_fp32": None, "ort_int8_minmax": None},
    }
    # Where a processor has no dot product of bytes, ONNX Runtime's int8 kernels saturate: 3 pp of what is left in int8.
    project.models["budgets"].append({"model": "layered", "max_drop_points": 8.0})
    project.write()
    return project


def diagnosis(project: Project, *arguments: str) -> dict[str, Any]:
    done = project.edgeworthy("diagnose", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def node_data(project: Project, model: str, variant: str) -> dict[str, dict[str, Any]]:
    """What ``--node-data`` writes beside the artifact: name of a file -> a node's output -> its value."""
    done = project.edgeworthy("diagnose", model, variant, "--node-data", "nodes")
    assert done.returncode == 0, done.stderr
    files = {
        path.name.split(".")[-3]: path for path in (project.root / "nodes").glob(f"{model}-{variant}.*.nodes.json")
    }
    assert ("no times of nodes: " in done.stderr) == ("time-ms" not in files)
    contents = {name: json.loads(path.read_text())["results"] for name, path in files.items()}
    return {name: {tensor: each["value"] for tensor, each in found.items()} for name, found in contents.items()}


def worst(found: dict[str, Any]) -> dict[str, Any]:
    layer: dict[str, Any] = max(found["traced"]["layers"], key=lambda layer: layer["share_percent"])
    return layer


def test_outlier_channel_is_named_first_and_the_proposal_passes(repository: Project) -> None:
    """One channel of one layer spoils the range of all: that layer leads; left float, the variant passes the gate."""
    found = diagnosis(repository, "outlier", "int8")
    assert "second" in worst(found)["tensor"]
    assert found["findings"][0]["kind"] == "layer"
    assert "CONV_2D" in found["findings"][0]["message"]
    assert "channels are dead" in found["findings"][0]["message"]
    assert found["traced"]["layers"][0]["op"] == "input"

    passes_with(repository, "outlier", found)
    done = repository.run("--edge-model", "outlier", "-k", "accuracy and int8", "-o", "edge_diagnose=true")
    assert "FAILED benchmarks/test_accuracy.py::test_accuracy[outlier-int8-host:cpu]" in done.stdout
    assert repository.statuses()["outlier/int8_mixed/host:cpu"] == "pass", done.stdout

    line = next(line for line in done.stdout.splitlines() if line.startswith("edgeworthy: outlier/int8/host:cpu: "))
    assert found["findings"][0]["message"] in line
    written = repository.root / "results" / "latest" / "diagnosis"
    assert json.loads((written / "outlier+int8+host@cpu.json").read_text())["findings"] == found["findings"]
    assert "second" in (written / "outlier+int8+host@cpu.md").read_text()
    assert [path.name for path in sorted(written.iterdir())] == [
        f"outlier+int8+host@cpu.{end}" for end in ("json", "md")
    ]
    exported = repository.edgeworthy("export", "outlier", "int8", "--even-if-failed", "--to", "exported")
    assert exported.returncode == 0, exported.stderr
    assert "wrote exported/outlier-int8.tflite.error-share-percent.nodes.json" in exported.stdout


def test_hard_swish_off_the_delegate_is_named_first_and_the_proposal_is_delegated(repository: Project) -> None:
    """Its accuracy is fine; what XNNPACK leaves leads, and the proposal runs as one piece."""
    found = diagnosis(repository, "swish", "int8")
    assert found["findings"][0]["kind"] == "delegate"
    assert "3 HARD_SWISH" in found["findings"][0]["message"]
    assert found["traced"]["delegated"]["left"][0]["op"] == "HARD_SWISH"
    assert found["proposal"]["options"] == {"float_ops": ["HARD_SWISH"]}
    accelerators = node_data(repository, "swish", "int8")["accelerator"]
    assert sorted(tensor for tensor, where in accelerators.items() if where == "CPU") == sorted(
        tensor for ops in found["traced"]["delegated"]["left"] for tensor in ops["tensors"]
    )
    assert list(accelerators.values()).count("XNNPACK") == found["traced"]["delegated"]["taken"]

    passes_with(repository, "swish", found)
    done = repository.run("--edge-model", "swish", "--edge-variant", "int8_mixed", "-k", "accuracy or latency")
    assert done.returncode == 0, done.stdout
    kinds = {finding["kind"] for finding in diagnosis(repository, "swish", "int8_mixed")["findings"]}
    assert "delegate" not in kinds


def test_clipped_range_is_named_first_and_the_proposal_passes(repository: Project) -> None:
    """One activation is held to an eighth of its range: that layer leads, with how much is clipped, and is left float."""
    found = diagnosis(repository, "layered", "clipped")
    assert worst(found)["tensor"] == "hidden2"
    assert worst(found)["cause"] == "range"
    assert worst(found)["saturated_percent"] > 10
    assert found["findings"][0]["kind"] == "layer"
    assert "clips" in found["findings"][0]["message"]
    assert found["proposal"]["recipe"] == "ort_mixed"

    shown = node_data(repository, "layered", "clipped")
    assert max(shown["saturated-percent"].values()) == worst(found)["saturated_percent"]
    graph = onnx.load(repository.root / "nodes" / "layered-clipped.onnx").graph
    assert shown["ranges"].keys() <= {name for node in graph.node for name in node.output} | {"image"}

    passes_with(repository, "layered", found)
    done = repository.run("--edge-model", "layered", "-k", "accuracy")
    statuses = repository.statuses()
    assert statuses["layered/clipped/host:cpu"] == "fail", done.stdout
    assert statuses["layered/clipped_mixed/host:cpu"] == "pass", done.stdout


def test_clipped_output_is_blamed_and_the_answers_are_those_of_the_gate(repository: Project) -> None:
    """The output's own range clips: the diagnosis reads the output as the gate does, and names its layer first."""
    found = diagnosis(repository, "layered", "clipped_output")
    assert worst(found)["tensor"] == "scores"
    assert worst(found)["cause"] == "range"
    assert worst(found)["share_percent"] > 90
    assert found["traced"]["agreement_percent"] < 50
    (verdict,) = [line for line in found["verdicts"] if line.startswith("accuracy")]
    top1 = float(re.search(r"([\d.]+) %", verdict)[1])
    assert top1 < 50, verdict


def test_nodes_without_names_are_proposed_by_those_that_the_quantizer_knows(repository: Project) -> None:
    """Nodes that have no name in the user's file, or were fused, are left float by what ort_mixed calls them."""
    found = diagnosis(repository, "unnamed", "ort_int8_minmax")
    assert worst(found)["tensor"] == "hidden0"
    assert found["proposal"]["recipe"] == "ort_mixed"

    passes_with(repository, "unnamed", found)
    repository.run("--edge-model", "unnamed", "-k", "accuracy")
    statuses = repository.statuses()
    assert statuses["unnamed/ort_int8_minmax/host:cpu"] == "fail"
    assert statuses["unnamed/ort_int8_minmax_mixed/host:cpu"] == "pass", repository.message(
        "ort_int8_minmax_mixed", "unnamed"
    )


def passes_with(project: Project, model: str, found: dict[str, Any]) -> None:
    """Paste the proposal, as it is printed, among the model's variants."""
    shown = project.edgeworthy("diagnose", model, found["variant"]).stdout
    pasted = yaml.safe_load(shown.partition("in models.yaml:")[2])
    assert pasted == {found["proposal"]["name"]: {key: found["proposal"][key] for key in ("recipe", "options")}}
    project.models["models"][model]["variants"].update(pasted)


@pytest.mark.parametrize("model", ["outlier", "outlier_onnx"])
def test_canary_is_told_by_its_input(repository: Project, model: str) -> None:
    """Calibrated on unscaled noise: the input's range says so, before any layer is blamed, and nothing is left float.

    Also where the input is quantized after it was turned to another layout, as in ONNX files of Keras models.
    """
    found = diagnosis(repository, model, "canary")
    assert found["findings"][0]["kind"] == "input range"
    assert "holds [0, 1000], the evaluation inputs are in [0, 1]" in found["findings"][0]["message"]
    assert "calibration samples exactly as" in found["findings"][0]["hint"]
    assert found["proposal"] is None
    assert found["traced"]["layers"][0]["channels"] == 1


@pytest.mark.parametrize(
    ("twice", "message", "hint"),
    [
        ("calibration", "it was calibrated on inputs that were scaled twice", "make the calibration samples exactly"),
        ("evaluation", "the evaluation inputs were scaled twice", "make the evaluation samples as the model expects"),
    ],
)
def test_samples_that_were_scaled_twice_are_told(repository: Project, twice: str, message: str, hint: str) -> None:
    """Divided by 255 once more, calibration or evaluation samples: which of them it was leads, and how to mend it."""
    found = diagnosis(repository, f"{twice}_twice", "rescaled")
    first = found["findings"][0]
    assert first["kind"] == "input range"
    assert f"{message} (divided by 255 once more)" in first["message"]
    assert first["hint"].startswith(hint)
    assert found["proposal"] is None


def pair_model(path: Path) -> None:
    """``left`` and ``right`` (batch, 24) -> ``scores`` of the first, and ``boxes`` of both.

    Of what ``boxes`` is made from, one of 32 values is 1000 times as large, and its matrix takes that back: no int8 range fits.
    """
    random = np.random.default_rng(0)
    large = np.where(np.arange(32) == 0, 1000, 1)
    sizes = {"shared": (24, 40), "scorer": (40, 5), "mixer": (64, 32), "boxer": (32, 4)}
    weights = {name: random.normal(size=size) / np.sqrt(size[0]) for name, size in sizes.items()}
    weights |= {"mixer": weights["mixer"] * large, "boxer": 50 * weights["boxer"] / large[:, None]}
    steps = [
        ("MatMul", ["left", "shared"], "common_sum"), ("Relu", ["common_sum"], "common"),
        ("MatMul", ["common", "scorer"], "scores"), ("Concat", ["common", "right"], "both"),
        ("MatMul", ["both", "mixer"], "mixed_sum"), ("Relu", ["mixed_sum"], "mixed"), ("MatMul", ["mixed", "boxer"], "boxes"),
    ]  # fmt: skip
    nodes = [
        helper.make_node(op, given, [made], f"node_{made}", **({"axis": 1} if op == "Concat" else {}))
        for op, given, made in steps
    ]
    ends = {"left": ["batch", 24], "right": ["batch", 24]}, {"scores": ["batch", 5], "boxes": ["batch", 4]}
    onnx_file(path, nodes, *ends, {name: values.astype(np.float32) for name, values in weights.items()})


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, digits: Digits, shared_store: Path) -> Project:
    """A model of two inputs and two outputs, in both runtimes."""
    project = make_project(tmp_path_factory.mktemp("pair"), digits, shared_store)
    folder = project.root / "benchmarks"
    pair_model(folder / "pair.onnx")
    sides = np.random.default_rng(1).uniform(-1, 1, size=(2, 480, 24)).astype(np.float32)
    splits = {"evaluation": slice(80), "calibration": slice(80, None)}
    rows = {f"{split}_{side}": values[part] for split, part in splits.items()
            for side, values in zip(("left", "right"), sides, strict=True)}  # fmt: skip
    np.savez(folder / "sides.npz", **rows)
    project.models["datasets"]["sides"] = {"kind": "npz", "path": "sides.npz"}
    project.models["models"] = {
        "pair": {
            "source": {"path": "pair.onnx"},
            "dataset": "sides",
            "metric": "fidelity",
            "reference": "ort_fp32",
            "variants": {
                "ort_fp32": {},
                "ort_int8_minmax": {"options": {"reduce_range": True}},
                "fp32": {},
                "int8": {},
            },
        }
    }
    project.write()
    return project


@pytest.mark.parametrize("variant", ["ort_int8_minmax", "int8"])
def test_the_output_that_suffers_is_named_with_the_layer_that_causes_it(pair: Project, variant: str) -> None:
    """The other output has about no error, though both read one layer; the printed report says so, and the run's."""
    found = diagnosis(pair, "pair", variant)
    scores, boxes = found["traced"]["outputs"]
    assert (scores["name"], boxes["name"]) == ("scores", "boxes")
    assert scores["error_percent"] < 3
    assert boxes["error_percent"] > 10 * scores["error_percent"]
    layers = {
        place: max(found["traced"]["layers"], key=lambda layer: layer["output_shares_percent"][place])
        for place in (0, 1)
    }
    assert layers[1]["output_shares_percent"][1] > 75
    assert layers[1]["output_shares_percent"][0] == 0
    assert layers[1] == worst(found)
    assert layers[0] != layers[1]
    first, second = found["findings"][:2]
    assert first["kind"] == "output"
    assert first["message"].startswith("of 2 outputs boxes suffers most: its error is ")
    assert second["kind"] == "layer"
    assert "of the error of the output boxes" in second["message"]
    assert second["tensor"] == layers[1]["tensor"]

    shown = pair.edgeworthy("diagnose", "pair", variant).stdout
    assert "64 samples: worst of 2 outputs boxes " in shown
    [line] = [line for line in shown.splitlines() if line.startswith("boxes ")]
    assert layers[1]["op"] in line
    pair.run("-k", f"accuracy and {variant}", "-o", "edge_diagnose=true")
    written = pair.root / "results" / "latest" / "diagnosis" / f"pair+{variant}+host@cpu.md"
    assert "| output | error % | dB | caused by, % of its error |" in written.read_text()


def test_left_float_what_is_proposed_repairs_the_output(pair: Project) -> None:
    """The proposal of several outputs passes too."""
    for variant in ("ort_int8_minmax", "int8"):
        passes_with(pair, "pair", diagnosis(pair, "pair", variant))
    pair.run("-k", "accuracy and mixed")
    statuses = pair.statuses()
    for variant in ("ort_int8_minmax_mixed", "int8_mixed"):
        assert statuses[f"pair/{variant}/host:cpu"] == "pass", pair.message(variant, "pair")


def test_what_cannot_be_looked_into_is_a_line_of_the_run(project: Project) -> None:
    """A graph of other tensors fails on accuracy as ever; that it was not diagnosed is said, and changes nothing."""
    project.add_recipes(STRANGER)
    project.models["models"]["linear"]["variants"]["stranger"] = {}
    done = project.run("-k", "accuracy and stranger", "-o", "edge_diagnose=true")
    assert done.returncode == 1
    assert "linear/stranger/host:cpu could not be diagnosed: " in done.stdout
    assert "the two cannot be compared" in done.stdout
    assert project.statuses()["linear/stranger/host:cpu"] == "fail"
    assert project.run("-k", "accuracy and stranger").stdout.count("diagnosed") == 0
