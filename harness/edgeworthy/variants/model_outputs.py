"""The outputs of a model in any format for a few images, inside the converting process.

Each takes images (N, H, W, C) float32 and gives outputs (N, classes). ``batch`` is the only batch size that a model
takes, None where it takes any.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.records import Layout
from edgeworthy.variants.same_model import Images, Infer, Values
from edgeworthy.variants.source_files import onnx_input


def in_layout(images: Images, layout: Layout) -> Images:
    """NHWC ``images`` in ``layout``."""
    return images if layout == "nhwc" else np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def as_input(values: Values, dtype: np.dtype[Any]) -> NDArray[Any]:
    """``values`` in the type of an input without a scale; a runner refuses samples that an integer type does not hold."""
    if dtype.kind in "fb":
        return values.astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    within: NDArray[Any] = np.clip(np.rint(values.astype(np.float64)), limits.min, limits.max)
    return within.astype(dtype)


def images_last(values: Values, layout: Layout) -> Values:
    """Outputs as runners give them: float32, and an image of a model in ``layout`` as (height, width, channels)."""
    values = np.asarray(values, np.float32)
    return values.transpose(0, 2, 3, 1) if layout == "nchw" and values.ndim == 4 else values


def of_keras(model: Any, batch: int | None = None) -> Infer:
    """A keras.Model."""
    return _in_batches(lambda images: np.asarray(model(images, training=False)), batch)


def of_torch(module: Any, batch: int | None = None) -> Infer:
    """A torch.nn.Module that takes NCHW."""

    def infer(images: Images) -> Values:
        import torch

        with torch.no_grad():
            values: Values = module(torch.from_numpy(in_layout(images, "nchw"))).numpy()
        return images_last(values, "nchw")

    return _in_batches(infer, batch)


def of_torch_otherwise(module: Any, batch: int | None = None) -> Infer:
    """The same module by torch's own kernels, without those of oneDNN."""
    usual = of_torch(module, batch)

    def infer(images: Images) -> Values:
        import torch

        with torch.backends.mkldnn.flags(enabled=False):
            return usual(images)

    return infer


def of_onnx_otherwise(path: Path, layout: Layout) -> Infer:
    """The .onnx file node by node, as it is written: ONNX Runtime without its graph optimizations."""
    return _onnx(path, layout, optimized=False)


def of_function(function: Any, batch: int | None = None) -> Infer:
    """A TensorFlow function of one image tensor, NHWC; its one output stands alone, in a list or in a dict."""

    def infer(images: Images) -> Values:
        import tensorflow as tf

        return np.asarray(tf.nest.flatten(function(tf.constant(images)))[0])

    return _in_batches(infer, batch)


def of_saved_model(folder: Path, batch: int | None = None) -> Infer:
    """The signature serving_default of a SavedModel, NHWC."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    serve = loaded.signatures["serving_default"]
    ((name, spec),) = serve.structured_input_signature[1].items()

    def function(images: Any, keep: Any = loaded) -> Any:  # its variables live as long as what was loaded
        return serve(**{name: tf.cast(images, spec.dtype)})

    return of_function(function, batch)


def of_artifact(path: Path, layout: Layout) -> Infer:
    """A .tflite, .onnx or TorchScript .pt file with float input and output."""
    formats: dict[str, Callable[[Path, Layout], Infer]] = {".tflite": _litert, ".onnx": _onnx, ".pt": _torchscript}
    return formats[path.suffix](path, layout)


def _onnx(path: Path, layout: Layout, optimized: bool = True) -> Infer:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    dtype = onnx_input(path).dtype

    def infer(images: Images) -> Values:
        values: Values = session.run(None, {entry.name: as_input(in_layout(images, layout), dtype)})[0]
        return images_last(values, layout)

    return _in_batches(infer, entry.shape[0] if isinstance(entry.shape[0], int) else None)


def _litert(path: Path, layout: Layout) -> Infer:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=path.read_bytes())
    entry, out = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.allocate_tensors()

    def infer(images: Images) -> Values:
        fed = in_layout(images, layout)
        if tuple(interpreter.get_input_details()[0]["shape"][1:]) != fed.shape[1:]:  # height and width were left open
            interpreter.resize_tensor_input(entry["index"], (entry["shape"][0], *fed.shape[1:]), strict=True)
            interpreter.allocate_tensors()
        interpreter.reset_all_variables()  # a state that outlives an inference is not part of the sample
        interpreter.set_tensor(entry["index"], _quantized(fed, entry))
        interpreter.invoke()
        return images_last(_dequantized(interpreter.get_tensor(out["index"]), out), layout)

    return _in_batches(infer, int(entry["shape"][0]))


def _quantized(values: Values, tensor: Mapping[str, Any]) -> NDArray[Any]:
    """``values`` as an input of a .tflite holds them; those without a scale are taken as they are."""
    scale, zero_point = tensor["quantization"]
    if not scale:
        return as_input(values, np.dtype(tensor["dtype"]))
    limits = np.iinfo(tensor["dtype"])
    levels: NDArray[Any] = np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max)
    return levels.astype(tensor["dtype"])


def _dequantized(values: NDArray[Any], tensor: Mapping[str, Any]) -> Values:
    scale, zero_point = tensor["quantization"]
    return (values.astype(np.float32) - zero_point) * np.float32(scale) if scale else values.astype(np.float32)


def _torchscript(path: Path, layout: Layout) -> Infer:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = torch.jit.load(path)
    return of_torch(module)


def _in_batches(infer: Infer, batch: int | None) -> Infer:
    """``infer`` in batches of one size, the last one padded; None passes all at once."""
    if batch is None:
        return infer

    def infer_all(images: Images) -> Values:
        filled = np.concatenate([images, np.repeat(images[-1:], -len(images) % batch, axis=0)])
        batches = [infer(filled[first : first + batch]) for first in range(0, len(filled), batch)]
        return np.concatenate(batches)[: len(images)]

    return infer_all
