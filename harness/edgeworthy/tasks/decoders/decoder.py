"""What a decoder is: it makes detections of a sample's outputs, before any suppression."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgeworthy.errors import SourceError
from edgeworthy.schema import Strict
from edgeworthy.tasks.detections import Detections
from edgeworthy.tasks.task import Shapes

#: The outputs of one sample.
Sample = Mapping[str, NDArray[np.float32]]


class Decoder(Strict, ABC):
    """The options of one kind of detector's outputs."""

    @abstractmethod
    def fitted_classes(self, outputs: Shapes, image_size: tuple[int, int], classes: int | None) -> int | None:
        """The number of classes that outputs of these shapes have, None where they do not say.

        ``classes`` is the number that the user gave. Raises SourceError where the shapes do not fit.
        """

    @abstractmethod
    def candidates(
        self, sample: Sample, image_size: tuple[int, int], classes: int | None, threshold: float
    ) -> Detections:
        """What has at least this score, in any order; ``image_size`` is (height, width) in pixels."""


def unfit(decoder: str, outputs: Shapes, expected: str) -> SourceError:
    """The error for outputs whose shapes a decoder cannot read."""
    given = ", ".join(f"{name or 'output'} {shape}" for name, shape in sorted(outputs.items()))
    return SourceError(
        f"the decoder {decoder!r} expects {expected} for a sample, but the model gives {given}",
        hint="choose the `decoder` that the model was exported for",
    )


def same_count(found: int, classes: int | None) -> int:
    """The classes that the outputs have. Raises SourceError where the user gave another number."""
    if classes not in (None, found):
        raise SourceError(
            f"the outputs have scores of {found} classes, but `classes` is {classes}",
            hint=f"set `classes` to {found}, or choose another `decoder`",
        )
    return found
