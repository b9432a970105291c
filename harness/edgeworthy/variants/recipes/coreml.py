"""Recipes for Core ML (a zipped .mlpackage); they need the PyTorch module itself, and one sample at a time.

Only macOS predicts with such a package. Elsewhere it is converted, and checked as far as it can be read: its inputs, its outputs,
and whether its weights are what the recipe says.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal

from edgeworthy.errors import RecipeRefused
from edgeworthy.records import Layout
from edgeworthy.runners.python_runner.coreml import PACKAGE
from edgeworthy.storage import zipped
from edgeworthy.variants.conversion.converter_errors import left_in_float, refusing
from edgeworthy.variants.conversion.torch_tracing import whole_trace
from edgeworthy.variants.models.opened_source import OpenedSource
from edgeworthy.variants.models.output_names import plain_names
from edgeworthy.variants.recipes.fixed_shapes import with_fixed_shapes
from edgeworthy.variants.recipes.registry import recipe

DOCS = "https://apple.github.io/coremltools/docs-guides/source"
SECONDS = "5 to 15 s, most of it importing coremltools"
#: How ops that make weights of compressed ones begin, as coremltools' optimizers write them.
QUANTIZED, PALETTIZED = ("constexpr_affine", "constexpr_blockwise"), ("constexpr_lut",)

coreml = partial(recipe, runtime="coreml", packages=("coremltools", "torch"), cost=SECONDS)


@coreml("coreml_fp16", weights="float16", reference=f"{DOCS}/typed-execution.html")
def coreml_fp16(source: OpenedSource, out: Path) -> Layout:
    """float16 weights and activations, float input and output."""
    return _write(source, _converted(source), out)


@coreml("coreml_w8", weights="int8", reference=f"{DOCS}/opt-quantization-api.html")
def coreml_w8(source: OpenedSource, out: Path) -> Layout:
    """int8 weights of layers of 2,048 values or more, dequantized for each computation in float16; float input and output."""
    converted = _converted(source)
    with refusing("coremltools"):
        from coremltools.optimize.coreml import OpLinearQuantizerConfig, OptimizationConfig, linear_quantize_weights

        config = OptimizationConfig(global_config=OpLinearQuantizerConfig(mode="linear_symmetric"))
        compressed = linear_quantize_weights(converted, config=config)
    return _write(source, _checked(compressed, QUANTIZED), out)


@coreml("coreml_palettized", weights="palettized", reference=f"{DOCS}/opt-palettization-api.html")
def coreml_palettized(source: OpenedSource, out: Path, *, bits: Literal[1, 2, 4, 6, 8] = 4) -> Layout:
    """Weights of layers of 2,048 values or more from 2 to the power of ``bits`` values (k-means), computed in float16."""
    converted = _converted(source)
    with refusing("coremltools"):
        from coremltools.optimize.coreml import OpPalettizerConfig, OptimizationConfig, palettize_weights

        config = OptimizationConfig(global_config=OpPalettizerConfig(mode="kmeans", nbits=bits))
        compressed = palettize_weights(converted, config=config)
    return _write(source, _checked(compressed, PALETTIZED), out)


def _converted(source: OpenedSource) -> Any:
    """The coremltools.models.MLModel of the traced module in float16, for one sample or the only batch that it takes."""
    module, inputs, examples = with_fixed_shapes(source, "a Core ML package has fixed shapes here")
    names = plain_names([each.name for each in inputs], "input")
    with refusing("coremltools"):
        import coremltools as ct
        import numpy as np
        import torch

        with torch.no_grad(), whole_trace(module, *examples):
            traced = torch.jit.trace(module, examples)
        kinds = [np.int32 if each.dtype.kind == "i" else np.float32 for each in inputs]
        taken = [
            ct.TensorType(name, shape=tuple(example.shape) or (1,), dtype=kind)
            for name, example, kind in zip(names, examples, kinds, strict=True)
        ]
        given = [ct.TensorType(name) for name in plain_names(source.output_names())]
        converted = ct.convert(
            traced,
            inputs=taken,
            outputs=given,
            convert_to="mlprogram",
            compute_precision=ct.precision.FLOAT16,
            minimum_deployment_target=ct.target.iOS16,
            skip_model_load=True,
        )
    _check_ends(converted, len(taken), len(given))
    return converted


def _check_ends(model: Any, inputs: int, outputs: int) -> None:
    """Raise RecipeRefused where the package has not the source's inputs and outputs."""
    described = model.get_spec().description
    if (len(described.input), len(described.output)) != (inputs, outputs):
        raise RecipeRefused(
            f"coremltools made a model of {len(described.input)} inputs and {len(described.output)} outputs, and the source has"
            f" {inputs} and {outputs}"
        )


def _checked(model: Any, ops: tuple[str, ...]) -> Any:
    """The model. Raises RecipeRefused where none of its weights is compressed, which the optimizers leave in silence."""
    functions = model.get_spec().mlProgram.functions.values()
    found = {op.type for each in functions for block in each.block_specializations.values() for op in block.operations}
    if not any(name.startswith(ops) for name in found):
        raise left_in_float(
            "no layer of this model has the 2,048 weights from which coremltools compresses them",
            hint="drop this variant, or choose another recipe",
        )
    return model


def _write(source: OpenedSource, model: Any, out: Path) -> Layout:
    with refusing("coremltools"):
        folder = source.scratch / PACKAGE
        model.save(str(folder))
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        out.write_bytes(zipped({path.relative_to(folder.parent).as_posix(): path.read_bytes() for path in files}))
    return source.own_layout
