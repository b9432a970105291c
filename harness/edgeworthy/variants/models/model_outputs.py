"""The outputs of a model in any format for a few samples, inside the converting process.

Each is an Inference: it takes samples (N, ...) float32, images as (N, H, W, C), and gives outputs (N, ...). ``batch`` is the only
batch size that a model takes, None where it takes any.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.datasets.samples import IMAGE_RANK, as_stored
from edgeworthy.errors import EdgeworthyError, InputMismatch, RecipeRefused
from edgeworthy.records import Layout
from edgeworthy.runners.python_runner.texts import as_numbers
from edgeworthy.tensors import NamedInput, has_state, is_ragged, largest
from edgeworthy.variants.conversion.converter_errors import reason_line
from edgeworthy.variants.models.keras_sources import called
from edgeworthy.variants.models.model_ends import named_inputs, named_outputs, opened_tflite
from edgeworthy.variants.models.model_inputs import (
    SINGLE,
    Ends,
    ModelInput,
    as_in_source,
    as_input,
    batch_of,
    found_again,
    values_of,
)
from edgeworthy.variants.models.output_names import in_order
from edgeworthy.variants.models.same_model import Images, Values
from edgeworthy.variants.models.source_files import onnx_inputs
from edgeworthy.variants.models.torch_sources import tensors_of

Each = Callable[[Images], list[Values]]


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
    """Outputs as float32, images as (N, H, W, C), texts as their fingerprints."""
    numbers = (as_numbers(np.asarray(each)) for each in outputs)
    return [as_stored(each.astype(np.float32, copy=False), layout) for each in numbers]


def of_keras(model: Any, batch: int | None = None, ends: Ends = SINGLE) -> Inference:
    """A keras.Model."""
    shapes = [tuple(tensor.shape) for tensor in model.inputs]

    def infer(images: Images) -> list[Values]:
        import tensorflow as tf

        if not ends.inputs:
            return _floats(tf.nest.flatten(model(images, training=False)))
        given = values_of(images, ends.inputs, "nhwc", shapes)
        fed = [tf.cast(each, tensor.dtype) for each, tensor in zip(given, model.inputs, strict=True)]
        return _floats(tf.nest.flatten(called(model)(*fed)))

    return in_batches(infer, batch, ends)


def of_torch(module: Any, batch: int | None = None, ends: Ends = SINGLE) -> Inference:
    """A torch.nn.Module; images are given to it as NCHW."""

    def infer(images: Images) -> list[Values]:
        import torch

        layout = "nchw" if ends.inputs else torch_layout(images.shape[1:])
        with torch.no_grad():
            given = module(*tensors_of(images, ends.inputs, layout))
        return _floats([each.float().numpy() for each in (given if isinstance(given, tuple) else (given,))], layout)

    return in_batches(infer, batch, ends)


def of_torch_otherwise(module: Any, batch: int | None = None, ends: Ends = SINGLE) -> Inference:
    """The same module by torch's own kernels, without those of oneDNN."""
    usual = of_torch(module, batch, ends)

    def infer(images: Images) -> list[Values]:
        import torch

        with torch.backends.mkldnn.flags(enabled=False):
            return usual.each(images)

    return Inference(infer)


def of_onnx_otherwise(path: Path, layout: Layout, ends: Ends = SINGLE) -> Inference:
    """The .onnx file node by node, as it is written: ONNX Runtime without its graph optimizations."""
    return _onnx(path, layout, ends, optimized=False)


def of_function(
    function: Any, entries: Sequence[ModelInput], batch: int | None = None, ends: Ends = SINGLE
) -> Inference:
    """A TensorFlow function of the tensors ``entries``; its outputs stand alone, in a list or in a dict."""
    shapes = [each.shape for each in entries]

    def infer(images: Images) -> list[Values]:
        import tensorflow as tf

        given = values_of(images, ends.inputs, "nhwc", shapes)
        return _floats(
            tf.nest.flatten(function(*(tf.cast(each, to.dtype) for each, to in zip(given, entries, strict=True))))
        )

    return in_batches(infer, batch, ends)


