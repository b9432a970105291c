"""The recipe that leaves the worst layers float."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from edgeworthy.diagnosis.graph import MOVING
from edgeworthy.diagnosis.records import LayerError, Proposal, Traced
from edgeworthy.runtimes import Runtime

#: So much of the added error may stay.
LEFT_PERCENT = 10.0
#: Where more of the layers would be float, few layers are not what is wrong.
MOST_LAYERS = 0.5


def propose(traced: Traced, runtime: Runtime, name: str, *, accuracy: bool) -> Proposal | None:
    """A variant without ops that the delegate leaves and, for ``accuracy``, without the worst layers' errors.

    None where nothing is wrong, or leaving a few layers float does not help.
    """
    layers = worst_layers(traced) if accuracy else []
    ops = [op.op for op in traced.delegated.left if op.float_taken] if traced.delegated else []
    recipe = runtime.mixed
    if recipe is None or (accuracy and not layers):
        return None
    return leaving_float(traced, recipe, name, layers, ops) if layers or ops else None


def leaving_float(traced: Traced, recipe: str, name: str, tensors: Collection[str], ops: Collection[str]) -> Proposal:
    """The variant by this recipe that leaves these layers and these kinds of ops float."""
    layers = {layer.tensor: layer for layer in traced.layers}
    parts = [part for tensor in tensors for part in layers[tensor].parts if layers[tensor].op not in ops]
    given = {"float_ops": list(ops), "float_nodes": list(dict.fromkeys(parts))}
    options: dict[str, Any] = {option: names for option, names in given.items() if names}
    left = left_percent(traced, set(tensors))
    return Proposal(name=name, recipe=recipe, options=options, left_percent=left)


def worst_layers(traced: Traced) -> list[str]:
    """The fewest layers, the worst first, without whose errors at most LEFT_PERCENT is left; none where that is most of them."""
    chosen = prefix(traced, LEFT_PERCENT)
    computing = {layer.tensor for layer in traced.layers if layer.parts and layer.op not in MOVING}
    return chosen if len(computing.intersection(chosen)) <= MOST_LAYERS * len(computing) else []


def prefix(traced: Traced, at_most_percent: float) -> list[str]:
    """Layers to leave float, added from the worst on, until at most so much of the added error is left."""
    chosen: dict[str, None] = {}
    for layer in sorted(traced.layers, key=lambda layer: -layer.share_percent):
        if left_percent(traced, chosen) <= at_most_percent:
            break
        chosen.update(dict.fromkeys(_with_readers(layer, traced.consumers)))
    inputs = {layer.tensor for layer in traced.layers if not layer.parts}
    return [tensor for tensor in chosen if tensor not in inputs]


def left_percent(traced: Traced, floats: Collection[str]) -> float:
    """The share of the added error that is left where these layers are float."""
    return sum(layer.share_percent for layer in traced.layers if not _repaired(layer, floats, traced.consumers))


def _with_readers(layer: LayerError, consumers: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """What must be float for the layer's error to go: an int8 node quantizes a float tensor that it reads."""
    return (layer.tensor, *consumers[layer.tensor]) if layer.cause == "range" else (layer.tensor,)


def _repaired(layer: LayerError, floats: Collection[str], consumers: Mapping[str, tuple[str, ...]]) -> bool:
    needed = _with_readers(layer, consumers)
    return all(tensor in floats for tensor in (needed if layer.parts else needed[1:]))
