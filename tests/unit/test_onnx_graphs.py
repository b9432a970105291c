"""Reading ONNX graphs: what a diagnosis sees is what the runtime answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from harness.diagnosis.onnx_graphs import OnnxGraph


def save(path: Path, nodes: list[onnx.NodeProto], shapes: list[list[int]], constants: dict[str, np.ndarray]) -> Path:
    """A graph from ``image`` to ``scores``, which have these shapes."""
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in zip(("image", "scores"), shapes, strict=True)
    ]
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "made", ends[:1], ends[1:], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_output_that_is_quantized_is_seen_as_it_is_answered(tmp_path: Path) -> None:
    """The output's own quantization clips it: the trace has the clipped values, under the name of the unclipped ones."""
    constants = {
        "weights": np.eye(4, dtype=np.float32),
        "scale": np.float32(0.1 / 255).reshape(()),
        "zero": np.array(-128, np.int8),
    }
    nodes = [
        helper.make_node("MatMul", ["image", "weights"], ["scores_in"]),
        helper.make_node("QuantizeLinear", ["scores_in", "scale", "zero"], ["scores_stored"]),
        helper.make_node("DequantizeLinear", ["scores_stored", "scale", "zero"], ["scores"]),
    ]
    path = save(tmp_path / "clipped.onnx", nodes, [[1, 4], [1, 4]], constants)
    sample = np.array([[-1, 0.02, 0.07, 1]], np.float32)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {"image": sample})
    graph = OnnxGraph(path)
    np.testing.assert_array_equal(graph.trace(sample)[graph.graph.origin("scores")], answer)
    np.testing.assert_allclose(answer, [[0, 0.02, 0.07, 0.1]], atol=0.0004)