def of_saved_model(folder: Path, batch: int | None = None, ends: Ends = SINGLE) -> Inference:
    """The signature serving_default of a SavedModel; ``ends`` are its source's."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    serve = loaded.signatures["serving_default"]
    entries = as_in_source(signature_inputs(serve), ends.inputs)

    def function(*values: Any, keep: Any = loaded) -> Any:  # its variables live as long as what was loaded
        given = serve(**{entry.name: each for entry, each in zip(entries, values, strict=True)})
        return [given[each] for each in in_order(list(given), ends.outputs)] if len(given) > 1 else given

    return of_function(function, entries, batch, ends)


def signature_inputs(serve: Any) -> list[ModelInput]:
    """The inputs of a SavedModel's signature."""
    return [
        ModelInput(name, tuple(spec.shape), np.dtype(spec.dtype.as_numpy_dtype))
        for name, spec in serve.structured_input_signature[1].items()
    ]


def reads(path: Path) -> bool:
    """Whether ``of_artifact`` runs the file; the others are run by the runner's own code."""
    return path.suffix in _formats()


def of_artifact(path: Path, layout: Layout, ends: Ends = SINGLE) -> Inference:
    """A .tflite, .onnx or TorchScript .pt file with float input and output; ``ends`` are its source's."""
    return _formats()[path.suffix](path, layout, ends)


def _formats() -> dict[str, Callable[[Path, Layout, Ends], Inference]]:
    return {".tflite": _litert, ".onnx": _onnx, ".pt": _torchscript}


def inputs_of(path: Path, inputs: Sequence[NamedInput]) -> dict[str, str]:
    """What a .tflite or .onnx file calls its source's ``inputs``, in their order; {} of a single one.

    Those of any other file are called by their places.
    """
    names = [each.name for each in inputs]
    if path.suffix == ".tflite" and inputs:
        return dict(zip(names, found_again(list(named_inputs(opened_tflite(path.read_bytes()))), inputs), strict=True))
    if path.suffix == ".onnx" and inputs:
        return dict(zip(names, found_again([each.name for each in onnx_inputs(path)], inputs), strict=True))
    return {name: str(place) for place, name in enumerate(names)}


def tflite_inputs(content: bytes) -> list[ModelInput]:
    """The inputs of a .tflite; its sizes that are open are None."""
    return [
        ModelInput(
            name, tuple(None if size < 0 else int(size) for size in each["shape_signature"]), np.dtype(each["dtype"])
        )
        for name, each in named_inputs(opened_tflite(content)).items()
    ]


