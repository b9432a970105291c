"""Recipes for ONNX Runtime (.onnx); the first axis stays dynamic, the layout is the one of the source's ONNX file."""

from __future__ import annotations

import importlib
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgeworthy.errors import RecipeRefused
from edgeworthy.records import Layout
from edgeworthy.variants.conversion.converter_errors import left_in_float, refusing
from edgeworthy.variants.conversion.onnx_models import PER_CHANNEL_OPSET, graphs_within, opset_of, without_notes
from edgeworthy.variants.models.opened_source import OpenedSource
from edgeworthy.variants.recipes.registry import recipe
from edgeworthy.variants.recipes.scheme import GraphNames, Ranges, refuse_none_left

PACKAGES = ("onnx", "onnxruntime", "onnxconverter-common", "onnxscript", "torch", "tf2onnx", "tensorflow", "keras")
QUANTIZATION = "https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html"
QNN = "https://onnxruntime.ai/docs/execution-providers/QNN-ExecutionProvider.html"
SECONDS = "1 to 10 s, most of it the export to ONNX"

Calibration = NDArray[np.float32]
ort = partial(recipe, runtime="onnxruntime", packages=PACKAGES, cost=SECONDS)


class StaticOptions(TypedDict, total=False):
    """The options of every recipe with static activations.

    ``symmetric_activations`` have their zero in the middle. ``reduce_range`` gives weights 7 bits: ONNX Runtime's kernels
    for x86 without VNNI add two products of 8 bits in 16 and saturate (QUANTIZATION, "when and why do I need to try
    reduce_range"), so that 8 bits give other outputs there.
    """

    symmetric_activations: bool
    reduce_range: bool


@ort("ort_fp32", weights="float32", lossless=True, reference="https://onnx.ai")
def ort_fp32(source: OpenedSource, out: Path) -> Layout:
    """The float ONNX file; a user's own .onnx is checked and copied, its weights untouched."""
    shutil.copyfile(source.onnx_file(), out)
    return source.onnx_layout()


@ort("ort_dynamic", weights="int8", reference=QUANTIZATION)
def ort_dynamic(source: OpenedSource, out: Path) -> Layout:
    """8-bit weights; activations are quantized at run time with dynamic ranges."""
    with refusing("onnxruntime.quantization"):
        from onnxruntime.quantization import QuantType, quantize_dynamic

        # ConvInteger has a CPU kernel for unsigned weights only.
        quantize_dynamic(_prepared(source), out, weight_type=QuantType.QUInt8)
        _slim(out)
        _check_quantized(source, out)
    return source.onnx_layout()


@ort("ort_int8_minmax", calibrated=True, weights="int8", reference=QUANTIZATION)
def ort_int8_minmax(
    source: OpenedSource,
    out: Path,
    *,
    calibration: Calibration,
    ranges: Ranges = "minmax",
    **options: Unpack[StaticOptions],
) -> Layout:
    """int8 QDQ, per channel; ranges are the extremes seen in ``calibration``, or their moving average."""
    return _static(source, out, calibration, "MinMax", options, {"CalibMovingAverage": ranges == "moving_average"})


@ort("ort_int8_entropy", calibrated=True, weights="int8", reference=f"Migacz 2017 (TensorRT); {QUANTIZATION}")
def ort_int8_entropy(
    source: OpenedSource,
    out: Path,
    *,
    calibration: Calibration,
    histogram_bins: Annotated[int, Field(ge=128)] = 128,
    **options: Unpack[StaticOptions],
) -> Layout:
    """int8 QDQ, per channel; ranges lose the least information (KL divergence) on ``calibration``.

    ONNX Runtime compares the histogram with one of 128 levels: of 128 bins, its default, the extremes are the only
    ranges to choose from.
    """
    with _histograms_of(histogram_bins):
        return _static(source, out, calibration, "Entropy", options)


@ort(
    "ort_int8_percentile", calibrated=True, weights="int8", reference="Wu et al. 2020, https://arxiv.org/abs/2004.09602"
)
def ort_int8_percentile(
    source: OpenedSource,
    out: Path,
    *,
    calibration: Calibration,
    percentile: Annotated[float, Field(gt=50, le=100)] = 99.99,
    **options: Unpack[StaticOptions],
) -> Layout:
    """int8 QDQ, per channel; ranges hold ``percentile`` percent of the values seen in ``calibration``."""
    return _static(source, out, calibration, "Percentile", options, {"CalibPercentile": percentile})


