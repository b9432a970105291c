"""A copy of a PyTorch module, to be trained: the same result from the same seed on every machine of one kind."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


class CopiedTorch:
    """Trains a copy of ``module``."""

    view = "torch_module"

    def __init__(self, module: Any, seed: int) -> None:
        torch.manual_seed(seed)
        torch.set_num_threads(1)  # the same sums on every machine; a small step waits longer for a thread than it takes
        self._trained = copy.deepcopy(module)

    def weights(self) -> list[NDArray[Any]]:
        """Everything that a trained module consists of."""
        return [value.numpy().copy() for value in self._trained.state_dict().values()]

    def set_weights(self, values: list[NDArray[Any]]) -> None:
        """Write what ``weights`` read."""
        with torch.no_grad():  # in place: a module may ask of load_state_dict what only a state_dict from a file has
            for own, value in zip(self._trained.state_dict().values(), values, strict=True):
                own.copy_(torch.from_numpy(np.asarray(value)))
