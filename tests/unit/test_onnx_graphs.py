"""Reading ONNX graphs: what a diagnosis sees is what the runtime answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from edgeworthy.diagnosis.onnx_graphs import OnnxGraph
from onnx import TensorProto, helper, numpy_helper


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


def test_quantized_output_is_traced_as_the_model_returns_it(tmp_path: Path) -> None:
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
    graph = OnnxGraph(path, "nchw")
    assert (graph.graph.inputs, graph.graph.outputs) == (("image",), ("scores",))
    np.testing.assert_array_equal(graph.trace({"image": sample})[graph.graph.origin("scores")], answer)
    np.testing.assert_allclose(answer, [[0, 0.02, 0.07, 0.1]], atol=0.0004)


def test_channels_are_found_where_the_layout_has_them(tmp_path: Path) -> None:
    """An input of a Keras model has them last, a convolution second, and a Transpose takes them along."""
    nodes = [
        helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "kernel"], ["found"]),
        helper.make_node("Relu", ["found"], ["positive"]),
        helper.make_node("Transpose", ["positive"], ["scores"], perm=[0, 2, 3, 1]),
    ]
    constants = {"kernel": np.ones((5, 2, 1, 1), np.float32)}
    path = save(tmp_path / "turning.onnx", nodes, [[1, 3, 4, 2], [1, 3, 4, 5]], constants)
    graph = OnnxGraph(path, "nhwc")
    assert (graph.graph.inputs, graph.graph.outputs) == (("image",), ("scores",))
    values = graph.trace({"image": np.zeros((1, 3, 4, 2), np.float32)})
    channels = {name: value.shape[graph.channel_axis(name, value.ndim)] for name, value in values.items()}
    assert channels == {"image": 2, "planes": 2, "found": 5, "positive": 5, "scores": 5}
