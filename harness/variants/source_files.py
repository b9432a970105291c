"""Read the user's model files with errors that name the file and what is wrong with it.

Nothing here unpickles: Keras files load in safe mode, torch weights with ``weights_only``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import EdgegateError, SourceError
from harness.records import Layout
from harness.sources.functions import load_function
from harness.variants.converter_errors import refusing, telling_line

Shape = tuple[int, int, int]


class OnnxInput(NamedTuple):
    """The only input of an ONNX graph; unknown sizes of ``shape`` are None."""

    name: str
    shape: tuple[int | None, ...]


def checked_file(path: Path) -> Path:
    """``path`` itself. Raises SourceError where it is missing, a folder, or empty."""
    if not path.exists():
        raise SourceError(f"{path}: no such file", next_step="correct the path in models.yaml")
    if not path.is_file():
        raise SourceError(f"{path}: expected a file, found a folder", next_step="correct the path in models.yaml")
    if path.stat().st_size == 0:
        raise SourceError(f"{path}: the file is empty", next_step="export or download the model again")
    return path


def load_keras(path: Path, sample: Shape) -> Any:
    """The keras.Model in a .keras or .h5 file, its input checked against (H, W, C)."""
    with refusing("Keras"):
        import keras
    with _reading(path, "a Keras model"):
        model = keras.models.load_model(path, compile=False)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise SourceError(f"{path}: {len(model.inputs)} inputs and {len(model.outputs)} outputs; one of each is read")
    _check_shape(path, tuple(model.inputs[0].shape[1:]), sample)
    return model


def load_torch(factory: str, weights: Path, base_dir: Path, sample: Shape) -> Any:
    """The factory's module with its weights, in eval mode, tried on one blank sample."""
    with refusing("torch"):
        import torch
    module = _build(factory, base_dir)
    _load_weights(module, checked_file(weights), factory)
    module.eval()
    height, width, channels = sample
    try:
        with torch.inference_mode():
            module(torch.zeros(1, channels, height, width))
    except Exception as error:
        raise SourceError(
            f"{factory}: its module does not take (1, {channels}, {height}, {width}),"
            f" which the dataset's samples {sample} become: {telling_line(error)}"
        ) from error
    return module


def check_tflite(path: Path) -> None:
    """Raise SourceError where the file is not a TFLite flatbuffer that LiteRT can read."""
    with refusing("LiteRT"):
        from ai_edge_litert.interpreter import Interpreter
    content = path.read_bytes()
    # Reading beyond the end of a truncated flatbuffer may crash the process; the identifier is looked at first.
    if content[4:8] != b"TFL3":
        raise SourceError(f"{path}: not a TFLite file (its identifier is not TFL3)")
    with _reading(path, "a TFLite file"):
        Interpreter(model_content=content)


def check_onnx(path: Path) -> None:
    """Raise SourceError where the file is not a valid ONNX model."""
    with refusing("onnx"):
        import onnx
    with _reading(path, "an ONNX model"):
        onnx.checker.check_model(str(path))


def onnx_input(path: Path) -> OnnxInput:
    """The graph's only input. Raises SourceError where it has more."""
    with refusing("onnx"):
        import onnx
    # The user's weights may lie in a second file; the graph alone tells the input.
    graph = onnx.load(path, load_external_data=False).graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [entry for entry in graph.input if entry.name not in constants]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise SourceError(f"{path}: {len(inputs)} inputs and {len(graph.output)} outputs; one of each is read")
    dims = inputs[0].type.tensor_type.shape.dim
    return OnnxInput(inputs[0].name, tuple(dim.dim_value or None for dim in dims))


def layout_of(shape: Sequence[int | None], sample: Shape, path: Path) -> Layout:
    """Whether ``shape``, without its batch, is (C, H, W) or (H, W, C) of ``sample``. Raises SourceError for neither."""
    height, width, channels = sample
    if _fits(shape, (channels, height, width)):
        return "nchw"
    _check_shape(path, shape, sample)
    return "nhwc"


def _check_shape(path: Path, shape: Sequence[int | None], sample: Shape) -> None:
    if not _fits(shape, sample):
        raise SourceError(
            f"{path}: the model's input is {tuple(shape)}, but the dataset's samples are {sample}",
            next_step="choose a dataset of this input shape, or export the model for (height, width, channels)",
        )


def _fits(shape: Sequence[int | None], wanted: Sequence[int]) -> bool:
    return len(shape) == len(wanted) and all(a in (None, b) for a, b in zip(shape, wanted, strict=True))


def _build(factory: str, base_dir: Path) -> Any:
    import torch

    build = load_function(factory, base_dir)
    try:
        module = build()
    except Exception as error:
        raise SourceError(f"{factory}: the factory raised {type(error).__name__}: {telling_line(error)}") from error
    if not isinstance(module, torch.nn.Module):
        raise SourceError(f"{factory}: the factory returned {type(module).__name__}, not a torch.nn.Module")
    return module


def _load_weights(module: Any, weights: Path, factory: str) -> None:
    import pickle

    import torch

    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise SourceError(
            f"{weights}: not plain weights but a pickle of other objects, or damaged; it is not loaded",
            next_step="save the weights with torch.save(model.state_dict(), path)",
        ) from error
    except Exception as error:
        raise SourceError(f"{weights}: cannot be read as torch weights: {telling_line(error)}") from error
    try:
        module.load_state_dict(state, strict=True)
    except Exception as error:
        raise SourceError(f"{weights}: the weights do not fit {factory}: {_after_heading(error)}") from error


def _after_heading(error: Exception) -> str:
    """torch's complaint without its first line, which only names the class."""
    lines = str(error).splitlines()
    return (lines[1] if len(lines) > 1 else str(error)).strip()[:300]


@contextmanager
def _reading(path: Path, kind: str) -> Iterator[None]:
    try:
        yield
    except EdgegateError:
        raise
    except Exception as error:
        raise SourceError(
            f"{path}: cannot be read as {kind}: {telling_line(error)}", next_step="export or download the model again"
        ) from error
