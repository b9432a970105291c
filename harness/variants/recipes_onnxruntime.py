"""Recipes for ONNX Runtime (.onnx); the first axis stays dynamic, the layout is the one of the source's ONNX file."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.records import Layout
from harness.variants.answers import in_layout
from harness.variants.converter_errors import refusing
from harness.variants.converters import without_notes
from harness.variants.opened_source import OpenedSource
from harness.variants.registry import recipe
from harness.variants.source_files import onnx_input

PACKAGES = ("onnx", "onnxruntime", "onnxconverter-common", "onnxscript", "torch", "tf2onnx", "tensorflow", "keras")

Calibration = NDArray[np.float32]


@recipe("ort_fp32", runtime="onnxruntime", packages=PACKAGES, lossless=True)
def ort_fp32(source: OpenedSource, out: Path) -> Layout:
    """The float ONNX file; a user's own .onnx is checked and copied, its weights untouched."""
    shutil.copyfile(source.onnx_file(), out)
    return source.onnx_layout()


@recipe("ort_dynamic", runtime="onnxruntime", packages=PACKAGES)
def ort_dynamic(source: OpenedSource, out: Path) -> Layout:
    """8-bit weights; activations are quantized at run time with ranges of the moment."""
    with refusing("onnxruntime.quantization"):
        from onnxruntime.quantization import QuantType, quantize_dynamic

        # ConvInteger has a CPU kernel for unsigned weights only.
        quantize_dynamic(_prepared(source), out, weight_type=QuantType.QUInt8)
        _slim(out)
    return source.onnx_layout()


@recipe("ort_int8_minmax", runtime="onnxruntime", calibrated=True, packages=PACKAGES)
def ort_int8_minmax(source: OpenedSource, out: Path, *, calibration: Calibration) -> Layout:
    """int8 QDQ, per channel; ranges are the extremes seen in ``calibration``."""
    return _static(source, out, calibration, "MinMax")


@recipe("ort_int8_entropy", runtime="onnxruntime", calibrated=True, packages=PACKAGES)
def ort_int8_entropy(source: OpenedSource, out: Path, *, calibration: Calibration) -> Layout:
    """int8 QDQ, per channel; ranges lose the least information (KL divergence) on ``calibration``."""
    return _static(source, out, calibration, "Entropy")


@recipe("ort_float16", runtime="onnxruntime", packages=PACKAGES)
def ort_float16(source: OpenedSource, out: Path) -> Layout:
    """float16 weights and activations, float32 input and output."""
    with refusing("onnxconverter_common"):
        import onnx
        from onnxconverter_common import float16

        model = float16.convert_float_to_float16(onnx.load(source.onnx_file()), keep_io_types=True)
        onnx.save(without_notes(model), out)
    return source.onnx_layout()


def _static(source: OpenedSource, out: Path, calibration: Calibration, method: str) -> Layout:
    with refusing("onnxruntime.quantization"):
        from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

        quantize_static(
            _prepared(source),
            out,
            _Reader(onnx_input(source.onnx_file()).name, in_layout(calibration, source.onnx_layout())),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod[method],
        )
        _slim(out)
    return source.onnx_layout()


def _slim(out: Path) -> None:
    import onnx

    onnx.save(without_notes(onnx.load(out)), out)


def _prepared(source: OpenedSource) -> Path:
    """The ONNX file after shape inference and fusion, which the quantizers want; made once."""
    prepared = source.scratch / "prepared.onnx"
    if not prepared.exists():
        from onnxruntime.quantization.shape_inference import quant_pre_process

        quant_pre_process(source.onnx_file(), prepared)
    return prepared


class _Reader:
    """ONNX Runtime's CalibrationDataReader, which is this one method: a sample a call, None at the end."""

    def __init__(self, name: str, images: Calibration) -> None:
        self._samples: Iterator[dict[str, Any]] = ({name: image[np.newaxis]} for image in images)

    def get_next(self) -> dict[str, Any] | None:
        return next(self._samples, None)
