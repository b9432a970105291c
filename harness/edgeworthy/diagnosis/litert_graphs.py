"""LiteRT graphs that are run with every tensor visible, and float graphs that are changed to take values from outside.

A .tflite file is a flatbuffer; its objects are those of LiteRT's own schema.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.diagnosis.graph import Graph, Node, Range
from edgeworthy.diagnosis.records import Delegated, OpsLeft
from edgeworthy.records import Layout
from edgeworthy.runners.python_runner.litert import delegated_nodes
from edgeworthy.variants.conversion.tflite_packing import packed
from edgeworthy.variants.models.model_ends import named_inputs, named_outputs, opened_tflite

Array = NDArray[Any]


class LiteRtGraph:
    """A .tflite file. Float or quantized, ``trace`` gives every activation; the other two are for float graphs.

    ``inputs`` and ``outputs`` are those of its signature's names that are meant, where there are several, in their order.
    """

    def __init__(self, path: Path, layout: Layout, inputs: Sequence[str] = (), outputs: Sequence[str] = ()) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema = schema
        self.path, self.layout = path, layout
        content = path.read_bytes()
        self.model = schema.ModelT.InitFromPackedBuf(content, 0)
        self._main = self.model.subgraphs[0]
        self.names = _unique_names([tensor.name.decode() for tensor in self._main.tensors])
        self.index = {name: index for index, name in enumerate(self.names)}
        described = opened_tflite(content)
        self._close_sizes(content)
        self._entries = _wanted(named_inputs(described), inputs)
        self.graph = self._graph(_wanted(named_outputs(described), outputs))
        self._interpreter: Any = None

    def _close_sizes(self, content: bytes) -> None:
        """Where the file leaves sizes open, give every tensor the shape that follows from those that stand in their place."""
        if any(-1 in (each.shapeSignature if each.shapeSignature is not None else ()) for each in self._main.tensors):
            for entry in _interpreter(model_content=content).get_tensor_details():
                if entry["index"] < len(self._main.tensors):  # further ones are the kernels' own
                    tensor = self._main.tensors[entry["index"]]
                    tensor.shape, tensor.shapeSignature = np.asarray(entry["shape"], np.int32), None

    @staticmethod
    def channel_axis(tensor: str, dimensions: int) -> int:
        """NHWC."""
        return -1

    @property
    def parts(self) -> Collection[str]:
        """Output tensors."""
        return self.graph.activations

    @staticmethod
    def part(node: Node) -> str:
        """Its output tensor."""
        return node.outputs[0]

    @property
    def ranges(self) -> dict[str, Range]:
        """Origin -> what its last quantized form can hold, of all activations that are quantized."""
        return {self.graph.origin(name): self._held(name) for name in self._quantized_names()}

    def shape(self, name: str) -> tuple[int | None, ...]:
        """Of an input, with the batch; None where a size is open."""
        entry = self._entries[self.graph.inputs.index(name)]
        return tuple(None if size < 0 else int(size) for size in entry["shape_signature"])

    def trace(self, given: Mapping[str, Array]) -> dict[str, Array]:
        """Origin -> its value in floats, as the layers after it read it. ``given`` has (1, ...) for each input."""
        if self._interpreter is None:
            self._interpreter = _interpreter(model_path=str(self.path), experimental_preserve_all_tensors=True)
        interpreter = self._interpreter
        for name, entry in zip(self.graph.inputs, self._entries, strict=True):
            interpreter.set_tensor(entry["index"], self._stored(given[name], entry))
        interpreter.invoke()
        values: dict[str, Array] = {}
        for name in self.graph.activations:
            found = self._read(name)
            if found is not None:
                values[self.graph.origin(name)] = found
        for name in self._quantized_names():  # where a value has a quantized form, that is what is computed with
            found = self._read(name)
            assert found is not None
            values[self.graph.origin(name)] = found
        return values

    def expose(self, out: Path) -> list[str]:
        """Write the graph with all its activations in floats or 8 bits as outputs; their names, in the order of execution."""
        kinds, inner = (
            self.schema.TensorType,
            (name for name in self.graph.activations if name not in self.graph.inputs),
        )
        names = [
            name
            for name in inner
            if self._type(name) == kinds.FLOAT32
            or (self._type(name) in (kinds.INT8, kinds.UINT8) and self._scale(name))
        ]

        def change(tree: Any) -> None:
            main, tree.signatureDefs = tree.subgraphs[0], None  # without signatures tensors are called by their names
            main.outputs = np.array([self.index[name] for name in names], np.int32)
            for tensor, name in zip(main.tensors, self.names, strict=True):
                tensor.name = name

        out.write_bytes(packed(self.path.read_bytes(), self.schema, change))
        return names

    def forced(self, cuts: Collection[str]) -> Callable[[Mapping[str, Array]], dict[str, Array]]:
        """Every layer on given inputs: a function from values of the inputs and all ``cuts`` to what the layers between make."""
        model, main = self._changeable()
        given = {name: self._new_tensor(main, self.index[name]) for name in cuts if name not in self.graph.inputs}
        replaced = {self.index[name]: index for name, index in given.items()}
        for op in main.operators:
            op.inputs = np.array([replaced.get(int(i), int(i)) for i in op.inputs], np.int32)
        made = list(given)
        entries = [*self._file_inputs(), *given]
        main.inputs = [*main.inputs, *given.values()]
        main.outputs = [self.index[name] for name in made]
        interpreter = self._built(model)
        places = dict(zip(entries, interpreter.get_input_details(), strict=True))
        outputs = [entry["index"] for entry in interpreter.get_output_details()]

        def run(values: Mapping[str, Array]) -> dict[str, Array]:
            for name, entry in places.items():
                interpreter.set_tensor(entry["index"], np.asarray(values[name], entry["dtype"]))
            interpreter.invoke()
            return {name: interpreter.get_tensor(place) for name, place in zip(made, outputs, strict=True)}

        return run

    def disturbed(self, cuts: Collection[str]) -> Callable[[Mapping[str, Array], str, Array], dict[str, Array]]:
        """The whole graph with an error added: a function from the inputs, a cut and its error to the model's outputs."""
        model, main = self._changeable()
        inner = [name for name in cuts if name not in self.graph.inputs and any(self.graph.reads(name))]
        errors = {name: self._new_tensor(main, self.index[name]) for name in inner}
        add = self._op_code(model, self.schema.BuiltinOperator.ADD)
        for name in inner:
            self._add_after(main, self.index[name], errors[name], add)
        main.inputs = [*main.inputs, *errors.values()]
        interpreter = self._built(model)
        places = dict(zip([*self._file_inputs(), *inner], interpreter.get_input_details(), strict=True))
        answers = dict(zip(self._file_outputs(), interpreter.get_output_details(), strict=True))

        def put(name: str, values: Array) -> None:
            interpreter.set_tensor(places[name]["index"], np.asarray(values, places[name]["dtype"]))

        for name in inner:
            put(name, np.zeros(places[name]["shape"]))

        def run(given: Mapping[str, Array], name: str, error: Array) -> dict[str, Array]:
            for entry, values in given.items():
                put(entry, values + error if entry == name else values)
            if name in inner:
                put(name, error)
            interpreter.invoke()
            found = {output: interpreter.get_tensor(answers[output]["index"]) for output in self.graph.outputs}
            if name in inner:
                put(name, np.zeros_like(error))
            return {**found, name: found[name] + error} if name in found else found

        return run

    def delegated(self, float_path: Path) -> Delegated:
        """Which nodes the default delegate took of this graph, and whether it takes the others in the float one."""
        from ai_edge_litert.interpreter import OpResolverType

        found, floats = (_delegation(path, OpResolverType.AUTO) for path in (self.path, float_path))
        kernels, taken, nodes = found
        made: list[str] = []
        left: dict[str, list[str]] = {}
        for node in nodes:
            side = made if node["index"] in taken else left.setdefault(node["op_name"], [])
            side.append(self.names[int(node["outputs"][0])])
        float_taken = {node["op_name"] for node in floats[2] if node["index"] in floats[1]}
        ops = [OpsLeft(op=op, tensors=tuple(names), float_taken=op in float_taken) for op, names in left.items()]
        ops.sort(key=lambda op: (not op.float_taken, -len(op.tensors)))
        return Delegated(
            delegate="XNNPACK",
            kernels=kernels,
            taken=len(taken),
            total=len(nodes),
            tensors=tuple(made),
            left=tuple(ops),
        )

    # -- how --------------------------------------------------------------------------------------------------

    def _graph(self, outputs: Sequence[Any]) -> Graph:
        codes = {value: name for name, value in vars(self.schema.BuiltinOperator).items() if isinstance(value, int)}
        nodes = []
        for op in self._main.operators:
            code = self.model.operatorCodes[op.opcodeIndex]
            read, made = ([self.names[int(i)] for i in side if i >= 0] for side in (op.inputs, op.outputs))
            kind = codes[max(code.builtinCode, code.deprecatedBuiltinCode)]
            nodes.append(Node(kind, made[0] if made else kind, tuple(read), tuple(made)))
        ends = (tuple(self.names[entry["index"]] for entry in side) for side in (self._entries, outputs))
        return Graph(tuple(nodes), *ends)

    def _file_inputs(self) -> list[str]:
        return [self.names[index] for index in self._main.inputs]

    def _file_outputs(self) -> list[str]:
        return [self.names[index] for index in self._main.outputs]

    def _quantized_names(self) -> list[str]:
        return [name for name in self.graph.activations if self._scale(name) is not None]

    def _scale(self, name: str) -> tuple[float, int] | None:
        tensor = self._main.tensors[self.index[name]]
        scale = tensor.quantization.scale if tensor.quantization is not None else None
        if scale is None or len(scale) != 1 or tensor.type not in _integers(self.schema):
            return None
        points = tensor.quantization.zeroPoint
        return float(scale[0]), int(points[0]) if points is not None and len(points) else 0

    def _type(self, name: str) -> int:
        return int(self._main.tensors[self.index[name]].type)

    def _held(self, name: str) -> Range:
        found = self._scale(name)
        assert found is not None
        limits = np.iinfo(_integers(self.schema)[self._main.tensors[self.index[name]].type])
        scale, point = found
        return Range((limits.min - point) * scale, (limits.max - point) * scale, scale)

    def _read(self, name: str) -> Array | None:
        """The value in floats; None where it is neither float nor quantized."""
        found = self._scale(name)
        if found is None and self._main.tensors[self.index[name]].type != self.schema.TensorType.FLOAT32:
            return None
        value: Array = self._interpreter.get_tensor(self.index[name])
        if found is None:
            return value
        return (value.astype(np.float32) - found[1]) * np.float32(found[0])

    def _stored(self, sample: Array, entry: Any) -> Array:
        scale, point = entry["quantization"]
        if np.dtype(entry["dtype"]).kind == "f" or scale == 0:
            return sample.astype(entry["dtype"])
        limits = np.iinfo(entry["dtype"])
        levels: Array = np.clip(np.rint(sample / scale) + point, limits.min, limits.max)
        return levels.astype(entry["dtype"])

    def _changeable(self) -> tuple[Any, Any]:
        model = copy.copy(self.model)
        model.signatureDefs = None  # they speak of inputs as they were
        main = copy.copy(self._main)
        main.tensors, main.operators = list(main.tensors), [copy.copy(op) for op in main.operators]
        model.subgraphs = [main, *self.model.subgraphs[1:]]
        model.operatorCodes = list(self.model.operatorCodes)
        return model, main

    @staticmethod
    def _new_tensor(main: Any, like: int) -> int:
        """A tensor without content, of the type and shape of another one; its place."""
        tensor = copy.copy(main.tensors[like])
        tensor.name, tensor.buffer = b"edgeworthy " + tensor.name, 0
        main.tensors.append(tensor)
        return len(main.tensors) - 1

    def _op_code(self, model: Any, builtin: int) -> int:
        code = self.schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = builtin
        code.version = 1
        model.operatorCodes.append(code)
        return len(model.operatorCodes) - 1

    def _add_after(self, main: Any, tensor: int, error: int, add: int) -> None:
        """The readers of ``tensor`` read it with ``error`` added."""
        total = self._new_tensor(main, tensor)
        for op in main.operators:
            op.inputs = np.array([total if int(i) == tensor else int(i) for i in op.inputs], np.int32)
        op = self.schema.OperatorT()
        op.opcodeIndex, op.inputs, op.outputs = add, [tensor, error], [total]
        op.builtinOptionsType = self.schema.BuiltinOptions.AddOptions
        op.builtinOptions = self.schema.AddOptionsT()
        place = next(index for index, made in enumerate(main.operators) if tensor in made.outputs)
        main.operators.insert(place + 1, op)

    @staticmethod
    def _built(model: Any) -> Any:
        import flatbuffers

        builder = flatbuffers.Builder(0)
        builder.Finish(model.Pack(builder), b"TFL3")
        return _interpreter(model_content=bytes(builder.Output()))


def _wanted(found: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    """The details of those inputs or outputs; without names of the first."""
    return [found[name] for name in names or list(found)[:1]]


def _interpreter(**how: Any) -> Any:
    """On reference kernels: a delegate would keep to itself what lies between its nodes."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(**how, num_threads=1, experimental_op_resolver_type=plain)
    interpreter.allocate_tensors()
    return interpreter


def _delegation(path: Path, resolver: Any) -> tuple[int, set[int], list[dict[str, Any]]]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    return delegated_nodes(interpreter)


def _integers(schema: Any) -> dict[int, type]:
    kinds = schema.TensorType
    return {kinds.INT8: np.int8, kinds.UINT8: np.uint8, kinds.INT16: np.int16}


def _unique_names(names: list[str]) -> list[str]:
    times = Counter(names)
    return [name if times[name] == 1 else f"{name} ({index})" for index, name in enumerate(names)]
