"""Recipes for LiteRT (.tflite). LiteRT inputs are NHWC but for those of a finished .tflite; the batch can be resized.

Names: ``fp32``, ``float16`` and ``int8`` are the type of the weights; ``dynamic_int8`` computes the activations' ranges
at run time; ``int8`` has int8 input and output, unless ``_float_io`` or ``_uint8_io`` is in the name; ``16x8`` has 16-bit
activations; ``weight_only`` computes in float; ``mixed`` leaves chosen parts of an int8 graph in float.

Each recipe is a :class:`Scheme`, made by one of two tools: TFLiteConverter, from a SavedModel, or AI Edge Quantizer,
from a float .tflite. :func:`_by_quantizer` says by which.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from edgeworthy.errors import RecipeRefused
from edgeworthy.records import Layout
from edgeworthy.tensors import is_ragged
from edgeworthy.variants.conversion.converter_errors import left_in_float
from edgeworthy.variants.models.model_inputs import one_by_one
from edgeworthy.variants.models.opened_source import OpenedSource
from edgeworthy.variants.recipes import tflite_quantizer
from edgeworthy.variants.recipes.registry import recipe
from edgeworthy.variants.recipes.scheme import Ranges, Scheme, refuse_none_left
from edgeworthy.variants.recipes.tflite_converter import AllowedOps, convert
from edgeworthy.variants.recipes.tflite_graph import graph_layout, is_quantized
from edgeworthy.variants.recipes.tflite_quantizable import quantizable

#: A source reaches the SavedModel through some of these; a version that is not installed cannot have mattered.
FLOAT_PACKAGES = ("tensorflow", "keras", "onnx", "onnx2tf", "onnxscript", "torch")
PACKAGES = (*FLOAT_PACKAGES, "ai-edge-quantizer", "ai-edge-litert")
SECONDS = "3 to 20 s with the route from its source; under 1 s from a .tflite"
CONVERTER = "https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/post_training_quantization"
QUANTIZER = "https://github.com/google-ai-edge/ai-edge-quantizer"
INTEGER_ONLY = "Jacob et al. 2018, https://arxiv.org/abs/1712.05877"

Calibration = NDArray[np.float32]
litert_recipe = partial(recipe, runtime="litert", framework="tensorflow", packages=PACKAGES, cost=SECONDS)


class IntegerOptions(AllowedOps, total=False):
    """The options of every recipe with static int8 activations; ``moving_average`` leaves out what is rare."""

    ranges: Ranges


@litert_recipe("fp32", weights="float32", lossless=True, packages=FLOAT_PACKAGES, reference=CONVERTER)
def fp32(source: OpenedSource, out: Path, **allowed: Unpack[AllowedOps]) -> Layout:
    """Float weights and activations; a finished .tflite is taken as it is, whatever is in it."""
    return _write(source, out, _float_graph(source, allowed))


@litert_recipe("dynamic_int8", weights="int8", reference=CONVERTER)
def dynamic_int8(source: OpenedSource, out: Path, **allowed: Unpack[AllowedOps]) -> Layout:
    """int8 weights; activations are quantized at run time with dynamic ranges; float IO."""
    return _make(source, out, Scheme("int8", "dynamic"), None, allowed)


@litert_recipe("float16", weights="float16", reference=CONVERTER)
def float16(source: OpenedSource, out: Path, **allowed: Unpack[AllowedOps]) -> Layout:
    """float16 weights, half the size; computed in float32 where the hardware has no float16; float IO."""
    return _make(source, out, Scheme("float16"), None, allowed)


@litert_recipe("weight_only_int8", weights="int8", reference=QUANTIZER)
def weight_only_int8(source: OpenedSource, out: Path, **allowed: Unpack[AllowedOps]) -> Layout:
    """int8 weights, made float again for each computation: as small as int8, as accurate as float, not faster."""
    return _make(source, out, Scheme("int8"), None, allowed)


@litert_recipe("weight_only_int4", weights="int4", reference=QUANTIZER)
def weight_only_int4(source: OpenedSource, out: Path, **allowed: Unpack[AllowedOps]) -> Layout:
    """4-bit weights of convolutions and fully connected layers, made float again for each computation; float IO."""
    return _make(source, out, Scheme("int4"), None, allowed)


@litert_recipe("int8", calibrated=True, weights="int8", reference=INTEGER_ONLY)
def int8(source: OpenedSource, out: Path, *, calibration: Calibration, **options: Unpack[IntegerOptions]) -> Layout:
    """Everything int8, input and output too; ranges from ``calibration``."""
    return _integer(source, out, Scheme("int8", "int8", "int8"), calibration, options)


@litert_recipe(
    "int8_per_tensor",
    calibrated=True,
    weights="int8",
    reference="Krishnamoorthi 2018, https://arxiv.org/abs/1806.08342",
)
def int8_per_tensor(
    source: OpenedSource, out: Path, *, calibration: Calibration, **options: Unpack[IntegerOptions]
) -> Layout:
    """As ``int8``, with one scale for all channels of a layer's weights, as some accelerators want it."""
    return _integer(source, out, Scheme("int8", "int8", "int8", per_channel=False), calibration, options)