@ort("ort_mixed", calibrated=True, weights="int8", reference=QUANTIZATION)
def ort_mixed(
    source: OpenedSource,
    out: Path,
    *,
    calibration: Calibration,
    float_ops: list[str] = [],  # noqa: B006  never changed; an option's default is shown to the user
    float_nodes: list[str] = [],  # noqa: B006
    **options: Unpack[StaticOptions],
) -> Layout:
    """As ``ort_int8_minmax``, but for the ops ``float_ops`` (HardSwish, ...) and nodes ``float_nodes`` left in float."""
    refuse_none_left("ort_mixed", float_ops, float_nodes)
    excluded = _left_float(source, float_ops, float_nodes)
    return _static(source, out, calibration, "MinMax", options, excluded=excluded)


@ort("ort_qnn_int8", calibrated=True, weights="int8", reference=QNN)
def ort_qnn_int8(
    source: OpenedSource,
    out: Path,
    *,
    calibration: Calibration,
    activation_bits: Literal[8, 16] = 8,
    symmetric_activations: bool = False,
) -> Layout:
    """int8 QDQ as Qualcomm's NPU takes it, or with activations of 16 bits; ranges are the extremes."""
    _refuse_old_opset(source)
    with refusing("onnxruntime.quantization"):
        from onnxruntime.quantization import QuantType, quantize
        from onnxruntime.quantization.execution_providers.qnn import get_qnn_qdq_config

        prepared = _prepared_for_qnn(source)
        config = get_qnn_qdq_config(
            prepared,
            _Reader(source.onnx_samples(calibration)),
            activation_type=QuantType.QUInt16 if activation_bits == 16 else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            activation_symmetric=symmetric_activations,
        )
        quantize(prepared, out, config)
        _slim(out)
        _check_quantized(source, out)
    return source.onnx_layout()


@ort(
    "ort_float16",
    weights="float16",
    reference="https://onnxruntime.ai/docs/performance/model-optimizations/float16.html",
)
def ort_float16(source: OpenedSource, out: Path) -> Layout:
    """float16 weights and activations, float32 input and output."""
    with refusing("onnxconverter_common"):
        import onnx
        from onnxconverter_common import float16
        from onnxruntime.transformers import float16 as newer

        for converter in (float16, newer):  # the first leaves some graphs with both types at one op
            model = converter.convert_float_to_float16(onnx.load(source.onnx_file()), keep_io_types=True)
            onnx.save(without_notes(model), out)
            if _loads(out):
                break
    return source.onnx_layout()


def _loads(path: Path) -> bool:
    """Whether ONNX Runtime makes a session of the file."""
    import onnxruntime

    try:
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception:  # of half a dozen types
        return False
    return True


def _static(
    source: OpenedSource,
    out: Path,
    calibration: Calibration,
    method: str,
    options: StaticOptions,
    extra: Mapping[str, Any] | None = None,
    excluded: Sequence[str] = (),
) -> Layout:
    _refuse_old_opset(source)
    symmetric = {"ActivationSymmetric": options.get("symmetric_activations", False)}
    with refusing("onnxruntime.quantization"):
        from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

        quantize_static(
            _prepared(source),
            out,
            _Reader(source.onnx_samples(calibration)),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=options.get("reduce_range", False),
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod[method],
            nodes_to_exclude=list(excluded),
            extra_options={**symmetric, **(extra or {})},
        )
        _slim(out)
        _check_quantized(source, out)
    return source.onnx_layout()


def _refuse_old_opset(source: OpenedSource) -> None:
    """Raise RecipeRefused where the quantizer would silently write a file that no runtime loads."""
    opset = opset_of(source.quantizable_onnx())
    if opset is not None and opset < PER_CHANNEL_OPSET:
        raise RecipeRefused(
            f"per-channel int8 needs opset {PER_CHANNEL_OPSET} or newer; this file is of opset {opset}",
            hint=f"write opset: {PER_CHANNEL_OPSET} or newer at the model's source, or leave it out",
        )


@contextmanager
def _histograms_of(bins: int) -> Iterator[None]:
    """Histograms of so many bins inside the block; quantize_static does not hand the option on."""
    with refusing("onnxruntime.quantization"):
        module: Any = importlib.import_module("onnxruntime.quantization.quantize")
    create = module.create_calibrator

    def with_bins(*arguments: Any, extra_options: dict[str, Any], **keywords: Any) -> Any:
        return create(*arguments, extra_options={**extra_options, "num_bins": bins}, **keywords)

    module.create_calibrator = with_bins
    try:
        yield
    finally:
        module.create_calibrator = create


def _left_float(source: OpenedSource, float_ops: list[str], float_nodes: list[str]) -> list[str]:
    """The names of the nodes that are not quantized. Raises RecipeRefused for one that the prepared graph has not."""
    with refusing("onnx"):
        import onnx

        nodes = onnx.load(_prepared(source)).graph.node
    names = GraphNames(frozenset(node.op_type for node in nodes), frozenset(node.name for node in nodes))
    ops, chosen = names.chosen(float_ops, float_nodes)
    return [node.name for node in nodes if node.op_type in ops or node.name in chosen]


