"""ONNX files that tests make node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Shape = Sequence[int | str]


def masked_sum(words: int) -> tuple[list[Any], dict[str, np.ndarray]]:
    """Nodes from ``ids`` and their ``mask`` to the ``sum`` of embeddings of 16 numbers where the mask is 1, and their weights.

    ``kept`` is the mask in floats, ``middle`` the axis of the tokens; ``dense`` makes three scores of a sum.
    """
    random = np.random.default_rng(0)
    weights = {
        "table": random.normal(size=(words, 16)).astype(np.float32),
        "dense": random.normal(size=(16, 3)).astype(np.float32),
        "last": np.array([2], np.int64),
        "middle": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["words"]),
        helper.make_node("Cast", ["mask"], ["kept"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["kept", "last"], ["column"]),
        helper.make_node("Mul", ["words", "column"], ["seen"]),
        helper.make_node("ReduceSum", ["seen", "middle"], ["sum"], keepdims=0),
    ]
    return nodes, weights


def onnx_file(
    path: Path,
    nodes: Sequence[Any],
    inputs: Mapping[str, Shape],
    outputs: Mapping[str, Shape],
    weights: Mapping[str, np.ndarray],
    whole: Sequence[str] = (),
    opset: int = 17,
    texts: Sequence[str] = (),
) -> None:
    """Write a graph whose inputs and outputs are float32, int64 where they are named in ``whole``, or texts."""

    def ends(shapes: Mapping[str, Shape]) -> list[Any]:
        kinds = {**dict.fromkeys(whole, TensorProto.INT64), **dict.fromkeys(texts, TensorProto.STRING)}
        return [
            helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), shape)
            for name, shape in shapes.items()
        ]

    initial = [numpy_helper.from_array(values, name) for name, values in weights.items()]
    graph = helper.make_graph(nodes, path.stem, ends(inputs), ends(outputs), initial)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
