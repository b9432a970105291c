"""Weights of a PyTorch module from a checkpoint, as plain training loops, Lightning, DDP and torch.compile save them."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from edgeworthy.errors import SourceError
from edgeworthy.variants.conversion.converter_errors import reason_line

SAVE_WEIGHTS = "save the weights with torch.save(model.state_dict(), path)"
#: Where a checkpoint with other things in it has the weights.
CONTAINERS = ("state_dict", "model_state_dict", "model")
#: What wrappers put before every key: DataParallel and DDP, torch.compile, Lightning.
PREFIXES = ("module.", "_orig_mod.", "model.")
#: A message names at most this many keys of each kind.
NAMED = 3


def load_weights(module: Any, weights: Path, title: str) -> None:
    """Load a checkpoint's state_dict into the torch.nn.Module, every key of it.

    Raises SourceError where the file holds other objects than weights, or names the missing and the unexpected keys and
    those of another shape.
    """
    checkpoint = _read(weights)
    wanted = {name: tuple(value.shape) for name, value in module.state_dict().items() if hasattr(value, "shape")}
    state = _best(list(_states(checkpoint)), wanted, weights)
    try:
        module.load_state_dict(state, strict=True)
    except Exception as error:
        raise SourceError(
            f"{weights}: the weights do not fit {title}: {_differences(state, wanted) or reason_line(error)}",
            hint="save the weights of this architecture, with as many classes as the dataset has",
        ) from error


def _read(weights: Path) -> Mapping[str, Any]:
    import torch

    try:
        checkpoint = torch.load(weights, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise SourceError(
            f"{weights}: not plain weights but a pickle of other objects, or damaged; it is not loaded",
            hint=SAVE_WEIGHTS,
        ) from error
    except Exception as error:
        raise SourceError(
            f"{weights}: cannot be read as torch weights: {reason_line(error)}", hint=SAVE_WEIGHTS
        ) from error
    if not isinstance(checkpoint, Mapping) or not all(isinstance(key, str) for key in checkpoint):
        raise SourceError(f"{weights}: holds a {type(checkpoint).__name__}, not a state_dict", hint=SAVE_WEIGHTS)
    return checkpoint


def _states(checkpoint: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every state_dict that the checkpoint may hold: what it lies in, and the state_dict without a wrapper's prefixes."""
    from torch.nn.modules.utils import consume_prefix_in_state_dict_if_present

    inner = {name: checkpoint[name] for name in CONTAINERS if isinstance(checkpoint.get(name), Mapping)}
    for name, state in {"": checkpoint, **inner}.items():
        yield name, state
        stripped = dict(state) if type(state) is dict else copy.copy(state)
        while prefix := next((each for each in PREFIXES if stripped and _all_begin(stripped, each)), None):
            consume_prefix_in_state_dict_if_present(stripped, prefix)
            yield name, copy.copy(stripped)


def _all_begin(keys: Iterable[str], prefix: str) -> bool:
    return all(isinstance(key, str) and key.startswith(prefix) for key in keys)


def _best(states: list[tuple[str, Mapping[str, Any]]], wanted: Mapping[str, Any], weights: Path) -> Mapping[str, Any]:
    """The state_dict with the most of the wanted keys. Raises SourceError where two have all of them."""
    whole = list(dict.fromkeys(name for name, state in states if set(wanted) <= set(state)))
    if len(whole) > 1:
        raise SourceError(
            f"{weights}: holds several weights that fit, {' and '.join(map(repr, whole))}", hint=SAVE_WEIGHTS
        )
    return max(states, key=lambda state: (len(set(wanted) & set(state[1])), state[0] != ""))[1]


def _differences(state: Mapping[str, Any], wanted: Mapping[str, tuple[int, ...]]) -> str:
    shapes = {name: tuple(getattr(value, "shape", ())) for name, value in state.items()}
    unlike = [
        f"{name} is {shapes[name]}, the module's {shape}"
        for name, shape in wanted.items()
        if name in shapes and shapes[name] != shape
    ]
    kinds = {
        "missing keys": [name for name in wanted if name not in state],
        "unexpected keys": [name for name in state if name not in wanted],
        "other shapes": unlike,
    }
    return "; ".join(f"{kind}: {_listed(names)}" for kind, names in kinds.items() if names)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
