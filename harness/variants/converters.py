"""From one framework's model to another's, each through the converter that was measured to be the best at it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import RecipeRefused
from harness.records import Layout
from harness.variants.converter_errors import refusing
from harness.variants.source_files import onnx_input

KERAS_OPSET = 17
#: The dynamo exporter silently makes 18 of anything smaller.
TORCH_OPSET = 18
MAX_BATCH = 1024
#: Of the largest answer; what onnx2tf rightly converts differs by 1e-5.
MAX_DIFFERENCE = 1e-3


def keras_to_onnx(model: Any, sample: tuple[int, int, int], out: Path) -> Path:
    """Write ``out`` by tf2onnx; its input stays NHWC with a dynamic batch."""
    with refusing("tf2onnx"):
        import tensorflow as tf
        import tf2onnx

        signature = [tf.TensorSpec((None, *sample), tf.float32, name="input")]
        function = tf.function(lambda x: model(x, training=False), input_signature=signature)
        converted, _ = tf2onnx.convert.from_function(function, signature, opset=KERAS_OPSET)
        import onnx

        onnx.save(without_scope(with_hard_swish(converted), f"{model.name}_1/"), out)
    return out


def keras_to_saved_model(model: Any, folder: Path) -> Path:
    """Write ``folder`` by Keras' own export."""
    with refusing("Keras"):
        model.export(str(folder), verbose=False)
    return folder


def torch_to_onnx(module: Any, sample: tuple[int, int, int], out: Path) -> Path:
    """Write ``out`` by torch's dynamo exporter; its input is NCHW with a dynamic batch."""
    height, width, channels = sample
    with refusing("torch.onnx.export"):
        import torch

        torch.onnx.export(
            module,
            (torch.zeros(2, channels, height, width),),
            str(out),
            input_names=["input"],
            output_names=["output"],
            opset_version=TORCH_OPSET,
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=MAX_BATCH)},),
            external_data=False,
            verbose=False,
        )
        import onnx

        onnx.save(without_notes(onnx.load(out)), out)
    return out


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


def onnx_to_saved_model(onnx_file: Path, layout: Layout, sample: tuple[int, int, int], folder: Path) -> Path:
    """Write ``folder`` by onnx2tf; its input becomes NHWC. Raises RecipeRefused where the answers changed."""
    # onnx2tf may rewrite the file it reads; it gets a copy, the weights of which are all inside.
    copy = folder.with_suffix(".onnx")
    with refusing("onnx2tf"):
        import onnx
        import onnx2tf

        # For three channels onnx2tf would fetch photographs from the internet to compare layouts with; noise does.
        onnx2tf.onnx2tf.download_test_image_data = _noise_images
        onnx.save(onnx.load(onnx_file), copy)
        onnx2tf.convert(
            input_onnx_file_path=str(copy),
            output_folder_path=str(folder),
            keep_shape_absolutely_input_names=[onnx_input(copy).name] if layout == "nhwc" else None,
            output_signaturedefs=True,
            not_use_onnxsim=True,
            non_verbose=True,
        )
        _check_same_answers(copy, layout, folder, sample)
    return folder


def in_layout(images: NDArray[np.float32], layout: Layout) -> NDArray[np.float32]:
    """NHWC ``images`` in ``layout``."""
    return images if layout == "nhwc" else np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _check_same_answers(onnx_file: Path, layout: Layout, folder: Path, sample: tuple[int, int, int]) -> None:
    """onnx2tf guesses which axes to swap; where it guesses wrong it says nothing, but the answers differ."""
    import onnxruntime
    import tensorflow as tf

    name, shape = onnx_input(onnx_file)
    images = np.random.default_rng(0).random((shape[0] or 1, *sample), dtype=np.float32)
    session = onnxruntime.InferenceSession(onnx_file, providers=["CPUExecutionProvider"])
    expected = session.run(None, {name: in_layout(images, layout)})[0]
    model = tf.saved_model.load(str(folder))
    serve = model.signatures["serving_default"]
    (answer,) = serve(**dict.fromkeys(serve.structured_input_signature[1], tf.constant(images))).values()
    if not np.allclose(answer, expected, rtol=0, atol=MAX_DIFFERENCE * max(1.0, float(np.abs(expected).max()))):
        raise RecipeRefused(
            f"onnx2tf changed the model: its answers differ by {np.abs(answer - expected).max():.2g} from the ONNX file's",
            next_step="use the ort_* recipes for this model",
        )


def _noise_images() -> NDArray[np.float32]:
    """20 images of the size that onnx2tf expects, in [0, 1)."""
    return np.random.default_rng(0).random((20, 128, 128, 3), dtype=np.float32)