def outputs_of(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    """What the outputs of a .tflite or .onnx file are called, in the order of its source's ``names``.

    Those of any other file are called by their places.
    """
    if path.suffix == ".tflite":
        return in_order(list(named_outputs(opened_tflite(path.read_bytes()))), names)
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


def _onnx(path: Path, layout: Layout, ends: Ends, optimized: bool = True) -> Inference:
    session, entries = _session(path, optimized), as_in_source(onnx_inputs(path), ends.inputs)
    wanted = in_order([output.name for output in session.get_outputs()], ends.outputs)

    def infer(images: Images) -> list[Values]:
        given = values_of(images, ends.inputs, layout, [each.shape for each in entries])
        fed = {entry.name: as_input(each, entry.dtype) for entry, each in zip(entries, given, strict=True)}
        return _floats(session.run(wanted, fed), layout)

    return in_batches(infer, batch_of(entries, ends.inputs), ends)


def _interpreter(content: bytes) -> Any:
    made = opened_tflite(content)
    made.allocate_tensors()
    return made


def _litert(path: Path, layout: Layout, ends: Ends) -> Inference:
    content = path.read_bytes()
    interpreter = _interpreter(content)
    taken, found = named_inputs(interpreter), named_outputs(interpreter)
    described = [ModelInput(name, tuple(map(int, each["shape"])), each["dtype"]) for name, each in taken.items()]
    entries = as_in_source(described, ends.inputs)
    outs = [found[name] for name in in_order(list(found), ends.outputs)]
    keeps_state = any(node["op_name"] == "VAR_HANDLE" for node in interpreter._get_ops_details())

    def infer(images: Images) -> list[Values]:
        given = values_of(images, ends.inputs, layout, [each.shape for each in entries])
        model = _interpreter(content) if keeps_state else interpreter  # nothing else resets resource variables
        fed = {int(taken[entry.name]["index"]): each for entry, each in zip(entries, given, strict=True)}
        _take_sizes(model, fed)
        model.reset_all_variables()  # a state that outlives an inference is not part of the sample
        for entry, values in zip(entries, given, strict=True):
            model.set_tensor(taken[entry.name]["index"], _quantized(values, taken[entry.name]))
        model.invoke()
        return _floats([_dequantized(model.get_tensor(out["index"]), out) for out in outs], layout)

    return in_batches(infer, batch_of(entries, ends.inputs), ends)


def _take_sizes(model: Any, fed: Mapping[int, NDArray[Any]]) -> None:
    """Let an Interpreter take what it is ``fed``, input -> values, where the sizes of its inputs were left open."""
    shapes = {int(each["index"]): tuple(map(int, each["shape"])) for each in model.get_input_details()}
    open_ones = {index: values for index, values in fed.items() if shapes[index][1:] != values.shape[1:]}
    for index, values in open_ones.items():
        model.resize_tensor_input(index, (shapes[index][0], *values.shape[1:]), strict=True)
    if open_ones:
        model.allocate_tensors()


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


def _torchscript(path: Path, layout: Layout, ends: Ends) -> Inference:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = torch.jit.load(path)
    return of_torch(module, 1 if has_state(ends.inputs) else None, ends)


def in_batches(infer: Each, batch: int | None, ends: Ends = SINGLE) -> Inference:
    """``infer`` in batches of one size, the last one padded; None passes all at once.

    Samples of different sizes are passed one by one; their outputs stand in the frame of those for the largest.
    """
    if is_ragged(ends.inputs):
        return Inference(_one_by_one(infer, ends.inputs))
    if batch is None:
        return Inference(infer)

    def infer_all(images: Images) -> list[Values]:
        filled = np.concatenate([images, np.repeat(images[-1:], -len(images) % batch, axis=0)])
        batches = [
            [_with_batch(each, batch) for each in infer(filled[first : first + batch])]
            for first in range(0, len(filled), batch)
        ]
        return [np.concatenate(parts)[: len(images)] for parts in zip(*batches, strict=True)]

    return Inference(infer_all)


def _one_by_one(infer: Each, inputs: Sequence[NamedInput]) -> Each:
    """``infer`` for each row by itself, its outputs at the beginning of frames of zeros as large as those of the largest sample.

    Raises RecipeRefused where a sample of one size cannot be run.
    """

    def run(row: Images) -> list[Values]:
        try:
            return infer(row)
        except (EdgeworthyError, OSError, MemoryError):
            raise
        except Exception as error:  # of half a dozen types
            size = " and ".join("x".join(map(str, each.shape_in(row[0]))) for each in inputs if each.ragged)
            raise RecipeRefused(
                f"a sample of {size} cannot be run: {reason_line(error)}",
                hint="leave out samples of that size, or pad them, with 'ragged: pad' in the model's entry",
            ) from error

    frames = functools.cache(lambda: [each.shape[1:] for each in run(largest(inputs))])

    def infer_all(rows: Images) -> list[Values]:
        framed = [np.zeros((len(rows), *frame), np.float32) for frame in frames()]
        for place, row in enumerate(rows):
            for whole, each in zip(framed, run(row[np.newaxis]), strict=True):
                _set_framed(whole[place], each)
        return framed

    return infer_all


def _set_framed(frame: Values, output: Values) -> None:
    """Put an output for one sample at the beginning of its frame. Raises InputMismatch where it has no place there."""
    own = output.shape[1:]
    if (
        len(output) != 1
        or len(own) != frame.ndim
        or any(size > most for size, most in zip(own, frame.shape, strict=True))
    ):
        raise InputMismatch(
            f"an output for one sample has shape {output.shape}, and for a sample as large as the largest (1, {frame.shape})",
            hint="give samples of one size: pad them, with 'ragged: pad' in the model's entry",
        )
    frame[tuple(map(slice, own))] = output[0]


def _with_batch(output: Values, batch: int) -> Values:
    """An output for one sample whose first axis is none of samples, as that of a state may be, as a batch of one."""
    return output[np.newaxis] if batch == 1 and output.shape[:1] != (1,) else output
