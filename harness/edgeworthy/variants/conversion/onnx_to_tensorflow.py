"""From an ONNX file to a SavedModel, by onnx2tf."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.datasets.samples import IMAGE_RANK
from edgeworthy.errors import RecipeRefused
from edgeworthy.records import Layout
from edgeworthy.variants.conversion.converter_errors import ANOTHER_RECIPE, refusing
from edgeworthy.variants.conversion.onnx_models import graphs_within
from edgeworthy.variants.models.output_names import plain_names
from edgeworthy.variants.models.source_files import onnx_inputs, size_of

#: Where onnx2tf looks for its ops.
OPS = "onnx2tf.ops."


def onnx_to_saved_model(
    onnx_file: Path, layout: Layout, shapes: Sequence[tuple[int | None, ...] | None], folder: Path
) -> Path:
    """Write ``folder`` by onnx2tf; its images become NHWC. Which axes to swap, it guesses silently.

    ``shapes`` are those that its inputs are to have, with the batch, in ``layout``; None of one that is the same for all samples.
    """
    # onnx2tf may rewrite the file it reads; it gets a copy.
    copy = folder.with_suffix(".onnx")
    with refusing("onnx2tf"):
        import onnx2tf

        # For three channels onnx2tf would fetch photographs from the internet to compare layouts with; noise does.
        onnx2tf.onnx2tf.download_test_image_data = _noise_images
        _copy_for_sample(onnx_file, shapes, copy)
        kept = [
            entry.name
            for entry, shape in zip(onnx_inputs(copy), shapes, strict=True)
            if layout == "nhwc" or (len(shapes) > 1 and len(shape or ()) != IMAGE_RANK)
        ]
        with _naming_op():
            onnx2tf.convert(
                input_onnx_file_path=str(copy),
                output_folder_path=str(folder),
                keep_shape_absolutely_input_names=kept or None,
                output_signaturedefs=True,
                # TensorFlow's Erf has no kernel in LiteRT, and exact GELU needs it.
                replace_to_pseudo_operators=["erf"],
                not_use_onnxsim=True,
                non_verbose=True,
            )
    return folder


@contextmanager
def _naming_op() -> Iterator[None]:
    """Turn what onnx2tf raises for an op that it does not know into RecipeRefused: it looks for a module of that name."""
    try:
        yield
    except ModuleNotFoundError as error:
        _, inside, op = (error.name or "").partition(OPS)
        if not inside:
            raise
        raise RecipeRefused(f"onnx2tf does not know the op {op}", hint=ANOTHER_RECIPE) from error


def _copy_for_sample(onnx_file: Path, shapes: Sequence[tuple[int | None, ...] | None], copy: Path) -> None:
    """Copy an ONNX file; open sizes of its inputs become those of ``shapes``, where these are given."""
    import onnx

    model = onnx.load(onnx_file)
    constants = {tensor.name for tensor in model.graph.initializer}
    entries = [each for each in model.graph.input if each.name not in constants]
    changed = _with_tensorflow_names(model.graph)
    changed |= _with_plain_inputs(model.graph, [each.name for each in entries])
    for entry, shape in zip(entries, shapes, strict=True):
        if shape is not None:
            changed |= _with_sizes(entry.type.tensor_type.shape.dim, shape)
    if not changed:
        shutil.copyfile(onnx_file, copy)
    else:
        del model.graph.value_info[:]
        onnx.save(model, copy)
    closed = all(size_of(dim) for entry in entries for dim in entry.type.tensor_type.shape.dim)
    if closed and any(node.op_type == "Shape" for node in model.graph.node):
        _fold_sizes(copy)


def _fold_sizes(path: Path) -> None:
    """Let ONNX Runtime fold what follows from the sizes of the inputs: onnx2tf takes many a graph that computes them amiss."""
    import onnxruntime

    folded = path.with_suffix(".folded.onnx")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folded)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    folded.replace(path)


def _with_plain_inputs(graph: Any, names: Sequence[str]) -> bool:
    """Call the inputs by names that TensorFlow keeps; whether one was called otherwise."""
    renamed = {name: plain for name, plain in zip(names, plain_names(names, "input"), strict=True) if name != plain}
    for inner in graphs_within(graph):
        for node in inner.node:
            node.input[:] = [renamed.get(name, name) for name in node.input]
    for entry in graph.input:
        entry.name = renamed.get(entry.name, entry.name)
    return bool(renamed)


def _with_sizes(dims: Any, wanted: Sequence[int | None]) -> bool:
    """Close the open sizes among ``dims`` where another is ``wanted``; whether there was any."""
    open_ones = [(dim, size) for dim, size in zip(dims, wanted, strict=True) if size and not size_of(dim)]
    for dim, size in open_ones:
        dim.dim_value = size
    return bool(open_ones)


def _with_tensorflow_names(graph: Any) -> bool:
    """Replace in the names of nodes what TensorFlow allows in no name; whether there was any."""
    changed = False
    for node in graph.node:
        name = re.sub(r"[^A-Za-z0-9_./>-]", "_", node.name)
        changed, node.name = changed or name != node.name, name
    return changed


def _noise_images() -> NDArray[np.float32]:
    """20 images of the size that onnx2tf expects, in [0, 1)."""
    return np.random.default_rng(0).random((20, 128, 128, 3), dtype=np.float32)
