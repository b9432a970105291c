"""A float .tflite as AI Edge Quantizer wants it: op codes of today, weights in float32, one signature, names that differ.

Old converters wrote the type of an op into a field of 8 bits alone, where the quantizer does not look: it then takes every
op for an ADD, and weights for activations. Weights in float16 that the graph dequantizes, it takes for activations too.
Format: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/compiler/mlir/lite/schema/schema.fbs
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeworthy.variants.conversion.tflite_packing import packed

#: Of a .tflite that has no signature; converters call the only one so.
SIGNATURE = "serving_default"


def quantizable(content: bytes) -> bytes:
    """The same model, or ``content`` itself where it is as the quantizer wants it."""
    from ai_edge_litert import schema_py_generated as schema

    changes: list[bool] = []

    def change(tree: Any) -> None:
        changes.extend((_modern_codes(tree), _wide_weights(tree, schema), _sign(tree, schema), _name_apart(tree)))

    changed = packed(content, schema, change)
    return changed if any(changes) else content


def _modern_codes(tree: Any) -> bool:
    """Write the type of each op into the field of today."""
    old = [code for code in tree.operatorCodes if code.deprecatedBuiltinCode > code.builtinCode]
    for code in old:
        code.builtinCode = code.deprecatedBuiltinCode
    return bool(old)


def _wide_weights(tree: Any, schema: Any) -> bool:
    """Keep as float32 what the graph keeps as float16 and dequantizes."""
    changed = False
    for graph in tree.subgraphs:
        kept = [op for op in graph.operators if not _widened(tree, graph, op, schema)]
        changed = changed or len(kept) < len(graph.operators)
        graph.operators = kept
    return changed


def _widened(tree: Any, graph: Any, op: Any, schema: Any) -> bool:
    """Whether the op dequantized a float16 constant; its output is that constant in float32 from now on."""
    if tree.operatorCodes[op.opcodeIndex].builtinCode != schema.BuiltinOperator.DEQUANTIZE:
        return False
    given, made = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    data = tree.buffers[given.buffer].data
    if given.type != schema.TensorType.FLOAT16 or data is None or not len(data):
        return False
    buffer = schema.BufferT()
    buffer.data = np.asarray(data, np.uint8).view(np.float16).astype(np.float32).view(np.uint8)
    made.buffer = len(tree.buffers)
    tree.buffers.append(buffer)
    return True


def _sign(tree: Any, schema: Any) -> bool:
    """Add a signature that calls inputs and outputs as their tensors, where there is none."""
    if tree.signatureDefs:
        return False
    graph, signature = tree.subgraphs[0], schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = SIGNATURE, 0
    signature.inputs, signature.outputs = (
        [_end(graph, tensor, schema) for tensor in ends] for ends in (graph.inputs, graph.outputs)
    )
    tree.signatureDefs = [signature]
    return True


def _name_apart(tree: Any) -> bool:
    """Give tensors of further graphs, that of an initialization for example, names that no other graph's have."""
    taken: set[bytes] = set()
    changed = False
    for graph in tree.subgraphs:
        own = {bytes(tensor.name) for tensor in graph.tensors}
        for tensor in graph.tensors:
            while tensor.name in taken:
                tensor.name, changed = tensor.name + b"_", True
        taken |= own | {tensor.name for tensor in graph.tensors}
    return changed


def _end(graph: Any, tensor: int, schema: Any) -> Any:
    made = schema.TensorMapT()
    made.name, made.tensorIndex = graph.tensors[tensor].name, int(tensor)
    return made
