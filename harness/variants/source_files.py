"""Check the user's model files, with errors that name the file and what is wrong with it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from harness.errors import EdgegateError, SourceError
from harness.records import Layout
from harness.variants.converter_errors import refusing, telling_line
from harness.variants.onnx_data_files import data_files

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


def check_tflite(path: Path) -> None:
    """Raise SourceError where the file is not a TFLite flatbuffer that LiteRT can read."""
    with refusing("LiteRT"):
        from ai_edge_litert.interpreter import Interpreter
    content = path.read_bytes()
    # Reading beyond the end of a truncated flatbuffer may crash the process; the identifier is looked at first.
    if content[4:8] != b"TFL3":
        raise SourceError(f"{path}: not a TFLite file (its identifier is not TFL3)")
    with reading(path, "a TFLite file"):
        Interpreter(model_content=content)


def check_onnx(path: Path) -> None:
    """Raise SourceError where the file is not a valid ONNX model."""
    with refusing("onnx"):
        import onnx
    with reading(path, "an ONNX model"):
        onnx.checker.check_model(str(path))


def copy_onnx(path: Path, out: Path) -> Path:
    """Copy an ONNX file to ``out``, byte for byte, or with its weights where they lie in a second file."""
    if data_files(path):
        with refusing("onnx"):
            import onnx
        with reading(path, "an ONNX model"):
            onnx.save(onnx.load(path), out)
        return out
    return Path(shutil.copyfile(path, out))


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
    check_shape(path, shape, sample)
    return "nhwc"


def check_shape(path: Path, shape: Sequence[int | None], sample: Shape) -> None:
    """Raise SourceError unless ``shape``, without its batch, is (H, W, C) of ``sample``."""
    if not _fits(shape, sample):
        raise SourceError(
            f"{path}: the model's input is {tuple(shape)}, but the dataset's samples are {sample}",
            next_step="choose a dataset of this input shape, or export the model for (height, width, channels)",
        )


def _fits(shape: Sequence[int | None], wanted: Sequence[int]) -> bool:
    return len(shape) == len(wanted) and all(a in (None, b) for a, b in zip(shape, wanted, strict=True))


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turn what a library raises inside the block into SourceError: ``path`` cannot be read as ``kind``."""
    try:
        yield
    except EdgegateError:
        raise
    except Exception as error:
        raise SourceError(
            f"{path}: cannot be read as {kind}: {telling_line(error)}", next_step="export or download the model again"
        ) from error
