"""A PyTorch module for a runtime whose files have fixed shapes."""

from __future__ import annotations

from typing import Any

from edgeworthy.errors import RecipeRefused
from edgeworthy.tensors import is_ragged
from edgeworthy.variants.conversion.converters import zeros
from edgeworthy.variants.models.model_inputs import ModelInput
from edgeworthy.variants.models.opened_source import OpenedSource


def with_fixed_shapes(source: OpenedSource, why: str) -> tuple[Any, list[ModelInput], tuple[Any, ...]]:
    """The module, its inputs, and examples of them: zeros, for one sample or the only batch that it takes.

    Raises RecipeRefused, with ``why``, where the samples have different sizes.
    """
    module, inputs = source.torch_module(), source.own_inputs()
    if is_ragged(source.samples.inputs):
        raise RecipeRefused(
            f"{why}, and the samples have different sizes",
            hint="give samples of one size: pad them, with 'ragged: pad' in the model's entry",
        )
    return module, inputs, zeros(inputs, source.fixed_batch() or 1)
