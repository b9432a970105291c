"""How a source runs in its own framework: as it is, and by other kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from edgeworthy.variants import model_outputs
from edgeworthy.variants.kinds import Kind
from edgeworthy.variants.same_model import Infer

if TYPE_CHECKING:
    from edgeworthy.variants.opened_source import OpenedSource


def own_inference(source: OpenedSource) -> Infer:
    """The source's own outputs for images (N, H, W, C). Raises what its views raise."""
    by_kind: dict[Kind, Callable[[], Infer]] = {
        "keras": lambda: model_outputs.of_keras(source.keras_model(), source.fixed_batch()),
        "torch": lambda: model_outputs.of_torch(source.torch_module(), source.fixed_batch()),
        "onnx": lambda: model_outputs.of_artifact(source.onnx_file(), source.onnx_layout()),
        "tflite": lambda: model_outputs.of_artifact(source.tflite_file(), "nhwc"),
    }
    of = by_kind.get(source.kind, lambda: model_outputs.of_function(source.function(), source.fixed_batch()))
    return of()


def other_kernels(source: OpenedSource) -> Infer | None:
    """The same by other kernels of its framework, where it has them: the two differ by the rounding of float32."""
    if source.kind == "torch":
        return model_outputs.of_torch_otherwise(source.torch_module(), source.fixed_batch())
    if source.kind == "onnx":
        return model_outputs.of_onnx_otherwise(source.onnx_file(), source.onnx_layout())
    return None
