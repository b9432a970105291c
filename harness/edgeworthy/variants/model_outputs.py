"""The outputs of a model in any format for a few samples, inside the converting process.

Each is an Inference: it takes samples (N, ...) float32, images as (N, H, W, C), and gives outputs (N, ...). ``batch`` is the only
batch size that a model takes, None where it takes any.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.records import Layout
from edgeworthy.sources.samples import IMAGE_RANK, as_stored, in_layout
from edgeworthy.variants.model_ends import named_outputs
from edgeworthy.variants.output_names import in_order
from edgeworthy.variants.same_model import Images, Values
from edgeworthy.variants.source_files import onnx_input

Each = Callable[[Images], list[Values]]


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


@dataclass(frozen=True)
class Inference:
    """``each`` gives a model's outputs for samples (N, ...), each by itself, float32; images as (N, H, W, C)."""

    each: Each

    def __call__(self, samples: Images) -> Values:
        """One output as it is; of several each sample's values one after the other, (N, values)."""
        found = self.each(samples)
        return found[0] if len(found) == 1 else np.concatenate([one.reshape(len(one), -1) for one in found], axis=1)

    def shapes(self, sample: Images) -> tuple[tuple[int, ...], ...]:
        """The shape of each output for one sample, given as a batch of one."""
        return tuple(one.shape[1:] for one in self.each(sample))


def _floats(outputs: Iterable[Any], layout: Layout = "nhwc") -> list[Values]:
    """Outputs as float32, images as (N, H, W, C)."""
    return [as_stored(np.asarray(each, np.float32), layout) for each in outputs]


def of_keras(model: Any, batch: int | None = None) -> Inference:
    """A keras.Model."""

    def infer(images: Images) -> list[Values]:
        import tensorflow as tf

        return _floats(tf.nest.flatten(model(images, training=False)))

    return _in_batches(infer, batch)


def of_torch(module: Any, batch: int | None = None) -> Inference:
    """A torch.nn.Module; images are given to it as NCHW."""

    def infer(images: Images) -> list[Values]:
        import torch

        layout = torch_layout(images.shape[1:])
        with torch.no_grad():
            given = module(torch.from_numpy(in_layout(images, layout)))
        return _floats([each.float().numpy() for each in (given if isinstance(given, tuple) else (given,))], layout)

    return _in_batches(infer, batch)


def of_torch_otherwise(module: Any, batch: int | None = None) -> Inference:
    """The same module by torch's own kernels, without those of oneDNN."""
    usual = of_torch(module, batch)

    def infer(images: Images) -> list[Values]:
        import torch

        with torch.backends.mkldnn.flags(enabled=False):
            return usual.each(images)

    return Inference(infer)


def of_onnx_otherwise(path: Path, layout: Layout, names: Sequence[str] = ("",)) -> Inference:
    """The .onnx file node by node, as it is written: ONNX Runtime without its graph optimizations."""
    return _onnx(path, layout, names, optimized=False)


def of_function(function: Any, batch: int | None = None, dtype: Any = None) -> Inference:
    """A TensorFlow function of one tensor of ``dtype``; its outputs stand alone, in a list or in a dict."""

    def infer(images: Images) -> list[Values]:
        import tensorflow as tf

        return _floats(tf.nest.flatten(function(tf.cast(images, dtype or tf.float32))))

    return _in_batches(infer, batch)


def of_saved_model(folder: Path, batch: int | None = None, names: Sequence[str] = ("",)) -> Inference:
    """The signature serving_default of a SavedModel; ``names`` are its source's outputs."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    serve = loaded.signatures["serving_default"]
    ((name, spec),) = serve.structured_input_signature[1].items()

    def function(values: Any, keep: Any = loaded) -> Any:  # its variables live as long as what was loaded
        given = serve(**{name: values})
        return [given[each] for each in in_order(list(given), names)] if len(given) > 1 else given

    return of_function(function, batch, spec.dtype)


def of_artifact(path: Path, layout: Layout, names: Sequence[str] = ("",)) -> Inference:
    """A .tflite, .onnx or TorchScript .pt file with float input and output; ``names`` are its source's outputs."""
    formats: dict[str, Callable[[Path, Layout, Sequence[str]], Inference]] = {
        ".tflite": _litert,
        ".onnx": _onnx,
        ".pt": _torchscript,
    }
    return formats[path.suffix](path, layout, names)


def outputs_of(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    """What the outputs of a .tflite or .onnx file are called, in the order of its source's ``names``; () of a single one.

    Those of a TorchScript file have no names: they are numbers.
    """
    if len(names) == 1:
        return ()
    if path.suffix == ".tflite":
        return in_order(list(named_outputs(_interpreter(path.read_bytes()))), names)
    if path.suffix == ".onnx":
        return in_order([output.name for output in _session(path).get_outputs()], names)
    return tuple(str(index) for index in range(len(names)))


def _session(path: Path, optimized: bool = True) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _onnx(path: Path, layout: Layout, names: Sequence[str], optimized: bool = True) -> Inference:
    session, entry = _session(path, optimized), onnx_input(path)
    wanted = in_order([output.name for output in session.get_outputs()], names)

    def infer(images: Images) -> list[Values]:
        return _floats(session.run(wanted, {entry.name: as_input(in_layout(images, layout), entry.dtype)}), layout)

    return _in_batches(infer, entry.shape[0])


def _interpreter(content: bytes) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    made = Interpreter(model_content=content)
    made.allocate_tensors()
    return made


def _litert(path: Path, layout: Layout, names: Sequence[str]) -> Inference:
    content = path.read_bytes()
    interpreter = _interpreter(content)
    entry, found = interpreter.get_input_details()[0], named_outputs(interpreter)
    outs = [found[name] for name in in_order(list(found), names)]
    keeps_state = any(node["op_name"] == "VAR_HANDLE" for node in interpreter._get_ops_details())

    def infer(images: Images) -> list[Values]:
        fed = in_layout(images, layout)
        model = _interpreter(content) if keeps_state else interpreter  # nothing else resets resource variables
        if tuple(model.get_input_details()[0]["shape"][1:]) != fed.shape[1:]:  # height and width were left open
            model.resize_tensor_input(entry["index"], (entry["shape"][0], *fed.shape[1:]), strict=True)
            model.allocate_tensors()
        model.reset_all_variables()  # a state that outlives an inference is not part of the sample
        model.set_tensor(entry["index"], _quantized(fed, entry))
        model.invoke()
        return _floats([_dequantized(model.get_tensor(out["index"]), out) for out in outs], layout)

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


def _torchscript(path: Path, layout: Layout, names: Sequence[str]) -> Inference:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = torch.jit.load(path)
    return of_torch(module)


def _in_batches(infer: Each, batch: int | None) -> Inference:
    """``infer`` in batches of one size, the last one padded; None passes all at once."""
    if batch is None:
        return Inference(infer)

    def infer_all(images: Images) -> list[Values]:
        filled = np.concatenate([images, np.repeat(images[-1:], -len(images) % batch, axis=0)])
        batches = [infer(filled[first : first + batch]) for first in range(0, len(filled), batch)]
        return [np.concatenate(parts)[: len(images)] for parts in zip(*batches, strict=True)]

    return Inference(infer_all)
