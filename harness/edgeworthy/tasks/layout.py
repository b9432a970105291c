"""Which dimension of an image-like output holds the channels."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgeworthy.errors import SourceError

#: Height, width, channels; or the channels first. None of an output without channels.
Layout = Literal["hwc", "chw"]


def layout_of(output: tuple[int, ...], size: tuple[int, int], given: Layout | None) -> Layout | None:
    """The layout of a sample's output of this shape, where its targets have the ``size`` (height, width).

    ``given`` decides where both fit. Raises SourceError where none does, and where both do and none is given.
    """
    if output == size:
        return None
    ends: dict[Layout, tuple[int, ...]] = {"hwc": output[:2], "chw": output[1:]} if len(output) == 3 else {}
    fitting = [layout for layout, end in ends.items() if end == size and given in (None, layout)]
    if not fitting:
        raise SourceError(_unlike(output, size, given), hint=_hint(output, size))
    if len(fitting) > 1:
        raise SourceError(
            f"the output has shape {output}, and whether the channels are first or last cannot be seen",
            hint="set the task's option 'layout' to hwc or chw",
        )
    return fitting[0]


def channels_last(values: NDArray[Any], layout: Layout | None) -> NDArray[Any]:
    """Values (samples, ...) of this layout as (samples, height, width, channels)."""
    if layout is None:
        return values[..., None]
    return np.moveaxis(values, 1, -1) if layout == "chw" else values


def _unlike(output: tuple[int, ...], size: tuple[int, int], given: Layout | None) -> str:
    wanted = f" in the layout {given}" if given else ""
    return f"the output of shape {output}{wanted} does not fit targets of {size[0]} x {size[1]} (height x width)"


def _hint(output: tuple[int, ...], size: tuple[int, int]) -> str:
    """Says which size the targets should have, where the output's is smaller or larger by one factor."""
    for height, width in (output[:2], output[-2:]) if len(output) in (2, 3) else ():
        if height * size[1] == width * size[0]:
            return f"give targets of the output's size, {height} x {width}"
    return "give targets of the output's size, and see that 'output' and 'layout' name what they should"
