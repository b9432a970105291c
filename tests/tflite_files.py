"""Small .tflite files written node by node, without a converter: a linear classifier in float and in int8, and odd ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_TYPES = {
    "float32": schema.TensorType.FLOAT32, "int8": schema.TensorType.INT8, "uint8": schema.TensorType.UINT8,
    "int32": schema.TensorType.INT32, "resource": schema.TensorType.RESOURCE,
    **{name: getattr(schema.TensorType, name.upper()) for name in (
        "bool", "int4", "int16", "uint16", "uint32", "int64", "uint64", "float16", "float64", "complex64", "string",
    )},
}  # fmt: skip
CLASSES = 10
#: How many additions of zero take several microseconds on any processor.
LONG = 200


@dataclass
class TfliteFile:
    """Tensors and nodes of one graph, added one by one; ``write`` makes the file.

    A ``further_graph`` shares its buffers and codes; an op of the first one, or a signature, names it by its place, from 1.
    """

    tensors: list[Any] = field(default_factory=list)
    buffers: list[Any] = field(default_factory=lambda: [_buffer(None)])
    nodes: list[Any] = field(default_factory=list)
    codes: list[Any] = field(default_factory=list)
    ends: tuple[list[int], list[int]] = ([], [])
    further: list[TfliteFile] = field(default_factory=list)
    signatures: list[Any] = field(default_factory=list)

    def tensor(self, name: str, shape: tuple[int, ...], dtype: str, values: Any = None, scaled: Any = None) -> int:
        made = schema.TensorT()
        made.name, made.shape, made.type = name, list(shape), _TYPES[dtype]
        made.buffer = 0
        if values is not None:
            self.buffers.append(_buffer(np.ascontiguousarray(values, dtype)))
            made.buffer = len(self.buffers) - 1
        if scaled:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale, made.quantization.zeroPoint = (list(np.atleast_1d(part)) for part in scaled)
        self.tensors.append(made)
        return len(self.tensors) - 1

    def node(self, operator: int, inputs: list[int], outputs: list[int], options: Any = None, kind: int = 0) -> None:
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode = operator, min(operator, 127)  # 127: see builtinCode
        code.version = 4 if operator == schema.BuiltinOperator.FULLY_CONNECTED else 1
        self.codes.append(code)
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = len(self.codes) - 1, inputs, outputs
        made.builtinOptions, made.builtinOptionsType = options, kind
        self.nodes.append(made)

    def further_graph(self) -> TfliteFile:
        self.further.append(TfliteFile(buffers=self.buffers, codes=self.codes))
        return self.further[-1]

    def sign(self, name: str, place: int, inputs: dict[str, int], outputs: dict[str, int]) -> None:
        """Add a signature of the graph at ``place``: names of its ends -> tensors."""
        made = schema.SignatureDefT()
        made.signatureKey, made.subgraphIndex = name, place
        made.inputs, made.outputs = ([_end_of(*end) for end in ends.items()] for ends in (inputs, outputs))
        self.signatures.append(made)

    def _graph(self) -> Any:
        graph = schema.SubGraphT()
        graph.tensors, graph.operators, graph.inputs, graph.outputs = self.tensors, self.nodes, *self.ends
        return graph

    def write(self, path: Path, inputs: list[int], outputs: list[int]) -> Path:
        self.ends = inputs, outputs
        model = schema.ModelT()
        model.version, model.subgraphs = 3, [each._graph() for each in (self, *self.further)]
        model.signatureDefs = self.signatures or None
        model.operatorCodes, model.buffers = self.codes, self.buffers
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        path.write_bytes(bytes(builder.Output()))
        return path


def pixels(path: Path, weights: np.ndarray, side: int | None = None) -> Path:
    """Images (1, h, w, 2) of any size, or of one ``side``, -> (1, h, w, 3), by a convolution of ``weights`` (3, 3, 3, 2)."""
    made = TfliteFile()
    sizes = (1, side or 1, side or 1)
    given = made.tensor("image", (*sizes, 2), "float32")
    kernel = made.tensor("weights", weights.shape, "float32", weights)
    bias = made.tensor("bias", (3,), "float32", np.array([0.1, -0.1, 0.0]))
    scores = made.tensor("scores", (*sizes, 3), "float32")
    if side is None:
        for index, channels in ((given, 2), (scores, 3)):
            made.tensors[index].shapeSignature = [1, -1, -1, channels]
    options = schema.Conv2DOptionsT()
    options.padding, options.strideH, options.strideW = schema.Padding.SAME, 1, 1
    options.dilationHFactor = options.dilationWFactor = 1
    made.node(
        schema.BuiltinOperator.CONV_2D, [given, kernel, bias], [scores], options, schema.BuiltinOptions.Conv2DOptions
    )
    return made.write(path, [given], [scores])


def linear(
    path: Path,
    weights: np.ndarray,
    quantized: bool = False,
    ending: str = "",
    per_channel: bool = False,
    *,
    flat: bool = False,
) -> Path:
    """Scores of 10 classes for an image (1, 8, 8, 1) by ``weights`` (64, 10), float or int8.

    ``ending`` adds what makes it hard to batch: ``reshape`` fixes the batch at 1, ``maximum`` adds the largest score of
    the whole batch to each; or a second output, ``twice``, which in an int8 graph is made by ``also``; ``long`` lets it take
    several microseconds on any processor. ``flat`` reshapes the image to (1, 64) first, as converters do.
    """
    made = TfliteFile()
    dtype = "int8" if quantized else "float32"
    scale = float(np.abs(weights).max() / 127)
    scales, zeros = (np.full(CLASSES, scale), np.zeros(CLASSES, int)) if per_channel else (scale, 0)
    image_scale = (1 / 255, -128) if quantized else None
    given = taken = made.tensor("image:0", (1, 8, 8, 1), dtype, scaled=image_scale)
    if flat:
        taken = made.tensor("flat", (1, 64), dtype, scaled=image_scale)
        _reshape(made, given, taken, [1, 64])
    kernel = np.rint(weights.T / scale) if quantized else weights.T
    filters = made.tensor("weights", (CLASSES, 64), dtype, kernel, (scales, zeros) if quantized else None)
    bias = made.tensor(
        "bias", (CLASSES,), "int32" if quantized else "float32", np.zeros(CLASSES),
        (scales / 255, zeros) if quantized else None,
    )  # fmt: skip
    answer = (8 * scale, 3) if quantized else None
    scores = made.tensor("scores", (1, CLASSES), dtype, scaled=answer)
    options = schema.FullyConnectedOptionsT()
    made.node(
        schema.BuiltinOperator.FULLY_CONNECTED, [taken, filters, bias], [scores], options,
        schema.BuiltinOptions.FullyConnectedOptions,
    )  # fmt: skip
    outputs = _end(made, ending, scores)
    return made.write(path, [given], outputs)


def three_inputs(path: Path, weights: np.ndarray) -> Path:
    """(left @ weights[:6] + right @ weights[6:10], the same times gain): float32 (1, 6), int8 in eighths (1, 4), float32 (1,)."""
    made = TfliteFile()
    operators, kinds = schema.BuiltinOperator, schema.BuiltinOptions
    right, gain, left = (
        made.tensor("right", (1, 4), "int8", scaled=(0.125, 0)),
        made.tensor("gain", (1,), "float32"),
        made.tensor("left", (1, 6), "float32"),
    )
    floats = made.tensor("floats", (1, 4), "float32")
    made.node(operators.DEQUANTIZE, [right], [floats])
    bias = made.tensor("bias", (CLASSES,), "float32", np.zeros(CLASSES))
    parts = []
    for name, given, rows in (("left", left, weights[:6]), ("right", floats, weights[6:10])):
        kernel = made.tensor(f"{name} weights", rows.T.shape, "float32", rows.T)
        parts.append(made.tensor(f"{name} part", (1, CLASSES), "float32"))
        options = schema.FullyConnectedOptionsT()
        made.node(operators.FULLY_CONNECTED, [given, kernel, bias], [parts[-1]], options, kinds.FullyConnectedOptions)
    total, louder = (made.tensor(name, (1, CLASSES), "float32") for name in ("sum", "louder"))
    made.node(operators.ADD, parts, [total], schema.AddOptionsT(), kinds.AddOptions)
    made.node(operators.MUL, [total, gain], [louder], schema.MulOptionsT(), kinds.MulOptions)
    return made.write(path, [right, gain, left], [total, louder])


def summing(path: Path, scaled: tuple[float, int] | None = None) -> Path:
    """(before + x, twice that) of x (1, 4) and before (1, 4), float32: the sum is what ``before`` is at the next step.

    With ``scaled`` all are int8, x and ``before`` in eighths, the sum with that scale and zero point.
    """
    made = TfliteFile()
    operators, kinds = schema.BuiltinOperator, schema.BuiltinOptions
    dtype, eighths = ("int8", (0.125, 0)) if scaled else ("float32", None)
    before, x = (made.tensor(name, (1, 4), dtype, scaled=eighths) for name in ("before", "x"))
    after, twice = (made.tensor(name, (1, 4), dtype, scaled=scaled) for name in ("after", "twice"))
    made.node(operators.ADD, [before, x], [after], schema.AddOptionsT(), kinds.AddOptions)
    made.node(operators.ADD, [after, after], [twice], schema.AddOptionsT(), kinds.AddOptions)
    return made.write(path, [before, x], [twice, after])


def reshaping(path: Path, dtype: str) -> Path:
    """x (1, 2, 2, 1) of any type as it is."""
    made, sizes = TfliteFile(), [1, 2, 2, 1]
    x, y = (made.tensor(name, tuple(sizes), dtype) for name in ("x", "y"))
    _reshape(made, x, y, sizes)
    return made.write(path, [x], [y])


def _reshape(made: TfliteFile, given: int, result: int, sizes: list[int]) -> None:
    options = schema.ReshapeOptionsT()
    options.newShape = sizes
    shape, kind = made.tensor(f"shape {result}", (len(sizes),), "int32", sizes), schema.BuiltinOptions.ReshapeOptions
    made.node(schema.BuiltinOperator.RESHAPE, [given, shape], [result], options, kind)


def recurrent(path: Path, weights: np.ndarray, length: int = 2) -> Path:
    """A recurrent network over ``length`` pairs, (1, length, 2, 1); its state, a variable tensor, outlives an inference."""
    units = len(weights)
    made = TfliteFile()
    given = made.tensor("image", (1, length, 2, 1), "float32")
    steps = made.tensor("steps", (1, length, 2), "float32")
    made.node(schema.BuiltinOperator.RESHAPE, [given, made.tensor("shape", (3,), "int32", [1, length, 2])], [steps])
    tensors = [
        made.tensor("weights", (units, 2), "float32", weights),
        made.tensor("recurrent", (units, units), "float32", np.eye(units)),
        made.tensor("bias", (units,), "float32", np.zeros(units)),
        made.tensor("state", (1, units), "float32"),
    ]
    made.tensors[tensors[-1]].isVariable = True
    options = schema.SequenceRNNOptionsT()
    options.fusedActivationFunction = schema.ActivationFunctionType.TANH
    out = made.tensor("y", (1, length, units), "float32")
    kind = schema.BuiltinOptions.SequenceRNNOptions
    made.node(schema.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_RNN, [steps, *tensors], [out], options, kind)
    return made.write(path, [given], [out])


def summing_inside(path: Path) -> Path:
    """The sum of all x (1, 4) so far and twice that, float32: it is kept in a resource variable, which begins as zeros."""
    made = TfliteFile()
    x, outputs = _sum_inside(made, made, 1)
    return made.write(path, [x], outputs)


def signed(path: Path, weights: np.ndarray) -> Path:
    """Signatures ``encode``, image (1, n) @ weights (n, m) as ``code``, and ``sum``, what summing_inside does of ``step``."""
    made = TfliteFile()
    image, code = (made.tensor(name, (1, size), "float32") for name, size in zip("ic", weights.shape, strict=True))
    kernel = made.tensor("weights", weights.T.shape, "float32", weights.T)
    bias = made.tensor("bias", (weights.shape[1],), "float32", np.zeros(weights.shape[1]))
    options = schema.FullyConnectedOptionsT()
    kind = schema.BuiltinOptions.FullyConnectedOptions
    made.node(schema.BuiltinOperator.FULLY_CONNECTED, [image, kernel, bias], [code], options, kind)
    made.sign("encode", 0, {"image": image}, {"code": code})
    summing = made.further_graph()
    x, outputs = _sum_inside(made, summing, 2)
    summing.ends = [x], outputs
    made.sign("sum", 1, {"step": x}, dict(zip(("total", "twice"), outputs, strict=True)))
    return made.write(path, [image], [code])


def remembering(path: Path, weights: np.ndarray) -> Path:
    """tanh of [x (1, n), what it was at the step before (1, m)] @ weights (n + m, m), from zeros on, in a resource variable."""
    made, units = TfliteFile(), weights.shape[1]
    operators, kinds = schema.BuiltinOperator, schema.BuiltinOptions
    handle, before = _kept(made, made, 1, units)
    x, both = made.tensor("x", (1, len(weights) - units), "float32"), made.tensor("both", (1, len(weights)), "float32")
    raw, after = (made.tensor(name, (1, units), "float32") for name in ("raw", "after"))
    joined = schema.ConcatenationOptionsT()
    joined.axis = 1
    made.node(operators.CONCATENATION, [x, before], [both], joined, kinds.ConcatenationOptions)
    kernel = made.tensor("weights", weights.T.shape, "float32", weights.T)
    bias = made.tensor("bias", (units,), "float32", np.zeros(units))
    options = schema.FullyConnectedOptionsT()
    made.node(operators.FULLY_CONNECTED, [both, kernel, bias], [raw], options, kinds.FullyConnectedOptions)
    made.node(operators.TANH, [raw], [after])
    _assign(made, handle, after)
    return made.write(path, [x], [after])


def _sum_inside(file: TfliteFile, made: TfliteFile, place: int) -> tuple[int, list[int]]:
    """Add to the graph ``made`` what summing_inside does, and to ``file`` the graph at ``place`` that it begins with."""
    operators, kinds = schema.BuiltinOperator, schema.BuiltinOptions
    handle, before = _kept(file, made, place, 4)
    x, after, twice = (made.tensor(name, (1, 4), "float32") for name in ("x", "after", "twice"))
    made.node(operators.ADD, [before, x], [after], schema.AddOptionsT(), kinds.AddOptions)
    _assign(made, handle, after)
    made.node(operators.ADD, [after, after], [twice], schema.AddOptionsT(), kinds.AddOptions)
    return x, [after, twice]


def _kept(file: TfliteFile, made: TfliteFile, place: int, size: int) -> tuple[int, int]:
    """A resource variable of ``made`` and its value (1, size); a graph of ``file``, at ``place``, sets it to zeros once."""
    operators, kinds = schema.BuiltinOperator, schema.BuiltinOptions
    begins = file.further_graph()
    zeros = begins.tensor("zeros", (1, size), "float32", np.zeros((1, size)))
    _assign(begins, _handle(begins), zeros)
    once = schema.CallOnceOptionsT()
    once.initSubgraphIndex = place
    made.node(operators.CALL_ONCE, [], [], once, kinds.CallOnceOptions)
    handle, before = _handle(made), made.tensor("before", (1, size), "float32")
    made.node(operators.READ_VARIABLE, [handle], [before], schema.ReadVariableOptionsT(), kinds.ReadVariableOptions)
    return handle, before


def _assign(made: TfliteFile, handle: int, value: int) -> None:
    options, kind = schema.AssignVariableOptionsT(), schema.BuiltinOptions.AssignVariableOptions
    made.node(schema.BuiltinOperator.ASSIGN_VARIABLE, [handle, value], [], options, kind)


def _handle(made: TfliteFile) -> int:
    handle, options = made.tensor("handle", (), "resource"), schema.VarHandleOptionsT()
    options.container, options.sharedName = "", "sum"
    made.node(schema.BuiltinOperator.VAR_HANDLE, [], [handle], options, schema.BuiltinOptions.VarHandleOptions)
    return handle


def old_tflite(content: bytes) -> bytes:
    """The .tflite as an old converter wrote it: no signature, short op codes, weights in float16 that are dequantized."""
    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    tree.signatureDefs = []
    graph, weights = tree.subgraphs[0], tree.subgraphs[0].tensors[1]
    narrow, buffer, dequantize, code = schema.TensorT(), schema.BufferT(), schema.OperatorT(), schema.OperatorCodeT()
    halves = np.asarray(tree.buffers[weights.buffer].data, np.uint8).view(np.float32).astype(np.float16)
    buffer.data, tree.buffers[weights.buffer].data = halves.view(np.uint8), None
    narrow.name, narrow.shape, narrow.type, narrow.buffer = "half", weights.shape, schema.TensorType.FLOAT16, 3
    weights.buffer = 0
    tree.buffers.append(buffer)
    graph.tensors.append(narrow)
    code.builtinCode, code.version = schema.BuiltinOperator.DEQUANTIZE, 3
    tree.operatorCodes.append(code)
    dequantize.opcodeIndex, dequantize.inputs, dequantize.outputs = 1, [4], [1]
    graph.operators.insert(0, dequantize)
    for each in tree.operatorCodes:
        each.deprecatedBuiltinCode, each.builtinCode = each.builtinCode, 0
    builder = flatbuffers.Builder(0)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _end(made: TfliteFile, ending: str, scores: int) -> list[int]:
    operators, kinds = schema.BuiltinOperator, schema.BuiltinOptions
    if ending == "reshape":
        last = made.tensor("fixed", (1, CLASSES), "float32")
        _reshape(made, scores, last, [1, CLASSES])
        return [last]
    if ending == "maximum":
        axis = made.tensor("axis", (1,), "int32", [0])
        largest, last = (made.tensor(name, (1, CLASSES), "float32") for name in ("largest", "sum"))
        options = schema.ReducerOptionsT()
        options.keepDims = True
        made.node(operators.REDUCE_MAX, [scores, axis], [largest], options, kinds.ReducerOptions)
        made.node(operators.ADD, [scores, largest], [last], schema.AddOptionsT(), kinds.AddOptions)
        return [last]
    if ending == "twice":
        last = made.tensor("twice", (1, CLASSES), "float32")
        made.node(operators.ADD, [scores, scores], [last], schema.AddOptionsT(), kinds.AddOptions)
        return [scores, last]
    if ending == "also":  # of an int8 graph: the same numbers on another scale
        last = made.tensor("twice", (1, CLASSES), "int8", scaled=(made.tensors[scores].quantization.scale[0] * 2, 5))
        options = schema.AddOptionsT()
        made.node(operators.ADD, [scores, scores], [last], options, kinds.AddOptions)
        return [scores, last]
    if ending == "long":
        zeros, last = made.tensor("zeros", (1, CLASSES), "float32", np.zeros((1, CLASSES))), scores
        for index in range(LONG):
            last, previous = made.tensor(f"sum {index}", (1, CLASSES), "float32"), last
            made.node(operators.ADD, [previous, zeros], [last], schema.AddOptionsT(), kinds.AddOptions)
        return [last]
    return [scores]


def _end_of(name: str, tensor: int) -> Any:
    made = schema.TensorMapT()
    made.name, made.tensorIndex = name, tensor
    return made


def _buffer(values: Any) -> Any:
    made = schema.BufferT()
    made.data = None if values is None else np.frombuffer(values.tobytes(), np.uint8)
    return made
