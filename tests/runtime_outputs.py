"""What an artifact computes, by its own runtime alone: the truth beside what edgeworthy says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Infer = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def runtime_outputs(path: Path, layout: str, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """(samples, columns) by the artifact's own runtime, one sample at a time, as deployed; nothing of edgeworthy's is used."""
    infer = {".onnx": _onnx, ".tflite": _litert, ".pt": _torchscript}[path.suffix](path)
    fed = images if layout == "nhwc" else np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return np.concatenate([infer(sample[None]) for sample in fed])


def _onnx(path: Path) -> Infer:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda sample: np.asarray(session.run(None, {name: sample})[0])


def _litert(path: Path) -> Infer:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=path.read_bytes(), num_threads=1)
    interpreter.allocate_tensors()
    entry, end = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def infer(sample: NDArray[np.float32]) -> NDArray[np.float32]:
        scale, zero = entry["quantization"]
        if scale:
            limits = np.iinfo(entry["dtype"])
            sample = np.clip(np.rint(sample / scale) + zero, limits.min, limits.max).astype(entry["dtype"])
        interpreter.set_tensor(entry["index"], sample)
        interpreter.invoke()
        out = interpreter.get_tensor(end["index"])
        scale, zero = end["quantization"]
        return ((out.astype(np.float32) - zero) * scale if scale else out).astype(np.float32)

    return infer


def _torchscript(path: Path) -> Infer:
    import torch

    module = torch.jit.load(path)

    def infer(sample: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            return np.asarray(module(torch.from_numpy(sample)).numpy())

    return infer
