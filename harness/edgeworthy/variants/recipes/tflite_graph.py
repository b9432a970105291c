"""What a .tflite says of itself: its input, its ops, its names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeworthy.errors import RecipeRefused
from edgeworthy.records import Layout
from edgeworthy.variants.conversion.converter_errors import refusing
from edgeworthy.variants.models.model_ends import opened_tflite
from edgeworthy.variants.models.model_inputs import as_in_source
from edgeworthy.variants.models.model_outputs import tflite_inputs
from edgeworthy.variants.models.opened_source import OpenedSource
from edgeworthy.variants.models.source_files import check_shapes_of, layout_of
from edgeworthy.variants.recipes.scheme import GraphNames


def interpreter(content: bytes) -> Any:
    """LiteRT's interpreter of the file, nothing allocated."""
    with refusing("LiteRT"):
        return opened_tflite(content)


def graph_names(content: bytes) -> GraphNames:
    """The types of ops (HARD_SWISH, ...) and the names of tensors."""
    graph = interpreter(content)
    ops = frozenset(op["op_name"] for op in graph._get_ops_details())
    return GraphNames(ops, frozenset(tensor["name"] for tensor in graph.get_tensor_details()))


def is_quantized(content: bytes, weights: str) -> bool:
    """Whether something in the file is of a scheme whose weights have this type: a constant, or what an op computes with.

    An op that converts numbers alone, at the ends of a graph that computes in float, is no sign of it.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content, 0)
    converting = {schema.BuiltinOperator.QUANTIZE, schema.BuiltinOperator.DEQUANTIZE}
    codes = [model.OperatorCodes(index).BuiltinCode() for index in range(model.OperatorCodesLength())]
    for graph in (model.Subgraphs(index) for index in range(model.SubgraphsLength())):
        tensors = [graph.Tensors(index) for index in range(graph.TensorsLength())]
        ops = (graph.Operators(index) for index in range(graph.OperatorsLength()))
        computing = [op for op in ops if codes[op.OpcodeIndex()] not in converting]
        read = {op.Inputs(index) for op in computing for index in range(op.InputsLength())}
        for index, tensor in enumerate(tensors):
            if (index in read or _is_constant(model, tensor)) and _is_of(tensor, weights, schema):
                return True
    return False


def _is_constant(model: Any, tensor: Any) -> bool:
    buffer = model.Buffers(tensor.Buffer())
    return bool(buffer.DataLength() or buffer.Offset() > 1)  # of a large file, the constants lie behind the FlatBuffer


def _is_of(tensor: Any, weights: str, schema: Any) -> bool:
    if weights == "float16":
        return bool(tensor.Type() == schema.TensorType.FLOAT16)
    quantization = tensor.Quantization()
    return quantization is not None and quantization.ScaleLength() > 0


def graph_layout(source: OpenedSource, content: bytes) -> Layout:
    """The layout of the graph's input; where TFLiteConverter made it, also that it is what we asked for."""
    found, inputs = tflite_inputs(content), source.ends().inputs
    if source.samples.inputs:
        check_shapes_of(as_in_source(found, inputs), inputs, Path(source.title))
        return "nhwc"
    shape = found[0].shape
    if source.has_tflite:
        return layout_of(shape[1:], source.input_shape, Path(source.title))
    if tuple(shape[1:]) != source.input_shape or shape[0] not in (None, 1, source.fixed_batch()):
        raise RecipeRefused(
            f"the converter made an input of {shape} instead of (None, {', '.join(map(str, source.input_shape))}), the batch"
            " dynamic",
            hint="use the ort_* recipes for this model",
        )
    return "nhwc"
