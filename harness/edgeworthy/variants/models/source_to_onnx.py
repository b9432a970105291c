"""A source of another framework as an ONNX model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeworthy.variants.conversion.converters import tensorflow_to_onnx, torch_to_onnx
from edgeworthy.variants.models import tensorflow_sources
from edgeworthy.variants.models.keras_sources import called

if TYPE_CHECKING:
    from edgeworthy.variants.models.opened_source import OpenedSource


def as_onnx(source: OpenedSource, batch: int | None) -> Any:
    """The onnx.ModelProto of a source of another framework, for a batch of None any. Raises RecipeRefused."""
    opset, inputs, names = source.source.opset, source.wanted_inputs(batch), source.output_names()
    taken = {each.name for each in inputs}
    if taken & set(names):  # a module may call a state as its input: in a graph both would be one tensor
        names = tuple(f"output_{place}" for place in range(len(names)))
    if source.kind == "torch":
        module = source.torch_module()
        return torch_to_onnx(module, inputs, opset, source.scratch / "exported.onnx", names)
    if source.kind == "keras":
        model = source.keras_model()
        return tensorflow_to_onnx(called(model), inputs, opset, f"{model.name}_1/", names)
    function = source.function()
    return tensorflow_to_onnx(lambda *x: tensorflow_sources.outputs_of(function, x), inputs, opset, "", names)
