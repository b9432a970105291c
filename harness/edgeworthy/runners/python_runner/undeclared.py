"""What artifacts have in common that say nothing of their inputs, their state and where they run."""

from __future__ import annotations

from typing import Any

import numpy as np

from .casting import as_floats
from .jobs import Array, Facts, Job
from .signatures import shaped, undeclared_shapes, undeclared_types


class Undeclared:
    """An artifact whose inputs have the samples' shapes and types; its outputs are numbers as they are."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.input_shapes = undeclared_shapes(job)
        self.types = undeclared_types(job)

    def keeps_state(self) -> bool:
        """No: what it keeps shows where samples are run again."""
        return False

    def reset(self) -> None:
        """Nothing: no variables are known."""

    def fit(self, shapes: list[tuple[int, ...]]) -> None:
        """Nothing: no shape is declared."""

    def resize(self, batch: int) -> None:
        """Nothing: no batch is declared."""

    def typed(self, given: list[Array]) -> list[Array]:
        """Samples in the types of the inputs, each contiguous and its own."""
        values = zip(shaped(given, self.input_shapes), self.types, strict=True)
        return [np.array(each, dtype, order="C") for each, dtype in values]

    def floats(self, raw: Array, place: int = 0) -> Array:
        """An output as float32."""
        return as_floats(raw)

    def state(self, raw: Array, place: int) -> Array:
        """An output as the state that it becomes."""
        return raw

    def needs(self) -> dict[str, float]:
        """Nothing: no microcontroller runs it."""
        return {}

    def delegation(self, native: Any) -> Facts | None:
        """None: nothing is said of delegates."""
        return None
