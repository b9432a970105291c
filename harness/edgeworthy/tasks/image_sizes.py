"""The size of the image that a model sees."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edgeworthy.errors import SourceError

#: Height and width, pixels.
ImageSize = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]


def image_size_of(inputs: tuple[int, ...]) -> tuple[int, int]:
    """Height and width of a sample (H, W, C). Raises SourceError where it is no image."""
    if len(inputs) != 3:
        raise SourceError(
            f"a sample of shape {inputs} is no image of height, width and channels",
            hint="set the task's `image_size` to [height, width] of the image that the outputs are about",
        )
    return inputs[0], inputs[1]
