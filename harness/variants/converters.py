"""From one framework's model to another's, each through the converter that was measured to be the best at it.

None of them says whether the model is still the same; :mod:`harness.variants.same_model` does.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import RecipeRefused
from harness.records import Layout
from harness.variants.converter_errors import refusing
from harness.variants.source_files import onnx_input

#: Of ONNX files made from TensorFlow and from torch, unless the source asks for another.
TENSORFLOW_OPSET = 17
TORCH_OPSET = 18
#: torch's dynamo exporter silently makes this of anything smaller; the older exporter does as it is told.
LEAST_DYNAMO_OPSET = 18
#: HardSwish is an operator from here on.
HARD_SWISH_OPSET = 14
MAX_BATCH = 1024

Sample = tuple[int, int, int]


def tensorflow_to_onnx(function: Any, batch: int | None, sample: Sample, opset: int | None, scope: str) -> Any:
    """The onnx.ModelProto of a function of one NHWC image tensor, by tf2onnx; batch None is dynamic.

    ``scope`` is the name that a model puts at the head of the names of its tensors.
    """
    with refusing("tf2onnx"):
        import tensorflow as tf
        import tf2onnx

        wanted = opset or TENSORFLOW_OPSET
        signature = [tf.TensorSpec((batch, *sample), tf.float32, name="input")]
        converted, _ = tf2onnx.convert.from_function(tf.function(function, signature), signature, opset=wanted)
        return without_scope(with_hard_swish(converted) if wanted >= HARD_SWISH_OPSET else converted, scope)


def keras_to_saved_model(model: Any, folder: Path) -> Path:
    """Write ``folder`` by Keras' own export."""
    with refusing("Keras"):
        model.export(str(folder), verbose=False)
    return folder


def torch_to_onnx(module: Any, batch: int | None, sample: Sample, opset: int | None, out: Path) -> Any:
    """The onnx.ModelProto of a module, by torch's own exporter; its input is NCHW, batch None is dynamic.

    ``out`` is a file that the exporter may use.
    """
    height, width, channels = sample
    wanted = opset or TORCH_OPSET
    with refusing("torch.onnx.export"):
        import torch

        torch.onnx.export(
            module,
            (torch.zeros(batch or 2, channels, height, width),),
            str(out),
            input_names=["input"],
            output_names=["output"],
            opset_version=wanted,
            external_data=False,
            verbose=False,
            **(_dynamo(torch, batch) if wanted >= LEAST_DYNAMO_OPSET else _legacy(batch)),
        )
        import onnx

        return without_notes(onnx.load(out))


def _dynamo(torch: Any, batch: int | None) -> dict[str, Any]:
    shapes = None if batch else ({0: torch.export.Dim("batch", min=1, max=MAX_BATCH)},)
    return {"dynamo": True, "dynamic_shapes": shapes}


def _legacy(batch: int | None) -> dict[str, Any]:
    return {"dynamo": False, "dynamic_axes": None if batch else {"input": {0: "batch"}, "output": {0: "batch"}}}


def torch_to_tflite(module: Any, batch: int, sample: Sample, out: Path) -> Path:
    """Write a float .tflite with a signature by litert-torch; its input is NHWC.

    It has no dynamic batch: an export with one ends in a TypeError. A runner may still resize most of its graphs.
    """
    with refusing("litert-torch"):
        import litert_torch
        import torch

        channels_last = litert_torch.to_channel_last_io(module, args=[0])
        channels_last.training = False  # not by eval(): a torch.export file's module raises there
        litert_torch.convert(channels_last, (torch.zeros(batch, *sample),)).export(str(out))
    return out


def save_onnx(model: Any, opset: int | None, out: Path) -> Path:
    """Write the checked onnx.ModelProto. Raises RecipeRefused where it is not of the ``opset`` that was asked for."""
    with refusing("onnx.checker"):
        import onnx

        onnx.checker.check_model(model)
        onnx.save(model, out)
    check_opset(out, opset)
    return out


def check_opset(onnx_file: Path, opset: int | None) -> None:
    """Raise RecipeRefused where the file is not of the ``opset`` that was asked for; None asks for none."""
    made = opset_of(onnx_file)
    if opset not in (None, made):
        raise RecipeRefused(
            f"opset {opset} was asked for, and the file is of opset {made}",
            next_step=f"write opset: {made} at the model's source, or leave it out",
        )


def opset_of(onnx_file: Path) -> int | None:
    """The version of ONNX's own operators that the file asks for; None where it uses none of them."""
    import onnx

    operators = onnx.load(onnx_file, load_external_data=False).opset_import
    return next((entry.version for entry in operators if entry.domain in ("", "ai.onnx")), None)


def without_notes(model: Any) -> Any:
    """The onnx.ModelProto without what only its maker reads: stack traces, documentation, inferred shapes.

    For a small model they are a third of the file, and stack traces name folders of the machine that exported it.
    """
    graph = model.graph
    del graph.value_info[:], model.metadata_props[:]
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    return model


def without_scope(model: Any, scope: str) -> Any:
    """The onnx.ModelProto without the name of the whole model at the head of the names of its tensors and nodes."""
    for node in model.graph.node:
        node.name = node.name.removeprefix(scope)
        node.input[:] = [name.removeprefix(scope) for name in node.input]
        node.output[:] = [name.removeprefix(scope) for name in node.output]
    for tensor in model.graph.initializer:
        tensor.name = tensor.name.removeprefix(scope)
    return model


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

    # One after the other: the smaller pattern would eat the heart of the larger.
    for old, new in (
        (hard_swish, lambda op, x, **_: op.HardSwish(x)),
        (hard_sigmoid, lambda op, x, **_: op.HardSigmoid(x, alpha=1 / 6, beta=0.5)),
    ):
        rule = pattern.RewriteRule(old, new, constants_fit)
        model = rewrite(model, pattern.RewriteRuleSet([rule], commute=True))
    return model


def onnx_to_saved_model(onnx_file: Path, layout: Layout, folder: Path) -> Path:
    """Write ``folder`` by onnx2tf; its input becomes NHWC. Which axes to swap onnx2tf guesses, and says nothing."""
    # onnx2tf may rewrite the file it reads; it gets a copy.
    copy = folder.with_suffix(".onnx")
    with refusing("onnx2tf"):
        import onnx2tf

        # For three channels onnx2tf would fetch photographs from the internet to compare layouts with; noise does.
        onnx2tf.onnx2tf.download_test_image_data = _noise_images
        shutil.copyfile(onnx_file, copy)
        onnx2tf.convert(
            input_onnx_file_path=str(copy),
            output_folder_path=str(folder),
            keep_shape_absolutely_input_names=[onnx_input(copy).name] if layout == "nhwc" else None,
            output_signaturedefs=True,
            not_use_onnxsim=True,
            non_verbose=True,
        )
    return folder


def _noise_images() -> NDArray[np.float32]:
    """20 images of the size that onnx2tf expects, in [0, 1)."""
    return np.random.default_rng(0).random((20, 128, 128, 3), dtype=np.float32)
