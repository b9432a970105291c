"""What the tasks have in common that judge one output."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import TypeVar

from pydantic import Field

from edgeworthy.tasks.outputs import chosen
from edgeworthy.tasks.task import Task

T = TypeVar("T")


class OneOutput(Task, ABC):
    """A task that judges one output; ``output`` names it where the model has several."""

    output: str | None = Field(None, description="name of the output that is judged; needed where there are several")

    def judged(self, outputs: Mapping[str, T]) -> T:
        """The output that is judged, or its shape. Raises SourceError where it is not there or none is chosen."""
        return chosen(outputs, self.output, "output")
