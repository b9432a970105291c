"""TFLiteConverter: from a SavedModel to a .tflite of any scheme but the ones that only the quantizer knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from edgeworthy.errors import RecipeRefused
from edgeworthy.variants.conversion.converter_errors import refusing
from edgeworthy.variants.conversion.tflite_packing import packed
from edgeworthy.variants.models.fixed_shapes import tflite_for
from edgeworthy.variants.models.model_inputs import one_by_one
from edgeworthy.variants.models.opened_source import OpenedSource
from edgeworthy.variants.recipes.scheme import Scheme
from edgeworthy.variants.recipes.tflite_graph import graph_names

Calibration = NDArray[np.float32]


class AllowedOps(TypedDict, total=False):
    """Ops beyond LiteRT's own that may stay in the graph; a runner must have them linked in."""

    allow_select_tf_ops: bool
    allow_custom_ops: bool


def convert(source: OpenedSource, scheme: Scheme, calibration: Calibration | None, allowed: AllowedOps) -> bytes:
    """The .tflite's content, for any batch where that converts, else for one sample.

    Raises RecipeRefused with the converter's reason.
    """
    return source.first_that_converts(lambda batch: _convert(source, batch, scheme, calibration, allowed))


def _convert(
    source: OpenedSource, batch: int | None, scheme: Scheme, calibration: Calibration | None, allowed: AllowedOps
) -> bytes:
    with _naming_options(), refusing("TFLiteConverter"):
        import tensorflow as tf
        from tensorflow.lite.python import schema_py_generated as schema

        if scheme == Scheme():
            return _float_graph(source, batch, allowed)
        converter = _converter(source, batch, allowed, tf)
        _quantize(converter, scheme, _representative(source, batch, calibration), tf)
        if not (scheme.float_ops or scheme.float_nodes):
            return _finished(source, packed(converter.convert(), schema))
        ops, nodes = graph_names(_float_graph(source, batch, allowed)).chosen(scheme.float_ops, scheme.float_nodes)
        return _finished(source, packed(_mixed(converter, ops, nodes, tf), schema))


def _finished(source: OpenedSource, content: bytes) -> bytes:
    """The .tflite as it can be allocated, where it leaves sizes open."""
    return tflite_for(content, source.ends().inputs, source.input_shape)


def _float_graph(source: OpenedSource, batch: int | None, allowed: AllowedOps) -> bytes:
    """The .tflite without quantization, converted once for all recipes that are it or begin with it."""
    import tensorflow as tf
    from tensorflow.lite.python import schema_py_generated as schema

    def make() -> bytes:
        with refusing("TFLiteConverter"):
            return _finished(source, packed(_converter(source, batch, allowed, tf).convert(), schema))

    return source.once(f"float graph of batch {batch}, {sorted(allowed.items())}", make)


@contextmanager
def _naming_options() -> Iterator[None]:
    """If LiteRT lacks an op, the hint names the options that keep it."""
    try:
        yield
    except RecipeRefused as error:
        if "neither a custom op nor a flex op" not in error.message:
            raise
        raise RecipeRefused(
            error.message,
            hint="let it stay with the option allow_select_tf_ops, or allow_custom_ops where TensorFlow's runtime for"
            " LiteRT has not got it either, and run it where it is linked in",
        ) from error


def _converter(source: OpenedSource, batch: int | None, allowed: AllowedOps, tf: Any) -> Any:
    converter = tf.lite.TFLiteConverter.from_saved_model(str(source.saved_model(batch)))
    converter.allow_custom_ops = allowed.get("allow_custom_ops", False)
    converter.target_spec.supported_ops = _ops(allowed, tf.lite.OpsSet.TFLITE_BUILTINS, tf)
    return converter


def _ops(allowed: AllowedOps, builtins: Any, tf: Any) -> list[Any]:
    return [builtins, tf.lite.OpsSet.SELECT_TF_OPS] if allowed.get("allow_select_tf_ops") else [builtins]


def _quantize(converter: Any, scheme: Scheme, representative: Callable[[], Iterator[Any]] | None, tf: Any) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter._experimental_disable_per_channel = not scheme.per_channel
    if scheme.weights == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if scheme.activations == "int8":
        converter.representative_dataset = representative
        converter.inference_input_type = converter.inference_output_type = tf.as_dtype(scheme.io)
        ops = converter.target_spec.supported_ops
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, *ops[1:]]


def _mixed(converter: Any, float_ops: list[str], float_nodes: list[str], tf: Any) -> bytes:
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter,
        debug_dataset=converter.representative_dataset,
        debug_options=tf.lite.experimental.QuantizationDebugOptions(
            denylisted_ops=float_ops, denylisted_nodes=float_nodes
        ),
    )
    content: bytes = debugger.get_nondebug_quantized_model()
    return content


def _representative(
    source: OpenedSource, batch: int | None, calibration: Calibration | None
) -> Callable[[], Iterator[Any]] | None:
    """The calibration samples, again and again: each a list of the only input, or several by name."""
    if calibration is None:
        return None
    inputs = source.ends().inputs
    found = source.saved_inputs(batch) if inputs else source.own_inputs()

    def samples() -> Iterator[Any]:
        for given in one_by_one(calibration, found, inputs, "nhwc", exact=False):
            yield given if inputs else list(given.values())

    return samples
