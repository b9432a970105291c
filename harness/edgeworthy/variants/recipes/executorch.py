"""Recipes for ExecuTorch (.pte), lowered to XNNPACK; they need the PyTorch module itself, and one sample at a time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.records import Layout
from edgeworthy.variants.conversion.converter_errors import left_in_float, refusing
from edgeworthy.variants.conversion.torch_tracing import whole_trace
from edgeworthy.variants.models.opened_source import OpenedSource
from edgeworthy.variants.models.torch_sources import tensors_of
from edgeworthy.variants.recipes.fixed_shapes import with_fixed_shapes
from edgeworthy.variants.recipes.registry import recipe

PACKAGES = ("executorch", "torch", "torchao")
DOCS = "https://docs.pytorch.org/executorch/stable"
SECONDS = "5 to 30 s, most of it importing ExecuTorch"

et = partial(recipe, runtime="executorch", packages=PACKAGES, cost=SECONDS)


@et("et_fp32", weights="float32", lossless=True, reference=f"{DOCS}/backends/xnnpack/xnnpack-overview.html")
def et_fp32(source: OpenedSource, out: Path) -> Layout:
    """Float weights and activations."""
    return _write(source, _exported(source), out)


@et("et_xnnpack_int8", weights="int8", calibrated=True, reference=f"{DOCS}/backends/xnnpack/xnnpack-quantization.html")
def et_xnnpack_int8(source: OpenedSource, out: Path, *, calibration: NDArray[np.float32]) -> Layout:
    """int8 by PT2E quantization, weights per channel; float IO."""
    return _write(source, _quantized(source, calibration, is_dynamic=False), out)


@et("et_xnnpack_dynamic", weights="int8", reference=f"{DOCS}/backends/xnnpack/xnnpack-quantization.html")
def et_xnnpack_dynamic(source: OpenedSource, out: Path) -> Layout:
    """int8 weights of fully connected layers; their activations are quantized at run time with dynamic ranges; float IO."""
    return _write(source, _quantized(source, source.images[:1], is_dynamic=True), out)


def _exported(source: OpenedSource) -> Any:
    """The torch.export.ExportedProgram of the module, for one sample or the only batch that it takes."""
    module, _, examples = with_fixed_shapes(source, "an ExecuTorch file has fixed shapes")
    return _export(module, examples)


def _export(module: Any, examples: Sequence[Any]) -> Any:
    with refusing("torch.export"):
        import torch

        with whole_trace(module, *examples):
            return torch.export.export(module, tuple(examples), strict=False)


def _quantized(source: OpenedSource, calibration: NDArray[np.float32], *, is_dynamic: bool) -> Any:
    """The exported program with quantized ops, whose static ranges are those of ``calibration``."""
    program, inputs, batch = _exported(source), source.ends().inputs, source.fixed_batch() or 1
    with refusing("XNNPACK's quantizer"):
        import torch
        from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
            XNNPACKQuantizer,
            get_symmetric_quantization_config,
        )
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

        scheme = get_symmetric_quantization_config(is_per_channel=True, is_dynamic=is_dynamic)
        observed = prepare_pt2e(program.module(), XNNPACKQuantizer().set_global(scheme))
        with torch.inference_mode():
            for sample in calibration:
                observed(*tensors_of(np.repeat(sample[np.newaxis], batch, axis=0), inputs, "nchw"))
        quantized = convert_pt2e(observed)
    if not any("quantize_per" in str(node.target) for node in quantized.graph.nodes):
        raise left_in_float(
            "XNNPACK's quantizer quantizes none of this model's ops",
            hint="drop this variant, or choose another recipe",
        )
    return _export(quantized, program.example_inputs[0])


def _write(source: OpenedSource, program: Any, out: Path) -> Layout:
    with refusing("ExecuTorch"):
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
        out.write_bytes(lowered.to_executorch().buffer)
    return source.own_layout
