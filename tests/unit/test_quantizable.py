"""What is made of a file before a quantizer gets it: a .tflite of an old converter, an ONNX graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from edgeworthy.variants.recipes import onnx_runtime
from edgeworthy.variants.recipes.tflite_quantizable import quantizable
from onnx import TensorProto, helper, numpy_helper

from tests.integration.conftest import linear_tflite
from tests.runtime_outputs import runtime_outputs
from tests.tflite_files import old_tflite

WEIGHTS = np.random.default_rng(0).normal(size=(64, 10)).astype(np.float16).astype(np.float32)
MODERN = linear_tflite(WEIGHTS, np.zeros(10, np.float32))


def test_a_file_of_today_is_left_as_it_is() -> None:
    assert quantizable(MODERN) is MODERN


def test_an_old_file_becomes_one_of_today(tmp_path: Path) -> None:
    """Same outputs, to the bit: its weights are float16 numbers in both."""
    (tmp_path / "modern.tflite").write_bytes(MODERN)
    (tmp_path / "new.tflite").write_bytes(quantizable(old_tflite(MODERN)))
    images = np.random.default_rng(1).normal(size=(4, 8, 8, 1)).astype(np.float32)
    before, after = (runtime_outputs(tmp_path / f"{name}.tflite", "nhwc", images) for name in ("modern", "new"))
    np.testing.assert_array_equal(before, after)
    assert len(quantizable(old_tflite(MODERN))) < len(MODERN) + 500  # without the float16 that nothing reads any more
    assert quantizable(quantizable(old_tflite(MODERN))) == quantizable(old_tflite(MODERN))


def test_names_that_a_quantizer_would_make_up_are_changed() -> None:
    """``a`` and ``a2``: a second copy of ``a`` would be called ``a2``; ``b2`` without a ``b`` stays, as inputs and outputs do."""
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Relu", ["a"], ["a2"]),
        helper.make_node("Gemm", ["a2", "b2", "c"], ["x1"]),
    ]
    values = {"b2": np.ones((3, 4), np.float32), "c": np.ones((1, 4), np.float32)}
    graph = helper.make_graph(
        nodes,
        "names",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])],
        [helper.make_tensor_value_info("x1", TensorProto.FLOAT, [1, 4])],
        [numpy_helper.from_array(each, name) for name, each in values.items()],
    )
    onnx_runtime.name_apart(graph)
    onnx_runtime.flatten_biases(graph)
    onnx.checker.check_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))
    assert [name for node in graph.node for name in node.output] == ["a", "a2_", "x1"]
    assert list(graph.node[2].input) == ["a2_", "b2", "c"]
    assert [tuple(tensor.dims) for tensor in graph.initializer] == [(3, 4), (4,)]
    assert all(node.name for node in graph.node)


def test_a_branch_goes_on_reading_what_is_called_otherwise(tmp_path: Path) -> None:
    """``a2`` of the graph around an If is read in its branches too."""
    result = helper.make_tensor_value_info("chosen", TensorProto.FLOAT, [1, 3])
    branches = {
        f"{name}_branch": helper.make_graph([helper.make_node(op, ["a2"], ["chosen"])], name, [], [result])
        for name, op in (("then", "Identity"), ("else", "Neg"))
    }
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Exp", ["a"], ["a2"]),
        helper.make_node("ReduceMax", ["x"], ["largest"], keepdims=0),
        helper.make_node("Cast", ["largest"], ["which"], to=TensorProto.BOOL),
        helper.make_node("If", ["which"], ["y"], **branches),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3]) for name in ("x", "y")]
    model = helper.make_model(
        helper.make_graph(nodes, "branches", ends[:1], ends[1:]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.save(model, tmp_path / "given.onnx")
    onnx_runtime.name_apart(model.graph)
    assert model.graph.node[1].output == ["a2_"]
    onnx.save(model, tmp_path / "apart.onnx")
    values = np.random.default_rng(2).normal(size=(4, 3)).astype(np.float32)
    before, after = (runtime_outputs(tmp_path / f"{name}.onnx", "nhwc", values) for name in ("given", "apart"))
    np.testing.assert_array_equal(before, after)