@litert_recipe("int8_float_io", calibrated=True, weights="int8", reference=INTEGER_ONLY)
def int8_float_io(
    source: OpenedSource, out: Path, *, calibration: Calibration, **options: Unpack[IntegerOptions]
) -> Layout:
    """As ``int8``, with float input and output: a drop-in for the float model."""
    return _integer(source, out, Scheme("int8", "int8"), calibration, options)


@litert_recipe("int8_uint8_io", calibrated=True, weights="int8", reference=INTEGER_ONLY)
def int8_uint8_io(
    source: OpenedSource, out: Path, *, calibration: Calibration, **options: Unpack[IntegerOptions]
) -> Layout:
    """As ``int8``, with uint8 input and output, as cameras and older accelerators want it."""
    return _integer(source, out, Scheme("int8", "int8", "uint8"), calibration, options)


@litert_recipe("int16x8", calibrated=True, weights="int8", reference=QUANTIZER)
def int16x8(source: OpenedSource, out: Path, *, calibration: Calibration, **options: Unpack[IntegerOptions]) -> Layout:
    """16-bit activations with int8 weights, int16 input and output: accurate, and slow where no kernel is tuned."""
    return _integer(source, out, Scheme("int8", "int16", "int16"), calibration, options)


@litert_recipe(
    "mixed",
    calibrated=True,
    weights="int8",
    reference="https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_debugger",
)
def mixed(
    source: OpenedSource,
    out: Path,
    *,
    calibration: Calibration,
    float_ops: list[str] = [],  # noqa: B006  never changed; an option's default is shown to the user
    float_nodes: list[str] = [],  # noqa: B006
    **options: Unpack[IntegerOptions],
) -> Layout:
    """int8 but for the TFLite ops ``float_ops`` (HARD_SWISH, ...) and the output tensors ``float_nodes``; float IO."""
    refuse_none_left("mixed", float_ops, float_nodes)
    scheme = Scheme("int8", "int8", float_ops=tuple(float_ops), float_nodes=tuple(float_nodes))
    return _integer(source, out, scheme, calibration, options)


def _integer(
    source: OpenedSource, out: Path, scheme: Scheme, calibration: Calibration, options: IntegerOptions
) -> Layout:
    return _make(source, out, replace(scheme, ranges=options.get("ranges", "minmax")), calibration, options)


def _make(
    source: OpenedSource, out: Path, scheme: Scheme, calibration: Calibration | None, allowed: AllowedOps
) -> Layout:
    by_quantizer = _by_quantizer(source, scheme, calibration is not None)
    content = (_quantized if by_quantizer else convert)(source, scheme, calibration, allowed)
    if not is_quantized(content, scheme.weights):
        raise _nothing_quantized(scheme, by_quantizer)
    return _write(source, out, content)


def _quantized(source: OpenedSource, scheme: Scheme, calibration: Calibration | None, allowed: AllowedOps) -> bytes:
    """The .tflite's content as AI Edge Quantizer makes it."""
    float_graph = _float_graph(source, allowed)
    if source.has_tflite:
        float_graph = source.once("quantizable_tflite", lambda: quantizable(float_graph))
    given = None if calibration is None else _given(source, calibration, graph_layout(source, float_graph))
    return tflite_quantizer.quantize(float_graph, scheme, given, source.title)


def _nothing_quantized(scheme: Scheme, by_quantizer: bool) -> RecipeRefused:
    if scheme.activations == "dynamic" and not by_quantizer:
        return left_in_float(
            "TFLiteConverter quantizes no weights of fewer than 1,024 values, and this graph has no larger ones",
            hint="use weight_only_int8, which quantizes small weights too, or keep only fp32",
        )
    tool = "AI Edge Quantizer" if by_quantizer else "TFLiteConverter"
    return left_in_float(f"{tool} found nothing to quantize in this graph", hint="keep only fp32")


def _given(source: OpenedSource, calibration: Calibration, layout: Layout) -> tflite_quantizer.Calibration:
    return lambda found: one_by_one(calibration, found, source.ends().inputs, layout, exact=False)


def _by_quantizer(source: OpenedSource, scheme: Scheme, calibrated: bool) -> bool:
    """Whether AI Edge Quantizer makes this scheme.

    TFLiteConverter reads no .tflite, has no weight-only schemes, takes the extremes for ranges, and refuses
    16-bit activations where a graph has an op without a 16-bit kernel (HARD_SWISH), which the quantizer leaves float.
    """
    weight_only = scheme.weights in ("int8", "int4") and scheme.activations == "float32"
    ragged = calibrated and is_ragged(source.samples.inputs)  # TFLiteConverter calibrates with samples of one size
    return (
        source.has_tflite or weight_only or ragged or scheme.activations == "int16" or scheme.ranges == "moving_average"
    )


def _float_graph(source: OpenedSource, allowed: AllowedOps) -> bytes:
    if source.has_tflite:
        return source.tflite_file().read_bytes()
    return convert(source, Scheme(), None, allowed)


def _write(source: OpenedSource, out: Path, content: bytes) -> Layout:
    out.write_bytes(content)
    return graph_layout(source, content)
