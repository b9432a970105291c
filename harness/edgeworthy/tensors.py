"""The inputs of a model that takes several: what each is called, and where its values stand in a sample."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from numpy.typing import NDArray

#: float32 holds every whole number up to here.
LARGEST_INTEGER = 2**24


@dataclass(frozen=True)
class NamedInput:
    """One of several inputs: ``shape`` is that of one sample, whose values begin at ``start`` of a row.

    A row has the values of all of a sample's inputs, float32, one after the other; ``dtype`` is the type in which the dataset
    has them. With a ``constant`` the input is this number for every sample, and has no values in a row.
    """

    name: str
    shape: tuple[int, ...] = ()
    dtype: str = "float32"
    start: int = 0
    constant: float | None = None

    @property
    def size(self) -> int:
        """How many values of a row it has."""
        return 0 if self.constant is not None else math.prod(self.shape)

    def of(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Its values (n, *shape) in ``rows`` (n, values)."""
        return rows[:, self.start : self.start + self.size].reshape(len(rows), *self.shape)

    def to_json(self) -> dict[str, Any]:
        """As a job of a child process or a runner describes it."""
        return asdict(self)

    @classmethod
    def from_json(cls, described: Mapping[str, Any]) -> NamedInput:
        """What ``to_json`` described."""
        return cls(**{**described, "shape": tuple(described["shape"])})


def constant(name: str, number: float) -> NamedInput:
    """An input that is this number for every sample."""
    return NamedInput(name, dtype="int64" if isinstance(number, int) else "float32", constant=number)


def in_a_row(arrays: Mapping[str, NDArray[Any]]) -> tuple[NamedInput, ...]:
    """The inputs that are these arrays (n, ...), one after the other."""
    found: list[NamedInput] = []
    for name, array in arrays.items():
        start = found[-1].start + found[-1].size if found else 0
        found.append(NamedInput(name, array.shape[1:], array.dtype.name, start))
    return tuple(found)
