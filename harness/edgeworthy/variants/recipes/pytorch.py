"""Recipes for torch (.pt, TorchScript); they need the module itself: of a factory, of torchvision, or of a .pt2 file."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.records import Layout
from edgeworthy.variants.conversion.converter_errors import left_in_float, refusing
from edgeworthy.variants.conversion.converters import zeros
from edgeworthy.variants.conversion.torch_tracing import refuse_branches, whole_trace
from edgeworthy.variants.models.opened_source import OpenedSource
from edgeworthy.variants.models.torch_sources import tensors_of
from edgeworthy.variants.recipes.registry import recipe

#: x86 first: with VNNI it uses the whole range of 8 bits, where fbgemm keeps one bit in reserve.
ENGINES = ("x86", "fbgemm", "qnnpack")
SECONDS = "1 to 3 s"


@recipe(
    "torch_fp32",
    runtime="torch",
    packages=("torch",),
    lossless=True,
    weights="float32",
    cost=SECONDS,
    reference="https://docs.pytorch.org/docs/stable/jit.html",
)
def torch_fp32(source: OpenedSource, out: Path) -> Layout:
    """The module traced and frozen."""
    module = source.torch_module()
    with refusing("torch.jit.trace"):
        examples = _examples(source)
        with whole_trace(module, *examples):
            _trace(module, examples, out)
    return source.own_layout


@recipe(
    "torch_int8",
    runtime="torch",
    calibrated=True,
    weights="int8",
    packages=("torch",),
    cost=SECONDS,
    reference="https://docs.pytorch.org/docs/stable/quantization.html",
)
def torch_int8(source: OpenedSource, out: Path, *, calibration: NDArray[np.float32]) -> Layout:
    """int8 by FX static quantization with this machine's engine, then traced and frozen; float IO."""
    module = source.torch_module()
    with refusing("torch FX quantization"):
        import torch
        from torch.ao.quantization import get_default_qconfig_mapping
        from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

        engine = next(name for name in ENGINES if name in torch.backends.quantized.supported_engines)
        torch.backends.quantized.engine = engine
        inputs, few = source.ends().inputs, calibration[: source.fixed_batch() or 2]
        observed = prepare_fx(module, get_default_qconfig_mapping(engine), tuple(tensors_of(few, inputs, "nchw")))
        with torch.inference_mode():
            for index in range(len(calibration)):
                observed(*tensors_of(calibration[index : index + 1], inputs, "nchw"))
        converted = convert_fx(observed)
        if all(node.target is not torch.quantize_per_tensor for node in converted.graph.nodes):
            raise left_in_float(
                "torch FX quantization knows none of this module's ops",
                hint="give the module by a factory, or use int8 or ort_int8_minmax",
            )
        examples = _examples(source)
        refuse_branches(module, examples)
        with warnings.catch_warnings():  # of FX' own graph, whose scales are tensors and become numbers
            warnings.simplefilter("ignore", torch.jit.TracerWarning)
            _trace(converted, examples, out)
    return source.own_layout


def _examples(source: OpenedSource) -> tuple[Any, ...]:
    """Two samples where it takes so many: with one, code that squeezes or reshapes by the batch size would bake it in."""
    return zeros(source.own_inputs(), source.fixed_batch() or 2)


def _trace(module: Any, examples: tuple[Any, ...], out: Path) -> None:
    import torch

    with torch.no_grad():
        traced = torch.jit.freeze(torch.jit.trace(module, examples))
    traced.save(str(out))
