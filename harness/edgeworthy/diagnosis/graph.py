"""A model's graph as plain data, and which tensors of a quantized graph are those of the float one.

Converters rename and fuse; layers are matched by name first, and where names are lost by the sequence of ops.
Nodes that only change how a value is stored (QUANTIZE, DequantizeLinear, ...) are no layers: their output is the same
value as their input.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property

CASTS = frozenset({"QUANTIZE", "DEQUANTIZE", "QuantizeLinear", "DequantizeLinear"})
#: Runtimes compute these within the op before them, whose output is then never rounded by itself.
FUSED_ACTIVATIONS = frozenset({"Relu", "Clip", "LeakyRelu"})
#: These hand values on without computing: their output keeps the range of their input.
MOVING = frozenset(
    {"RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "MAX_POOL_2D", "PAD", "CONCATENATION", "STRIDED_SLICE", "SPLIT"}
    | {"Reshape", "Squeeze", "Unsqueeze", "Transpose", "MaxPool", "Pad", "Concat", "Slice", "Split", "Flatten"}
)


@dataclass(frozen=True)
class Node:
    """One op: its kind, and its tensors by name; constants are among the inputs."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Range:
    """The real numbers that a quantized tensor can hold: ``low`` to ``high`` in steps."""

    low: float
    high: float
    step: float


@dataclass(frozen=True)
class Graph:
    """Nodes in the order of execution, from the inputs to the outputs, both in the order of the model's source."""

    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @cached_property
    def producer(self) -> dict[str, Node]:
        """The node that makes a tensor; constants and the inputs have none."""
        return {tensor: node for node in self.nodes for tensor in node.outputs}

    @cached_property
    def activations(self) -> dict[str, None]:
        """The tensors that depend on the inputs, in the order of execution, the inputs first."""
        found: dict[str, None] = dict.fromkeys(self.inputs)
        for node in self.nodes:
            if any(tensor in found for tensor in node.inputs):
                found.update(dict.fromkeys(node.outputs))
        return found

    @cached_property
    def layers(self) -> list[Node]:
        """The nodes that compute on activations."""
        return [node for node in self.nodes if node.op not in CASTS and any(i in self.activations for i in node.inputs)]

    def origin(self, tensor: str) -> str:
        """Follow casts and quantize/dequantize nodes back to the producing tensor."""
        while (node := self.producer.get(tensor)) is not None and node.op in CASTS:
            tensor = node.inputs[0]
        return tensor

    def segment(self, tensor: str, ends: Collection[str]) -> list[Node]:
        """The nodes that make ``tensor`` out of the nearest tensors of ``ends``, the last one first."""
        found: dict[str, Node] = {}
        pending = [tensor]
        while pending:
            node = self.producer.get(pending.pop())
            if node is None or node.outputs[0] in found:
                continue
            found[node.outputs[0]] = node
            pending.extend(i for i in node.inputs if i in self.activations and i not in ends)
        return list(found.values())

    def moved(self, tensor: str) -> Iterator[str]:
        """The tensor, and those that hold nothing but its values, moved: the nearest first."""
        pending = [tensor]
        while pending:
            found = pending.pop(0)
            yield found
            pending += [made for node in self.reads(found) if self._only_moves(node) for made in node.outputs]

    def _only_moves(self, node: Node) -> bool:
        return node.op in CASTS | MOVING and len(self.activations.keys() & set(node.inputs)) == 1

    def reads(self, tensor: str) -> Iterator[Node]:
        """The nodes that read a tensor."""
        return (node for node in self.nodes if tensor in node.inputs)


def matched(float_graph: Graph, quantized: Graph, float_shapes: Shapes, quantized_shapes: Shapes) -> dict[str, str]:
    """Tensor of the float graph -> origin of the same value in the quantized one, in the float graph's order."""
    sides = zip((*float_graph.inputs, *float_graph.outputs), (*quantized.inputs, *quantized.outputs), strict=True)
    ends = {tensor: quantized.origin(origin) for tensor, origin in sides}
    found = dict(ends)
    for tensor in quantized.activations:
        if tensor in float_graph.activations:
            found.setdefault(tensor, quantized.origin(tensor))
    # With more pairs, what has no partner was fused away, and resembles others.
    if len(found) - len(ends) < len(float_graph.layers) / 2:
        _align(found, float_graph, quantized, float_shapes, quantized_shapes)
    fits = {
        tensor: origin
        for tensor, origin in found.items()
        if tensor in float_shapes and float_shapes[tensor] == quantized_shapes.get(origin)
    }
    return {tensor: fits[tensor] for tensor in float_graph.activations if tensor in fits}


Shapes = Mapping[str, tuple[int, ...]]


def _align(found: dict[str, str], left: Graph, right: Graph, left_shapes: Shapes, right_shapes: Shapes) -> None:
    """Add the pairs found by their place in the sequence of ops and their shape."""
    sides = [
        [(node.op.upper().replace("_", ""), shapes.get(node.outputs[0])) for node in graph.layers]
        for graph, shapes in ((left, left_shapes), (right, right_shapes))
    ]
    for a, b, size in SequenceMatcher(None, sides[0], sides[1], autojunk=False).get_matching_blocks():
        for step in range(size):
            tensor, origin = left.layers[a + step].outputs[0], right.layers[b + step].outputs[0]
            if tensor not in found and origin not in found.values():
                found[tensor] = origin


def without_fused(
    pairs: Mapping[str, str], quantized: Graph, ranges: Mapping[str, Range], outputs: Collection[str]
) -> dict[str, str]:
    """The pairs without what goes into a fused activation unquantized: the activation's output stands for both.

    The model's own ``outputs`` stay.
    """
    kept = {}
    for tensor, origin in pairs.items():
        readers = list(quantized.reads(origin))
        fused = len(readers) == 1 and readers[0].op in FUSED_ACTIVATIONS and readers[0].outputs[0] in pairs.values()
        if origin in ranges or tensor in outputs or not fused:
            kept[tensor] = origin
    return kept