def _slim(out: Path) -> None:
    import onnx

    onnx.save(without_notes(onnx.load(out)), out)


def _check_quantized(source: OpenedSource, out: Path) -> None:
    """Raise RecipeRefused where the quantizer quantized nothing, which it does in silence."""
    before = _quantized_nodes(source.quantizable_onnx())
    if _quantized_nodes(out) > before:
        return
    if before:
        raise RecipeRefused(
            f"{source.title} is quantized already, and ONNX Runtime's quantizer found nothing in it that is not",
            hint="give the float .onnx, or keep only ort_fp32, which takes the file as it is",
        )
    raise left_in_float(
        "ONNX Runtime's quantizer knows none of this model's ops, or they lie in the branches of an If",
        hint="export the model without branches, drop this variant, or choose another recipe",
    )


def _quantized_nodes(path: Path) -> int:
    """How many nodes quantize, dequantize or compute with integers."""
    import onnx

    graphs = graphs_within(onnx.load(path, load_external_data=False).graph)
    return sum("Quant" in node.op_type or "Integer" in node.op_type for graph in graphs for node in graph.node)


def _prepared(source: OpenedSource) -> Path:
    """The ONNX file after shape inference and fusion, which the quantizers want, and still the same model; made once."""
    return source.once("prepared_onnx", lambda: _prepare(source))


def _prepare(source: OpenedSource) -> Path:
    from onnxruntime.quantization.shape_inference import quant_pre_process

    given, prepared = source.quantizable_onnx().absolute(), (source.scratch / "prepared.onnx").absolute()
    with chdir(source.scratch):  # where symbolic shape inference fails, it leaves files behind
        try:
            quant_pre_process(given, prepared)
        except Exception:  # it does not know every op, and the quantizers need none
            quant_pre_process(given, prepared, skip_symbolic_shape=True)
    _mend(prepared)
    source.check_file("the preparation for quantization", prepared, source.onnx_layout())
    return prepared


def _prepared_for_qnn(source: OpenedSource) -> Path:
    """The prepared file, with what QNN has one op for fused into it."""
    import onnx
    from onnxruntime.quantization.execution_providers.qnn import qnn_preprocess_model

    prepared, fused = _prepared(source), (source.scratch / "fused_for_qnn.onnx").absolute()
    model = onnx.load(prepared)
    del model.metadata_props[:]  # ONNX Runtime 1.31 fails at a model that says it is prepared
    if not qnn_preprocess_model(model, fused):
        return prepared
    _mend(fused)
    source.check_file("the preparation for QNN", fused, source.onnx_layout())
    return fused


def _mend(path: Path) -> None:
    """Write the graph again without what the quantizers stumble over."""
    import onnx

    model = onnx.load(path)
    name_apart(model.graph)
    flatten_biases(model.graph)
    onnx.save(model, path)


def name_apart(graph: Any) -> None:
    """Give every node a name, by which it may be left in float, and no tensor one that the quantizers make up.

    They call copies of a tensor by its name and a number: ``conv_25`` and ``2`` is ``conv_252``, which may be another one.
    """
    for index, node in enumerate(graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
    ends = {entry.name for entry in (*graph.input, *graph.output)}
    names = ends.union(*(node.output for node in graph.node), (tensor.name for tensor in graph.initializer))
    taken = {name for name in names - ends if _is_copy(name, names)}
    for inner in graphs_within(graph):  # a branch of an If reads tensors of the graph around it by their names
        for part in inner.node:
            for side in (part.input, part.output):
                side[:] = [f"{name}_" if name in taken else name for name in side]
    for tensor in (*graph.initializer, *graph.value_info):
        tensor.name = f"{tensor.name}_" if tensor.name in taken else tensor.name


def flatten_biases(graph: Any) -> None:
    """Make of a Gemm's bias of shape (1, channels) one of (channels,): the quantizer counts its channels on the first axis."""
    biases = {node.input[2] for node in graph.node if node.op_type == "Gemm" and len(node.input) > 2}
    for tensor in graph.initializer:
        if tensor.name in biases and len(tensor.dims) > 1:
            tensor.dims[:] = [tensor.dims[-1]] if math.prod(tensor.dims) == tensor.dims[-1] else tensor.dims


def _is_copy(name: str, names: set[str]) -> bool:
    """Whether ``name`` without some of the digits at its end is another name."""
    digits = len(name) - len(name.rstrip("0123456789"))
    return any(name[: len(name) - count] in names for count in range(1, digits + 1))


class _Reader:
    """ONNX Runtime's CalibrationDataReader, which is this one method: a sample a call, None at the end."""

    def __init__(self, samples: Iterator[dict[str, Any]]) -> None:
        self._samples = samples

    def get_next(self) -> dict[str, Any] | None:
        return next(self._samples, None)
