"""AI Edge Quantizer: from a float .tflite to a quantized one, without TensorFlow. One without a signature gets one.

Its algorithms and policies: https://github.com/google-ai-edge/ai-edge-quantizer
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from numpy.typing import NDArray

from edgeworthy.errors import RecipeRefused
from edgeworthy.variants.conversion.converter_errors import refusing
from edgeworthy.variants.conversion.tflite_packing import packed
from edgeworthy.variants.models.model_inputs import ModelInput
from edgeworthy.variants.models.model_outputs import tflite_inputs
from edgeworthy.variants.recipes.scheme import Scheme
from edgeworthy.variants.recipes.tflite_graph import graph_names, interpreter

#: From a model's inputs to what they are given, sample by sample.
Calibration = Callable[[list[ModelInput]], Iterable[dict[str, NDArray[Any]]]]
EVERYTHING = ".*"
ENDS = ("INPUT", "OUTPUT")


def quantize(float_model: bytes, scheme: Scheme, calibration: Calibration | None, title: str) -> bytes:
    """The quantized .tflite's content; ``title`` is the user's name for the float one.

    ``calibration`` gives the samples of each of the model's inputs.

    Raises RecipeRefused where ``float_model`` is quantized already.
    """
    signature = _signature(float_model, title)
    with refusing("AI Edge Quantizer"):
        from ai_edge_litert import schema_py_generated as schema
        from ai_edge_quantizer.quantizer import Quantizer

        quantizer = Quantizer(float_model)
        _configure(quantizer, float_model, scheme)
        ranges = None
        if quantizer.need_calibration:
            ranges = _ranges(quantizer, float_model, scheme, {signature: _samples(float_model, calibration)})
        result = quantizer.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
        content = bytes(result.quantized_model)
    return packed(content, schema)


def _signature(content: bytes, title: str) -> str:
    """The only signature's name."""
    model = interpreter(content)
    if any(tensor["quantization_parameters"]["scales"].size for tensor in model.get_tensor_details()):
        raise RecipeRefused(
            f"{title} is quantized already; only a float .tflite can be quantized",
            hint="give the float .tflite, or keep only fp32, which takes the file as it is",
        )
    return str(next(iter(model.get_signature_list())))


def _configure(quantizer: Any, float_model: bytes, scheme: Scheme) -> None:
    from ai_edge_quantizer.qtyping import QuantGranularity, TFLOperationName
    from ai_edge_quantizer.quantizer import AlgorithmName

    granularity = QuantGranularity.CHANNELWISE if scheme.per_channel else QuantGranularity.TENSORWISE
    all_ops = (EVERYTHING, TFLOperationName.ALL_SUPPORTED)
    bits = {"int4": 4, "int8": 8, "float16": 16}[scheme.weights]
    if scheme.activations == "dynamic":
        quantizer.add_dynamic_config(*all_ops, bits, granularity)
    elif scheme.weights == "float16":
        quantizer.add_weight_only_config(*all_ops, bits, algorithm_key=AlgorithmName.FLOAT_CASTING)
    elif scheme.activations == "float32":
        # Of 16 levels the extremes waste most: OCTAV clips them where the squared error is least (Sakr et al. 2022,
        # https://arxiv.org/abs/2206.06501).
        algorithm = AlgorithmName.OCTAV if bits == 4 else AlgorithmName.MIN_MAX_UNIFORM_QUANT
        quantizer.add_weight_only_config(*all_ops, bits, granularity, algorithm_key=algorithm)
    else:
        quantizer.add_static_config(*all_ops, {"int8": 8, "int16": 16}[scheme.activations], bits, granularity)
    if scheme.io == "uint8":
        for end in ENDS:
            quantizer.update_quantization_recipe(EVERYTHING, TFLOperationName(end), _unsigned())
    for regex, op in _left_float(float_model, scheme):
        quantizer.update_quantization_recipe(regex, TFLOperationName(op), algorithm_key=AlgorithmName.NO_QUANTIZE)


def _unsigned() -> Any:
    """uint8 activations; the quantizer lets input and output alone have them."""
    from ai_edge_quantizer.qtyping import (
        ComputePrecision,
        OpQuantizationConfig,
        QuantGranularity,
        TensorDataType,
        TensorQuantizationConfig,
    )

    return OpQuantizationConfig(
        activation_tensor_config=TensorQuantizationConfig(8, symmetric=False, dtype=TensorDataType.UINT),
        weight_tensor_config=TensorQuantizationConfig(8, granularity=QuantGranularity.CHANNELWISE),
        compute_precision=ComputePrecision.INTEGER,
        explicit_dequantize=False,
    )


def _left_float(float_model: bytes, scheme: Scheme) -> list[tuple[str, str]]:
    """What the quantizer must not touch: pairs of a regular expression of names and a type of op."""
    ops, nodes = graph_names(float_model).chosen(scheme.float_ops, scheme.float_nodes)
    ends = ENDS if scheme.io == "float32" and scheme.activations in ("int8", "int16") else ()
    return [*((EVERYTHING, op) for op in (*ends, *ops)), *((re.escape(node), "*") for node in nodes)]


def _ranges(quantizer: Any, float_model: bytes, scheme: Scheme, samples: Any) -> Any:
    from ai_edge_quantizer.calibrator import Calibrator
    from ai_edge_quantizer.utils import qsv_utils

    update = {"minmax": qsv_utils.min_max_update, "moving_average": qsv_utils.moving_average_update}[scheme.ranges]
    calibrator = Calibrator(float_model, num_threads=1, qsv_update_func=update)
    calibrator.calibrate(samples, quantizer._recipe_manager)
    return calibrator.get_model_qsvs()


def _samples(float_model: bytes, calibration: Calibration | None) -> list[dict[str, Any]]:
    assert calibration is not None
    return list(calibration(tflite_inputs(float_model)))
