"""The outputs of a model in any format for a few samples, inside the converting process.

Each takes samples (N, ...) float32, images as (N, H, W, C), and gives outputs (N, ...). ``batch`` is the only batch size
that a model takes, None where it takes any.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.records import Layout
from edgeworthy.sources.samples import IMAGE_RANK, as_stored, in_layout
from edgeworthy.variants.same_model import Images, Infer, Values
from edgeworthy.variants.source_files import onnx_input


def as_input(values: Values, dtype: np.dtype[Any]) -> NDArray[Any]:
    """``values`` in the type of an input without a scale; a runner refuses samples that an integer type does not hold."""
    if dtype.kind in "fb":
        return values.astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    within: NDArray[Any] = np.clip(np.rint(values.astype(np.float64)), limits.min, limits.max)
    return within.astype(dtype)


def torch_layout(sample: Sequence[int]) -> Layout:
    """That of PyTorch's own tensors: of an image (H, W, C) NCHW, of any other sample the dataset's."""
    return "nchw" if len(sample) + 1 == IMAGE_RANK else "nhwc"


def of_keras(model: Any, batch: int | None = None) -> Infer:
    """A keras.Model."""
    return _in_batches(lambda images: np.asarray(model(images, training=False)), batch)


def of_torch(module: Any, batch: int | None = None) -> Infer:
    """A torch.nn.Module; images are given to it as NCHW."""

    def infer(images: Images) -> Values:
        import torch

        layout = torch_layout(images.shape[1:])
        with torch.no_grad():
            values: Values = module(torch.from_numpy(in_layout(images, layout))).float().numpy()
        return as_stored(values, layout)

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


def of_function(function: Any, batch: int | None = None, dtype: Any = None) -> Infer:
    """A TensorFlow function of one tensor of ``dtype``; its one output stands alone, in a list or in a dict."""

    def infer(images: Images) -> Values:
        import tensorflow as tf

        return np.asarray(tf.nest.flatten(function(tf.cast(images, dtype or tf.float32)))[0])

    return _in_batches(infer, batch)


def of_saved_model(folder: Path, batch: int | None = None) -> Infer:
    """The signature serving_default of a SavedModel."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    serve = loaded.signatures["serving_default"]
    ((name, spec),) = serve.structured_input_signature[1].items()

    def function(values: Any, keep: Any = loaded) -> Any:  # its variables live as long as what was loaded
        return serve(**{name: values})

    return of_function(function, batch, spec.dtype)


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
        return as_stored(np.asarray(values, np.float32), layout)

    return _in_batches(infer, onnx_input(path).shape[0])


def _litert(path: Path, layout: Layout) -> Infer:
    from ai_edge_litert.interpreter import Interpreter

    def opened() -> Any:
        made = Interpreter(model_content=content)
        made.allocate_tensors()
        return made

    content = path.read_bytes()
    interpreter = opened()
    entry, out = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    keeps_state = any(node["op_name"] == "VAR_HANDLE" for node in interpreter._get_ops_details())

    def infer(images: Images) -> Values:
        fed = in_layout(images, layout)
        model = opened() if keeps_state else interpreter  # nothing else resets resource variables
        if tuple(model.get_input_details()[0]["shape"][1:]) != fed.shape[1:]:  # height and width were left open
            model.resize_tensor_input(entry["index"], (entry["shape"][0], *fed.shape[1:]), strict=True)
            model.allocate_tensors()
        model.reset_all_variables()  # a state that outlives an inference is not part of the sample
        model.set_tensor(entry["index"], _quantized(fed, entry))
        model.invoke()
        return as_stored(_dequantized(model.get_tensor(out["index"]), out), layout)

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
