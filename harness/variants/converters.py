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
        tf2onnx.convert.from_function(function, signature, opset=KERAS_OPSET, output_path=str(out))
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
    return out


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
