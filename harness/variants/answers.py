"""What a model in any format answers to a few images, inside the converting process.

Each takes images (N, H, W, C) float32 and gives answers (N, classes). ``batch`` is the only batch size that a model
takes, None where it takes any.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from harness.records import Layout
from harness.variants.same_model import Answers, Images, Values


def in_layout(images: Images, layout: Layout) -> Images:
    """NHWC ``images`` in ``layout``."""
    return images if layout == "nhwc" else np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def of_keras(model: Any, batch: int | None = None) -> Answers:
    """A keras.Model."""
    return _in_batches(lambda images: np.asarray(model(images, training=False)), batch)


def of_torch(module: Any, batch: int | None = None) -> Answers:
    """A torch.nn.Module that takes NCHW."""

    def answer(images: Images) -> Values:
        import torch

        with torch.no_grad():
            values: Values = module(torch.from_numpy(in_layout(images, "nchw"))).numpy()
        return values

    return _in_batches(answer, batch)


def of_function(function: Any, batch: int | None = None) -> Answers:
    """A TensorFlow function of one image tensor, NHWC; its one output stands alone, in a list or in a dict."""

    def answer(images: Images) -> Values:
        import tensorflow as tf

        return np.asarray(tf.nest.flatten(function(tf.constant(images)))[0])

    return _in_batches(answer, batch)


def of_saved_model(folder: Path, batch: int | None = None) -> Answers:
    """The signature serving_default of a SavedModel, NHWC."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    serve = loaded.signatures["serving_default"]
    (name,) = serve.structured_input_signature[1]

    def function(images: Any, keep: Any = loaded) -> Any:  # its variables live as long as what was loaded
        return serve(**{name: images})

    return of_function(function, batch)


def of_artifact(path: Path, layout: Layout) -> Answers:
    """A .tflite, .onnx or TorchScript .pt file with float input and output."""
    formats: dict[str, Callable[[Path, Layout], Answers]] = {".tflite": _litert, ".onnx": _onnx, ".pt": _torchscript}
    return formats[path.suffix](path, layout)


def _onnx(path: Path, layout: Layout) -> Answers:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]

    def answer(images: Images) -> Values:
        values: Values = session.run(None, {entry.name: in_layout(images, layout)})[0]
        return values

    return _in_batches(answer, entry.shape[0] if isinstance(entry.shape[0], int) else None)


def _litert(path: Path, layout: Layout) -> Answers:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=path.read_bytes())
    entry, out = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.allocate_tensors()

    def answer(images: Images) -> Values:
        interpreter.set_tensor(entry["index"], in_layout(images, layout))
        interpreter.invoke()
        values: Values = interpreter.get_tensor(out["index"])
        return values

    return _in_batches(answer, int(entry["shape"][0]))


def _torchscript(path: Path, layout: Layout) -> Answers:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = torch.jit.load(path)
    return of_torch(module)


def _in_batches(answer: Answers, batch: int | None) -> Answers:
    """``answer`` asked in batches of one size, the last of them filled up; None takes any number at once."""
    if batch is None:
        return answer

    def answer_all(images: Images) -> Values:
        filled = np.concatenate([images, np.repeat(images[-1:], -len(images) % batch, axis=0)])
        parts = [answer(filled[first : first + batch]) for first in range(0, len(filled), batch)]
        return np.concatenate(parts)[: len(images)]

    return answer_all
