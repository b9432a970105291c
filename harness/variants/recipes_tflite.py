"""Recipes for LiteRT (.tflite), by TFLiteConverter from a SavedModel; inputs are NHWC, the batch can be resized.

Names: ``fp32``, ``float16`` and ``int8`` are the type of the weights; ``dynamic_int8`` computes the activations' ranges
at run time; ``int8`` takes and answers int8, ``_float_io`` and ``_uint8_io`` say otherwise; ``16x8`` has 16-bit
activations; ``mixed`` leaves chosen parts of an int8 graph in float.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import RecipeRefused
from harness.records import Layout
from harness.suggestions import did_you_mean
from harness.variants.converter_errors import refusing
from harness.variants.opened_source import OpenedSource
from harness.variants.registry import recipe
from harness.variants.source_files import layout_of

#: A source reaches the SavedModel through some of these; a version that is not installed cannot have mattered.
PACKAGES = ("tensorflow", "keras", "onnx", "onnx2tf", "onnxscript", "torch")

Calibration = NDArray[np.float32]


@recipe("fp32", runtime="litert", packages=PACKAGES, lossless=True)
def fp32(source: OpenedSource, out: Path) -> Layout:
    """Float weights and activations; a finished .tflite is taken as it is, whatever is in it."""
    if source.kind == "tflite":
        shutil.copyfile(source.tflite_file(), out)
        return _layout(source, out)
    return _convert(source, out)


@recipe("dynamic_int8", runtime="litert", packages=PACKAGES)
def dynamic_int8(source: OpenedSource, out: Path) -> Layout:
    """int8 weights; activations are quantized at run time with ranges of the moment; float IO."""
    return _convert(source, out, _optimized)


@recipe("float16", runtime="litert", packages=PACKAGES)
def float16(source: OpenedSource, out: Path) -> Layout:
    """float16 weights, half the size; computed in float32 where the hardware has no float16; float IO."""

    def configure(converter: Any, tf: Any) -> None:
        _optimized(converter, tf)
        converter.target_spec.supported_types = [tf.float16]

    return _convert(source, out, configure)


@recipe("int8", runtime="litert", calibrated=True, packages=PACKAGES)
def int8(source: OpenedSource, out: Path, *, calibration: Calibration) -> Layout:
    """Everything int8, input and output too; ranges from ``calibration``."""
    return _convert(source, out, _integer(calibration, io="int8"))


@recipe("int8_float_io", runtime="litert", calibrated=True, packages=PACKAGES)
def int8_float_io(source: OpenedSource, out: Path, *, calibration: Calibration) -> Layout:
    """As ``int8``, with float input and output: a drop-in for the float model."""
    return _convert(source, out, _integer(calibration, io="float32"))


@recipe("int8_uint8_io", runtime="litert", calibrated=True, packages=PACKAGES)
def int8_uint8_io(source: OpenedSource, out: Path, *, calibration: Calibration) -> Layout:
    """As ``int8``, with uint8 input and output, as cameras and older accelerators want it."""
    return _convert(source, out, _integer(calibration, io="uint8"))


@recipe("int16x8", runtime="litert", calibrated=True, packages=PACKAGES)
def int16x8(source: OpenedSource, out: Path, *, calibration: Calibration) -> Layout:
    """16-bit activations with int8 weights, int16 input and output: accurate, and slow where no kernel is tuned."""

    def configure(converter: Any, tf: Any) -> None:
        _integer(calibration, io="int16")(converter, tf)
        ops = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.target_spec.supported_ops = [ops]

    return _convert(source, out, configure)


@recipe("mixed", runtime="litert", calibrated=True, packages=PACKAGES)
def mixed(
    source: OpenedSource,
    out: Path,
    *,
    calibration: Calibration,
    float_ops: list[str],
    float_nodes: list[str] = [],  # noqa: B006  never changed; an option's default is shown to the user
) -> Layout:
    """int8 but for the TFLite ops ``float_ops`` (HARD_SWISH, ...) and the output tensors ``float_nodes``; float IO."""
    with refusing("TFLiteConverter"):
        import tensorflow as tf

        _check_known(source, float_ops, float_nodes)
        converter = _converter(source, tf)
        _integer(calibration, io="float32")(converter, tf)
        options = tf.lite.experimental.QuantizationDebugOptions(denylisted_ops=float_ops, denylisted_nodes=float_nodes)
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter, debug_dataset=_representative(calibration), debug_options=options
        )
        out.write_bytes(debugger.get_nondebug_quantized_model())
    return _layout(source, out)


Configure = Callable[[Any, Any], None]


def _convert(source: OpenedSource, out: Path, configure: Configure | None = None) -> Layout:
    with refusing("TFLiteConverter"):
        import tensorflow as tf

        converter = _converter(source, tf)
        if configure is not None:
            configure(converter, tf)
        out.write_bytes(converter.convert())
    return _layout(source, out)


def _converter(source: OpenedSource, tf: Any) -> Any:
    return tf.lite.TFLiteConverter.from_saved_model(str(source.saved_model()))


def _optimized(converter: Any, tf: Any) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]


def _integer(calibration: Calibration, io: str) -> Configure:
    def configure(converter: Any, tf: Any) -> None:
        _optimized(converter, tf)
        converter.representative_dataset = _representative(calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.as_dtype(io)

    return configure


def _representative(calibration: Calibration) -> Callable[[], Iterator[list[Calibration]]]:
    return lambda: ([sample[np.newaxis]] for sample in calibration)


def _check_known(source: OpenedSource, float_ops: list[str], float_nodes: list[str]) -> None:
    """Refuse names that the float graph has not: the debugger would ignore them and quantize everything."""
    interpreter = _interpreter(_converter(source, _tensorflow()).convert())
    ops = {op["op_name"] for op in interpreter._get_ops_details()}
    nodes = {tensor["name"] for tensor in interpreter.get_tensor_details()}
    for kind, wanted, known in (("op", float_ops, ops), ("node", float_nodes, nodes)):
        for name in wanted:
            if name not in known:
                raise RecipeRefused(
                    f"the TFLite graph has no {kind} {name!r}; {did_you_mean(name, known)}",
                    next_step=f"correct the option float_{kind}s",
                )


def _layout(source: OpenedSource, out: Path) -> Layout:
    """The finished file's layout; where onnx2tf came between, also that it is what we asked for."""
    entry = _interpreter(out.read_bytes()).get_input_details()[0]
    shape = [None if size == -1 else int(size) for size in entry["shape_signature"]]
    if source.kind == "tflite":
        return layout_of(shape[1:], source.input_shape, Path(source.title))
    if tuple(shape[1:]) != source.input_shape or (shape[0] is not None and source.fixed_batch() is None):
        raise RecipeRefused(
            f"the converter made an input of {shape} instead of (dynamic batch, height, width, channels)"
            f" = (None, {', '.join(map(str, source.input_shape))})",
            next_step="use the ort_* recipes for this model",
        )
    return "nhwc"


def _interpreter(content: bytes) -> Any:
    with refusing("LiteRT"):
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter(model_content=content)


def _tensorflow() -> Any:
    import tensorflow as tf

    return tf
