"""Sizes of a model's inputs that are left open, fixed to what its entry in models.yaml says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeworthy.errors import SourceError
from edgeworthy.suggestions import did_you_mean
from edgeworthy.tensors import NamedInput
from edgeworthy.variants.models.model_ends import named_inputs, opened_tflite
from edgeworthy.variants.models.model_inputs import ModelInput, as_in_source
from edgeworthy.variants.models.model_outputs import tflite_inputs
from edgeworthy.variants.models.source_files import onnx_inputs

Wanted = Sequence[int | None]
HINT = "correct 'shapes' of the model in models.yaml"


def with_fixed(title: object, found: Sequence[ModelInput], shapes: Mapping[str, Wanted]) -> list[ModelInput]:
    """The inputs of a model, their open sizes fixed. Raises SourceError for what contradicts the model's own shapes."""
    names = [each.name for each in found]
    for name in shapes:
        if name not in names:
            raise SourceError(f"{title}: the model has no input {name!r}; {did_you_mean(name, names)}", hint=HINT)
    return [
        each._replace(shape=_fixed(title, each, shapes[each.name])) if each.name in shapes else each for each in found
    ]


def _fixed(title: object, found: ModelInput, wanted: Wanted) -> tuple[int | None, ...]:
    own, what = _shown(found.shape), f"'shapes' fixes the input {found.name!r} to {_shown(wanted)}"
    if len(wanted) != len(found.shape):
        raise SourceError(
            f"{title}: {what}, {len(wanted)} axes, and in the model it is {own}, {len(found.shape)}",
            hint=f"{HINT}: the batch first, then the other axes in the model's own order",
        )
    if any(None not in (size, asked) and size != asked for size, asked in zip(found.shape, wanted, strict=True)):
        raise SourceError(f"{title}: {what}, and in the model it is {own}; only ? is open", hint=HINT)
    return tuple(asked if size is None else size for size, asked in zip(found.shape, wanted, strict=True))


def _shown(shape: Wanted) -> str:
    return "x".join("?" if size is None else str(size) for size in shape) or "one number"


def fix_onnx(path: Path, title: object, shapes: Mapping[str, Wanted]) -> None:
    """Fix open sizes of an ONNX file's inputs, and those that follow from them. Raises SourceError as ``with_fixed``."""
    import onnx
    from onnxruntime.tools.onnx_model_utils import fix_output_shapes, make_dim_param_fixed

    inputs = with_fixed(title, onnx_inputs(path), shapes)
    if not shapes:
        return
    model = onnx.load(path)
    entries = {entry.name: entry for entry in model.graph.input}
    for each in inputs:
        for dim, size in zip(entries[each.name].type.tensor_type.shape.dim, each.shape, strict=True):
            if size is None or dim.dim_value == size:
                continue
            if dim.dim_param:  # another tensor may have the same size by this name
                make_dim_param_fixed(model.graph, dim.dim_param, size)
            dim.dim_value = size
    fix_output_shapes(model)
    onnx.save(model, path)


def fixed_tflite(content: bytes, title: object, shapes: Mapping[str, Wanted]) -> bytes:
    """The .tflite with open sizes of its inputs fixed, and those of its outputs that follow.

    Raises SourceError as ``with_fixed``.
    """
    inputs = with_fixed(title, tflite_inputs(content), shapes)
    if not shapes:
        return content
    tensors = _tensors(content)
    made = _with_shapes(content, {tensors[each.name]: (each.shape, ()) for each in inputs})
    if any(None in each.shape for each in inputs):
        return made
    runnable = opened_tflite(made)
    runnable.allocate_tensors()
    outputs = {int(each["index"]): tuple(map(int, each["shape"])) for each in runnable.get_output_details()}
    return _with_shapes(made, {index: (shape, ()) for index, shape in outputs.items()})


def tflite_for(content: bytes, samples: Sequence[NamedInput], sample: tuple[int, ...]) -> bytes:
    """The .tflite whose open sizes are those of the largest sample until it is resized: an op may not take the 1 that they are.

    ``sample`` is the shape where there is one input.
    """
    found = tflite_inputs(content)
    if all(None not in each.shape[1:] for each in found):
        return content
    tensors = _tensors(content)
    given = zip(as_in_source(found, samples), samples or [NamedInput("", sample)], strict=True)
    sizes = {
        tensors[each.name]: (each.shape, named.shape[1:] if named.is_state else named.shape)
        for each, named in given
        if named.constant is None
    }
    return _with_shapes(content, sizes)


def _tensors(content: bytes) -> dict[str, int]:
    """The tensor of each input of a .tflite."""
    return {name: int(each["index"]) for name, each in named_inputs(opened_tflite(content)).items()}


def _with_shapes(content: bytes, sizes: Mapping[int, tuple[Wanted, tuple[int, ...]]]) -> bytes:
    """The .tflite whose tensors have these shapes, None open, and until they are resized a sample's sizes in their place."""
    from ai_edge_litert import schema_py_generated as schema

    from edgeworthy.variants.conversion.tflite_packing import packed

    def change(tree: Any) -> None:
        for index, (shape, sample) in sizes.items():
            tensor, meanwhile = tree.subgraphs[0].tensors[index], (1, *(sample or [1] * len(shape)))
            tensor.shape = [most if size is None else size for size, most in zip(shape, meanwhile, strict=False)]
            tensor.shapeSignature = [-1 if size is None else size for size in shape] if None in shape else None

    return packed(content, schema, change)
