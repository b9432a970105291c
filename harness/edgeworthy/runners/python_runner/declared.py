"""What artifacts have in common that declare their inputs, each by its place: those of their source, in its order."""

from __future__ import annotations

from typing import Any

from .casting import to_inputs
from .jobs import Array, Job, Shape
from .signatures import all_outputs, shaped, varying_inputs, wanted_inputs, wanted_outputs, with_state_shapes
from .undeclared import Undeclared


class Declared(Undeclared):
    """An artifact with inputs of the given ``shapes`` and ``types``, and so many outputs, each called by its place."""

    def __init__(self, job: Job, shapes: list[Shape], types: list[Any], outputs: int) -> None:
        super().__init__(job)
        #: The artifact's places of the job's inputs and outputs, in the order of the job's.
        self.input_places: list[int] = wanted_inputs(job, {str(place): place for place in range(len(shapes))})
        self.output_places: list[int] = wanted_outputs(
            all_outputs(job), {str(place): place for place in range(outputs)}
        )
        self.input_shapes = with_state_shapes(job, [shapes[place] for place in self.input_places])
        self.types = [types[place] for place in self.input_places]

    def resize(self, batch: int) -> None:
        """Take ``batch`` samples at once from now on. Raises ValueError where it cannot."""
        shapes = zip(self.input_shapes, varying_inputs(self.job), strict=True)
        if any(varies and shape[0] not in (None, batch) for shape, varies in shapes):
            raise ValueError("the batch is fixed")

    def native(self, given: list[Array], first: int = 0) -> list[Any]:
        """Samples in the types of the inputs; ``first`` is the index of the first one. Raises RunnerError."""
        takes = [(dtype, 0.0, 0) for dtype in self.types]
        native = to_inputs(self.job, shaped(given, self.input_shapes), takes, first)
        return [
            each if shape else each.reshape(()) for each, shape in zip(native, self.input_shapes, strict=True)
        ]  # numpy gives a single number an axis where it makes it contiguous
