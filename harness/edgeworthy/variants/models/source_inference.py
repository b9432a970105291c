"""How a source runs in its own framework: as it is, and by other kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgeworthy.variants.models import model_outputs
from edgeworthy.variants.models.kinds import Kind
from edgeworthy.variants.models.model_outputs import Inference
from edgeworthy.variants.models.same_model import LAST_BITS, Infer

if TYPE_CHECKING:
    from edgeworthy.variants.models.opened_source import OpenedSource


def own_inference(source: OpenedSource) -> Inference:
    """The source's own outputs for images (N, H, W, C). Raises what its views raise."""
    ends, batch = source.ends(), source.fixed_batch() if source.kind != "tflite" else None
    by_kind: dict[Kind, Callable[[], Inference]] = {
        "keras": lambda: model_outputs.of_keras(source.keras_model(), batch, ends),
        "torch": lambda: model_outputs.of_torch(source.torch_module(), batch, ends),
        "onnx": lambda: model_outputs.of_artifact(source.onnx_file(), source.onnx_layout(), ends),
        "tflite": lambda: model_outputs.of_artifact(source.tflite_file(), "nhwc", ends),
    }
    of = by_kind.get(
        source.kind, lambda: model_outputs.of_function(source.function(), source.own_inputs(), batch, ends)
    )
    return of()


def other_kernels(source: OpenedSource) -> Infer | None:
    """The same model by other kernels of its framework; where it has none, for inputs that differ in their last bits.

    What the two differ by is the rounding of float32 in this model.
    """
    if source.kind == "torch":
        return model_outputs.of_torch_otherwise(source.torch_module(), source.fixed_batch(), source.ends())
    if source.kind == "onnx":
        return model_outputs.of_onnx_otherwise(source.onnx_file(), source.onnx_layout(), source.ends())
    if source.kind == "tflite":
        return None
    usual = own_inference(source)
    return lambda samples: usual(_nudged(samples))


def _nudged(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each number a few units in its last place larger or smaller."""
    signs = np.random.default_rng(0).choice([-LAST_BITS, LAST_BITS], samples.shape)
    nudged: NDArray[np.float32] = (samples * (1 + signs)).astype(np.float32)
    return nudged
