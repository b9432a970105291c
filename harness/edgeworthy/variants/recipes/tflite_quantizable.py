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
#: Where an op has numbers of tensors.
OP_TENSORS = ("inputs", "outputs", "intermediates")


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
    for place, graph in enumerate(tree.subgraphs):
        widening = [op for op in graph.operators if _is_widening(tree, graph, op, schema)]
        for op in widening:
            _widen(tree, graph, op, schema)
        graph.operators = [op for op in graph.operators if op not in widening]
        _drop(tree, place, {int(op.inputs[0]) for op in widening} - _read(graph))
        changed = changed or bool(widening)
    return changed


def _is_widening(tree: Any, graph: Any, op: Any, schema: Any) -> bool:
    """Whether the op dequantizes a float16 constant."""
    if tree.operatorCodes[op.opcodeIndex].builtinCode != schema.BuiltinOperator.DEQUANTIZE:
        return False
    given = graph.tensors[op.inputs[0]]
    data = tree.buffers[given.buffer].data
    return bool(given.type == schema.TensorType.FLOAT16 and data is not None and len(data))


def _widen(tree: Any, graph: Any, op: Any, schema: Any) -> None:
    """Make the op's output the constant in float32."""
    given, made, buffer = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]], schema.BufferT()
    halves = np.asarray(tree.buffers[given.buffer].data, np.uint8).view(np.float16)
    buffer.data = halves.astype(np.float32).view(np.uint8)
    made.buffer = len(tree.buffers)
    tree.buffers.append(buffer)


def _read(graph: Any) -> set[int]:
    return {int(tensor) for tensors in (graph.outputs, *(op.inputs for op in graph.operators)) for tensor in tensors}


def _drop(tree: Any, place: int, unread: set[int]) -> None:
    """Leave out tensors of a subgraph that nothing reads any more: they would stay in every variant."""
    graph = tree.subgraphs[place]
    kept = [index for index in range(len(graph.tensors)) if index not in unread]
    numbers = {-1: -1, **{old: new for new, old in enumerate(kept)}}  # -1 is an input that an op does without
    for owner, ends in ((graph, ("inputs", "outputs")), *((op, OP_TENSORS) for op in graph.operators)):
        for end in ends:
            given = getattr(owner, end)
            setattr(owner, end, None if given is None else [numbers[int(tensor)] for tensor in given])
    for signature in tree.signatureDefs or ():
        if signature.subgraphIndex == place:
            for each in (*signature.inputs, *signature.outputs):
                each.tensorIndex = numbers[int(each.tensorIndex)]
    dropped = {graph.tensors[index].buffer for index in unread}
    graph.tensors = [graph.tensors[index] for index in kept]
    for buffer in dropped - {tensor.buffer for each in tree.subgraphs for tensor in each.tensors}:
        tree.buffers[buffer].data = None


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
