"""Check the user's model files, with errors that name the file and what is wrong with it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from edgeworthy.datasets.samples import IMAGE_RANK
from edgeworthy.errors import EdgeworthyError, SourceError
from edgeworthy.records import Layout
from edgeworthy.tensors import NamedInput, by_name
from edgeworthy.variants.conversion.converter_errors import reason_line, refusing
from edgeworthy.variants.models.model_inputs import ModelInput
from edgeworthy.variants.models.onnx_data_files import data_files
from edgeworthy.variants.models.tflite_signatures import with_signature

#: Of one sample, without the batch.
Shape = tuple[int, ...]
#: Of samples that may differ along the axes of None.
OpenShape = Sequence[int | None]


def checked_file(path: Path) -> Path:
    """``path`` itself. Raises SourceError where it is missing, a folder, or empty."""
    if not path.exists():
        raise SourceError(f"{path}: no such file", hint="correct the path in models.yaml")
    if not path.is_file():
        raise SourceError(f"{path}: expected a file, found a folder", hint="correct the path in models.yaml")
    if path.stat().st_size == 0:
        raise SourceError(f"{path}: the file is empty", hint="export or download the model again")
    return path


def tflite_content(path: Path, signature: str | None) -> bytes:
    """A .tflite with the signature alone. Raises SourceError where LiteRT cannot read the file, or it has no such signature."""
    with refusing("LiteRT"):
        from ai_edge_litert.interpreter import Interpreter
    content = path.read_bytes()
    # Reading beyond the end of a truncated flatbuffer may crash the process; the identifier is looked at first.
    if content[4:8] != b"TFL3":
        raise SourceError(
            f"{path}: not a TFLite file (its identifier is not TFL3)",
            hint="give a .tflite file that was exported for TensorFlow Lite",
        )
    with reading(path, "a TFLite file"):
        Interpreter(model_content=content)
        return with_signature(content, path, signature)


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


def onnx_inputs(path: Path) -> list[ModelInput]:
    """The graph's inputs, without what are constants."""
    with refusing("onnx"):
        import onnx
    # The user's weights may lie in a second file; the graph alone describes the input.
    graph = onnx.load(path, load_external_data=False).graph
    constants = {tensor.name for tensor in graph.initializer}
    found = [(entry.name, entry.type.tensor_type) for entry in graph.input if entry.name not in constants]
    return [
        ModelInput(
            name,
            tuple(size_of(dim) for dim in kind.shape.dim),
            np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)),
        )
        for name, kind in found
    ]


def onnx_texts(path: Path) -> list[str]:
    """The graph's inputs and outputs that are texts: "the input 'x'"."""
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    return [
        f"the {end} {entry.name!r}"
        for end, entries in (("input", graph.input), ("output", graph.output))
        for entry in entries
        if entry.type.tensor_type.elem_type == onnx.TensorProto.STRING
    ]


def onnx_outputs(path: Path) -> tuple[str, ...]:
    """The names of the graph's outputs."""
    import onnx

    return tuple(entry.name for entry in onnx.load(path, load_external_data=False).graph.output)


def size_of(dim: Any) -> int | None:
    """The size of one axis of an ONNX tensor; None where it is open, which some exporters write as -1."""
    return int(dim.dim_value) if dim.dim_value > 0 else None


def layout_of(shape: Sequence[int | None], sample: OpenShape, path: Path, name: str = "") -> Layout:
    """Whether ``shape``, without its batch, is an image ``sample`` (H, W, C) as (C, H, W), or ``sample`` as it is.

    Raises SourceError for neither.
    """
    if len(sample) + 1 == IMAGE_RANK and _fits(shape, (sample[-1], *sample[:-1])):
        return "nchw"
    check_shape(path, shape, sample, name)
    return "nhwc"


def check_shapes(path: Path, found: Sequence[ModelInput], inputs: Sequence[NamedInput], sample: Shape) -> None:
    """Raise SourceError unless each of ``found`` takes its input of the dataset's, or the only one ``sample``."""
    if not inputs:
        check_shape(path, found[0].shape[1:], sample)
        return
    check_shapes_of(found, by_name(inputs, [each.name for each in found]), path)


def check_shapes_of(found: Sequence[ModelInput], inputs: Sequence[NamedInput], path: Path) -> None:
    """Raise SourceError unless each of ``found`` takes what it is given, as it is."""
    for each, named in zip(found, inputs, strict=True):
        if named.constant is None and not named.is_state:
            check_shape(path, each.shape[1:], named.open_shape, each.name)


def layouts_of_inputs(found: Sequence[ModelInput], inputs: Sequence[NamedInput], path: Path) -> list[Layout]:
    """In which layouts the images among several inputs may be. Raises SourceError for a shape that does not fit, and for none."""
    varying = [
        (each, named)
        for each, named in zip(found, inputs, strict=True)
        if named.constant is None and not named.is_state
    ]
    images = [(each, named) for each, named in varying if len(named.shape) + 1 == IMAGE_RANK]
    for each, named in varying:
        if (each, named) not in images:
            check_shape(path, each.shape[1:], named.open_shape, each.name)
    for each, named in images:
        layout_of(each.shape[1:], named.open_shape, path, each.name)
    first = all(_fits(each.shape[1:], (named.open_shape[-1], *named.open_shape[:-1])) for each, named in images)
    last = all(_fits(each.shape[1:], named.open_shape) for each, named in images)
    if not (first or last):
        raise SourceError(
            f"{path}: some of the model's inputs of four axes are channels first, others channels last",
            hint="export the model with one layout for all of them",
        )
    layouts: list[Layout] = ["nhwc"] if last else []
    return ["nchw", *layouts] if first and images else layouts


def check_shape(path: Path, shape: Sequence[int | None], sample: OpenShape, name: str = "") -> None:
    """Raise SourceError unless ``shape``, without its batch, is that of ``sample``; ``name`` is that of one of several inputs."""
    if not _fits(shape, sample):
        raise SourceError(
            f"{path}: the model's input {f'{name!r} ' if name else ''}is {tuple(shape)}, but the dataset's samples are"
            f" {tuple(sample)}" + (", None where they have different sizes" if None in sample else ""),
            hint="choose a dataset of this input shape; images are (height, width, channels)",
        )


def _fits(shape: OpenShape, wanted: OpenShape) -> bool:
    return len(shape) == len(wanted) and all(a in (None, b) for a, b in zip(shape, wanted, strict=True))


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turn what a library raises inside the block into SourceError: ``path`` cannot be read as ``kind``."""
    try:
        yield
    except EdgeworthyError:
        raise
    except Exception as error:
        raise SourceError(
            f"{path}: cannot be read as {kind}: {reason_line(error)}", hint="export or download the model again"
        ) from error
