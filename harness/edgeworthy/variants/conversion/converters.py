"""From one framework's model to another's, each through the converter that was measured to be the best at it.

None of them says whether the model is still the same; :mod:`edgeworthy.variants.models.same_model` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeworthy.datasets.samples import IMAGE_RANK
from edgeworthy.errors import RecipeRefused
from edgeworthy.variants.conversion.converter_errors import refusing
from edgeworthy.variants.conversion.onnx_models import TENSORFLOW_OPSET, with_outputs, without_notes, without_scope
from edgeworthy.variants.conversion.torch_tracing import whole_trace
from edgeworthy.variants.models.keras_sources import called
from edgeworthy.variants.models.model_ends import keras_outputs
from edgeworthy.variants.models.model_inputs import ModelInput
from edgeworthy.variants.models.source_files import Shape
from edgeworthy.variants.models.tensorflow_sources import outputs_of, save_function, specs

#: Of ONNX files made from torch, unless the source asks for another.
TORCH_OPSET = 18
#: torch's dynamo exporter silently makes this of anything smaller; the older exporter honours it.
LEAST_DYNAMO_OPSET = 18
#: HardSwish is an operator from here on.
HARD_SWISH_OPSET = 14
MAX_BATCH = 1024


def tensorflow_to_onnx(
    function: Any, inputs: Sequence[ModelInput], opset: int | None, scope: str, names: Sequence[str]
) -> Any:
    """The onnx.ModelProto of a function of the tensors ``inputs``, by tf2onnx; a batch of None is dynamic.

    Several outputs get ``names``.

    ``scope`` is the name that a model puts at the head of the names of its tensors.
    """
    with refusing("tf2onnx"):
        import tensorflow as tf
        import tf2onnx

        wanted = opset or TENSORFLOW_OPSET
        signature = specs(inputs)
        traced = tf.function(function, signature)
        if _captures_constants(traced):
            frozen = frozen_function(function, inputs)
            traced = tf.function(lambda *x: outputs_of(frozen, x), signature)
        converted, _ = tf2onnx.convert.from_function(traced, signature, opset=wanted)
        made = without_scope(with_hard_swish(converted) if wanted >= HARD_SWISH_OPSET else converted, scope)
        return with_outputs(made, names) if len(names) > 1 else made


def keras_to_saved_model(model: Any, inputs: Sequence[ModelInput], folder: Path) -> Path:
    """Write ``folder``, a SavedModel that takes ``inputs``, with the model's weights as constants.

    Keras' own export gives the same ops. With variables and Keras' objects in it, TensorFlow reads it many times slower,
    and again for each conversion; and it takes no fixed batch and no layer that trains by default.
    """
    for layer in model._flatten_layers():
        if getattr(layer, "compute_dtype", "") == "float16":
            raise RecipeRefused(
                f"the Keras model computes in float16 (layer {layer.name!r}), for which LiteRT has no kernels",
                hint="save it with the dtype policy float32; under mixed_float16 its weights are float32 already",
            )
    return save_function(frozen_function(called(model), inputs), inputs, folder, keras_outputs(model))


def frozen_function(function: Any, inputs: Sequence[ModelInput]) -> Any:
    """The TensorFlow function of the tensors ``inputs`` without variables and captured constants."""
    with refusing("TensorFlow"):
        import tensorflow as tf
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

        concrete = tf.function(function, input_signature=specs(inputs)).get_concrete_function()
        return convert_variables_to_constants_v2(concrete, lower_control_flow=False)


def torch_to_onnx(module: Any, inputs: Sequence[ModelInput], opset: int | None, out: Path, names: Sequence[str]) -> Any:
    """The onnx.ModelProto of a module that takes ``inputs``, by torch's own exporter; a batch of None is dynamic.

    ``names`` are those of its outputs; ``out`` is a file that the exporter may use.
    """
    wanted = opset or TORCH_OPSET
    with refusing("torch.onnx.export"):
        import onnx
        import torch

        examples = zeros(inputs, 2)
        with whole_trace(module, *examples):
            torch.onnx.export(
                module,
                examples,
                str(out),
                input_names=[each.name for each in inputs],
                output_names=list(names),
                opset_version=wanted,
                external_data=False,
                verbose=False,
                **(_dynamo(torch, inputs) if wanted >= LEAST_DYNAMO_OPSET else _legacy(inputs, names)),
            )

        return without_notes(onnx.load(out))


def zeros(inputs: Sequence[ModelInput], batch: int) -> tuple[Any, ...]:
    """torch tensors of zeros for ``inputs``, so many samples where the batch is open, each as large as the largest."""
    import torch

    kinds = {kind: getattr(torch, kind) for kind in ("float32", "int64")}
    return tuple(torch.zeros(each.closed(batch), dtype=kinds[each.dtype.name]) for each in inputs)


def _open(each: ModelInput) -> list[int]:
    """The axes of an input whose size is open; the first is the batch."""
    return [axis for axis, size in enumerate(each.shape) if size is None]


def _dynamo(torch: Any, inputs: Sequence[ModelInput]) -> dict[str, Any]:
    batch, other = torch.export.Dim("batch", min=1, max=MAX_BATCH), torch.export.Dim.AUTO
    shapes = tuple({axis: other if axis else batch for axis in _open(each)} or None for each in inputs)
    return {"dynamo": True, "dynamic_shapes": shapes if any(shapes) else None}


def _legacy(inputs: Sequence[ModelInput], names: Sequence[str]) -> dict[str, Any]:
    axes = {each.name: {axis: f"{each.name}_{axis}" if axis else "batch" for axis in _open(each)} for each in inputs}
    varying = {name: found for name, found in axes.items() if found}
    if any(0 in found for found in varying.values()):
        varying |= {name: {0: "batch"} for name in names}
    return {"dynamo": False, "dynamic_axes": varying or None}


def torch_to_tflite(module: Any, batch: int, sample: Shape, images: Sequence[int], out: Path) -> Path:
    """Write a float .tflite with a signature by litert-torch; its images are NHWC, those of its outputs ``images`` too.

    It has no dynamic batch: an export with one ends in a TypeError. A runner may still resize most of its graphs.
    """
    with refusing("litert-torch"):
        import litert_torch
        import torch

        outputs = list(images) or None
        arguments = [0] if len(sample) + 1 == IMAGE_RANK else None
        channels_last = litert_torch.to_channel_last_io(module, args=arguments, outputs=outputs)
        channels_last.training = False  # not by eval(): a torch.export file's module raises there
        example = torch.zeros(batch, *sample)
        with whole_trace(channels_last, example):
            litert_torch.convert(channels_last, (example,)).export(str(out))
    return out


def _captures_constants(function: Any) -> bool:
    """Whether the function takes constants from outside, which tf2onnx would make inputs of the graph."""
    concrete = function.get_concrete_function()
    return any(inner.dtype.name != "resource" for inner in concrete.captured_inputs)


def with_hard_swish(model: Any) -> Any:
    """The onnx.ModelProto with HardSwish and HardSigmoid where TensorFlow spells them out as add, clip, multiply.

    A runtime has kernels for the two; the chain of four took a float model 1.4 times as long.
    """
    from onnxscript.rewriter import pattern, rewrite

    def hard_sigmoid(op: Any, x: Any, three: Any, zero: Any, six: Any, sixth: Any) -> Any:
        return op.Mul(op.Clip(op.Add(x, three), zero, six), sixth)

    def hard_swish(op: Any, x: Any, three: Any, zero: Any, six: Any, sixth: Any) -> Any:
        return op.Mul(x, hard_sigmoid(op, x, three, zero, six, sixth))

    def constants_fit(context: Any, three: Any, zero: Any, six: Any, sixth: Any, **_: Any) -> bool:
        values = [value.const_value for value in (three, zero, six, sixth)]
        expected = (3.0, 0.0, 6.0, 1 / 6)
        return all(
            value is not None and np.allclose(value.numpy(), e) for value, e in zip(values, expected, strict=True)
        )

    # One after the other: the smaller pattern would also match inside the larger.
    for old, new in (
        (hard_swish, lambda op, x, **_: op.HardSwish(x)),
        (hard_sigmoid, lambda op, x, **_: op.HardSigmoid(x, alpha=1 / 6, beta=0.5)),
    ):
        rule = pattern.RewriteRule(old, new, constants_fit)
        model = rewrite(model, pattern.RewriteRuleSet([rule], commute=True))
    return model
