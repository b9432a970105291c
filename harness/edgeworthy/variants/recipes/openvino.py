"""Recipes for OpenVINO (a zip of model.xml and model.bin), from the source's ONNX file; the first axis stays dynamic."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgeworthy.records import Layout
from edgeworthy.runners.python_runner.openvino import GRAPH, WEIGHTS
from edgeworthy.storage import zipped
from edgeworthy.variants.conversion.converter_errors import left_in_float, refusing
from edgeworthy.variants.models.model_inputs import found_again
from edgeworthy.variants.models.opened_source import OpenedSource
from edgeworthy.variants.models.output_names import in_order
from edgeworthy.variants.models.source_files import onnx_inputs, onnx_outputs
from edgeworthy.variants.recipes.registry import recipe
from edgeworthy.variants.recipes.scheme import GraphNames

PACKAGES = ("openvino", "onnx", "onnxscript", "torch", "tf2onnx", "tensorflow", "keras")
FORMAT = "https://docs.openvino.ai/2026/documentation/openvino-ir-format.html"
SECONDS = "1 to 10 s, most of it the export to ONNX"

ov = partial(recipe, runtime="openvino", packages=PACKAGES, cost=SECONDS)


@ov("ov_fp32", weights="float32", lossless=True, reference=FORMAT)
def ov_fp32(source: OpenedSource, out: Path) -> Layout:
    """Float weights and activations."""
    return _write(source, _graph(source), out)


@ov("ov_fp16", weights="float16", reference=FORMAT)
def ov_fp16(source: OpenedSource, out: Path) -> Layout:
    """float16 weights, decompressed when the model is loaded; float input and output."""
    return _write(source, _graph(source), out, float16=True)


@ov(
    "ov_int8",
    calibrated=True,
    weights="int8",
    packages=(*PACKAGES, "nncf"),
    reference="https://docs.openvino.ai/2026/openvino-workflow/model-optimization-guide/quantizing-models-post-training.html",
)
def ov_int8(
    source: OpenedSource,
    out: Path,
    *,
    calibration: NDArray[np.float32],
    preset: Literal["performance", "mixed"] = "performance",
    ranges: Literal["mean_minmax", "minmax"] = "mean_minmax",
    fast_bias_correction: bool = True,
    float_ops: list[str] = [],  # noqa: B006  never changed; an option's default is shown to the user
    float_nodes: list[str] = [],  # noqa: B006
) -> Layout:
    """int8 by NNCF, weights per channel; activations symmetric, or with the preset ``mixed`` asymmetric; float IO."""
    graph = _graph(source)
    with refusing("NNCF"):
        import nncf

        ops, nodes = _names(graph).chosen(float_ops, float_nodes)
        quantized = nncf.quantize(
            graph,
            nncf.Dataset(list(source.onnx_samples(calibration))),
            preset=nncf.QuantizationPreset(preset),
            subset_size=len(calibration),
            fast_bias_correction=fast_bias_correction,
            ignored_scope=nncf.IgnoredScope(types=ops, names=nodes),
            advanced_parameters=_activations(ranges),
        )
    if "FakeQuantize" not in _names(quantized).ops:
        raise left_in_float(
            "NNCF quantizes none of this model's ops", hint="drop this variant, or choose another recipe"
        )
    return _write(source, quantized, out)


def _activations(ranges: str) -> Any:
    """NNCF's parameters for ranges of activations: the extremes of all samples, or the mean of each sample's."""
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    estimator = getattr(RangeEstimatorParametersSet, ranges.upper())
    return AdvancedQuantizationParameters(activations_range_estimator_params=estimator)


def _graph(source: OpenedSource) -> Any:
    """The openvino.Model of the source's ONNX file, with its inputs and outputs in the source's order."""
    given, ends = source.onnx_file(), source.ends()
    with refusing("OpenVINO"):
        import openvino

        inputs = [each.name for each in onnx_inputs(given)]
        outputs = in_order(onnx_outputs(given), ends.outputs)
        model = openvino.convert_model(given)
        return openvino.Model(
            [model.output(name).node for name in outputs],
            [model.input(name).node for name in (found_again(inputs, ends.inputs) if ends.inputs else inputs)],
            model.friendly_name,
        )


def _names(model: Any) -> GraphNames:
    ops = model.get_ops()
    return GraphNames(
        frozenset(each.get_type_name() for each in ops), frozenset(each.get_friendly_name() for each in ops)
    )


def _write(source: OpenedSource, model: Any, out: Path, *, float16: bool = False) -> Layout:
    with refusing("OpenVINO"):
        import openvino

        made = source.scratch / GRAPH
        openvino.save_model(model, made, compress_to_fp16=float16)
        out.write_bytes(zipped({name: made.with_name(name).read_bytes() for name in (GRAPH, WEIGHTS)}))
    return source.onnx_layout()
