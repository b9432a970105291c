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
