"""ONNX graphs that are run with every tensor visible, and float graphs that are changed to take values from outside."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.diagnosis.graph import Graph, Node, Range
from edgeworthy.records import Layout

Array = NDArray[Any]
#: Where ops that have channels have them: ONNX defines those with places as (batch, channels, ...).
CHANNELS_AT = {
    **dict.fromkeys(
        ("Conv", "ConvTranspose", "BatchNormalization", "InstanceNormalization", "MaxPool", "AveragePool"), 1
    ),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "LRN", "DepthToSpace", "SpaceToDepth"), 1),
    **dict.fromkeys(("MatMul", "Gemm"), -1),
}
#: After these, the axes are others.
RESHAPING = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze"})


class OnnxGraph:
    """An .onnx file. Float or quantized, ``trace`` gives every activation; the other two are for float graphs.

    ``inputs`` and ``outputs`` are the names of those that are meant, where there are several, in their order.
    """

    def __init__(self, path: Path, layout: Layout, inputs: Sequence[str] = (), outputs: Sequence[str] = ()) -> None:
        import onnx

        self.onnx = onnx
        self.path, self.layout = path, layout
        self.model = onnx.load(path)
        self._constants = {tensor.name: tensor for tensor in self.model.graph.initializer}
        self._entries = {value.name: value for value in self.model.graph.input if value.name not in self._constants}
        first = self.model.graph.output[0].name
        self.graph = self._graph(tuple(inputs) or (next(iter(self._entries)),), tuple(outputs) or (first,))
        self._session: Any = None

    def channel_axis(self, tensor: str, dimensions: int) -> int:
        """As the input's layout and the nodes tell; where none does, the second; without places there are only channels."""
        if dimensions < 3:
            return -1
        axis = self._channel_axes.get(tensor, 1)
        return axis if axis < 0 else axis - dimensions

    @cached_property
    def _channel_axes(self) -> dict[str, int]:
        """Tensor -> the axis of its channels, from the start, or from the end where it is the last."""
        found = dict.fromkeys(self.graph.inputs, 1 if self.layout == "nchw" else -1)
        for node in self.model.graph.node:
            read = next((found[name] for name in node.input if name in found), None)
            made = _channel_axis(node, read)
            if made is not None:
                found.update(dict.fromkeys(node.output, made))
        return found

    @property
    def parts(self) -> Collection[str]:
        """Names of nodes; quantize_dynamic adds to them."""
        return {node.name.removesuffix("_quant") for node in self.graph.nodes}

    @staticmethod
    def part(node: Node) -> str:
        """Its name."""
        return node.name

    @property
    def ranges(self) -> dict[str, Range]:
        """Origin -> what its last quantized form can hold, of all activations that are quantized."""
        found = {}
        for node in self.graph.nodes:
            if node.op == "QuantizeLinear" and node.inputs[0] in self.graph.activations:
                held = self._held(node)
                if held is not None:
                    found[self.graph.origin(node.inputs[0])] = held
        return found

    def shape(self, name: str) -> tuple[int | None, ...]:
        """Of an input, with the batch; None where a size is open."""
        sizes = self._entries[name].type.tensor_type.shape.dim
        return tuple(size.dim_value if size.dim_value > 0 else None for size in sizes)

    def trace(self, given: Mapping[str, Array]) -> dict[str, Array]:
        """Origin -> its value in floats, as the layers after it read it. ``given`` has (1, ...) for each input."""
        if self._session is None:
            self._session = _session(self._with_outputs(self._float_names()))
            self._names = [output.name for output in self._session.get_outputs()]
        feeds = self._taken(given)
        answers = self._session.run(None, feeds)
        found = {**feeds, **dict(zip(self._names, answers, strict=True))}
        return {
            self.graph.origin(name): found[name].astype(np.float32, copy=False)
            for name in self.graph.activations  # the last form of a value is what is computed with, and answered
            if _is_float(found.get(name))
        }

    def expose(self, out: Path) -> list[str]:
        """Write the graph with all its float activations as outputs; their names, in the order of execution."""
        opened = _session(self._with_outputs(self._float_names()))
        floats = {output.name for output in opened.get_outputs() if output.type == "tensor(float)"}
        names = [name for name in self.graph.activations if name in floats]
        model = self._with_outputs(names)
        kept = [output for output in model.graph.output if output.name in floats]
        del model.graph.output[:]
        model.graph.output.extend(kept)
        self.onnx.save(model, out)
        return names

    def forced(self, cuts: Collection[str]) -> Callable[[Mapping[str, Array]], dict[str, Array]]:
        """Every layer on given inputs: a function from values of the inputs and all ``cuts`` to what the layers between make."""
        model = self._copy()
        made = [name for name in cuts if name not in self.graph.inputs]
        given = {name: f"{name} edgeworthy" for name in made}
        for node in model.graph.node:
            for place, name in enumerate(node.input):
                node.input[place] = given.get(name, name)
        self._float_inputs(model, given.values())
        del model.graph.output[:]
        model.graph.output.extend(self.onnx.ValueInfoProto(name=name) for name in made)
        session = _session(model)
        taken = {entry.name for entry in session.get_inputs()}

        def run(values: Mapping[str, Array]) -> dict[str, Array]:
            feeds = {**self._taken(values), **{new: values[name] for name, new in given.items()}}
            answers = session.run(made, {name: value for name, value in feeds.items() if name in taken})
            return dict(zip(made, answers, strict=True))

        return run

    def disturbed(self, cuts: Collection[str]) -> Callable[[Mapping[str, Array], str, Array], dict[str, Array]]:
        """The whole graph with an error added: a function from the inputs, a cut and its error to the model's outputs."""
        model = self._copy()
        inner = [name for name in cuts if name not in self.graph.inputs and any(self.graph.reads(name))]
        for node in model.graph.node:
            for place, name in enumerate(node.input):
                node.input[place] = f"{name} edgeworthy sum" if name in inner else name
        errors = {name: f"{name} edgeworthy error" for name in inner}
        adders = [self.onnx.helper.make_node("Add", [n, errors[n]], [f"{n} edgeworthy sum"]) for n in inner]
        ordered = _ordered([*model.graph.node, *adders])
        del model.graph.node[:]
        model.graph.node.extend(ordered)
        self._float_inputs(model, errors.values())
        session = _session(model)
        nothing = dict.fromkeys(errors.values(), np.zeros((), np.float32))

        def run(given: Mapping[str, Array], name: str, error: Array) -> dict[str, Array]:
            feeds = {**nothing, **self._taken({**given, name: given[name] + error} if name in given else given)}
            if name in errors:
                feeds[errors[name]] = np.asarray(error, np.float32)
            found = dict(zip(self.graph.outputs, session.run(self.graph.outputs, feeds), strict=True))
            return {**found, name: found[name] + error} if name in found else found

        return run

    def delegated(self, float_path: Path) -> None:
        """None: every node runs on the CPU execution provider."""

    # -- how --------------------------------------------------------------------------------------------------

    def _graph(self, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Graph:
        graph = self.model.graph
        nodes = tuple(
            Node(node.op_type, node.name, tuple(filter(None, node.input)), tuple(filter(None, node.output)))
            for node in graph.node
        )
        return Graph(nodes, inputs, outputs)

    def _with_outputs(self, names: Collection[str]) -> Any:
        """A copy that also gives these tensors."""
        model = self._copy()
        known = {output.name for output in model.graph.output}
        model.graph.output.extend(self.onnx.ValueInfoProto(name=name) for name in names if name not in known)
        return model

    def _taken(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """What the inputs are given of these values, in their types."""
        kinds = {name: self._entries[name].type.tensor_type.elem_type for name in self.graph.inputs}
        to_dtype = self.onnx.helper.tensor_dtype_to_np_dtype
        return {name: np.asarray(values[name], to_dtype(kind)) for name, kind in kinds.items()}

    def _float_names(self) -> list[str]:
        """Activations that are not between a QuantizeLinear and its DequantizeLinear; what else is no float is left out later."""
        stored = {tensor for node in self.graph.nodes if node.op == "QuantizeLinear" for tensor in node.outputs}
        return [name for name in self.graph.activations if name not in stored and name not in self.graph.inputs]

    def _held(self, node: Node) -> Range | None:
        scale, point = (self._constants.get(name) for name in node.inputs[1:3])
        if scale is None or point is None:
            return None
        steps, zeros = (self.onnx.numpy_helper.to_array(tensor) for tensor in (scale, point))
        if steps.size != 1 or zeros.dtype.kind not in "iu":
            return None
        limits, step, zero = np.iinfo(zeros.dtype), float(steps.reshape(())), int(zeros.reshape(()))
        return Range((limits.min - zero) * step, (limits.max - zero) * step, step)

    def _copy(self) -> Any:
        model = self.onnx.ModelProto()
        model.CopyFrom(self.model)
        return model

    def _float_inputs(self, model: Any, names: Collection[str]) -> None:
        kind = self.onnx.TensorProto.FLOAT
        model.graph.input.extend(self.onnx.helper.make_tensor_value_info(name, kind, None) for name in names)


def _channel_axis(node: Any, read: int | None) -> int | None:
    """Of what a node makes, from that of what it reads."""
    if node.op_type in CHANNELS_AT:
        return CHANNELS_AT[node.op_type]
    if read is None or node.op_type in RESHAPING:
        return None
    if node.op_type == "Transpose":
        order = [list(entry.ints) for entry in node.attribute if entry.name == "perm"]
        return order[0].index(read % len(order[0])) if order else None
    return read


def _is_float(value: object) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def _ordered(nodes: list[Any]) -> list[Any]:
    """The nodes so that each comes after those that make its inputs."""
    makes = {name: node for node in nodes for name in node.output}
    done: dict[int, Any] = {}
    pending = list(reversed(nodes))
    while pending:
        node = pending[-1]
        missing = [makes[name] for name in node.input if name in makes and id(makes[name]) not in done]
        if missing:
            pending.extend(missing)
            continue
        done.setdefault(id(pending.pop()), node)
    return list(done.values())


def _session(model: Any) -> Any:
    """Without fusions: what they swallow would not be visible."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
