"""What the inputs and outputs of a model are called, and how the same ones are found again after a conversion."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: What TensorFlow, ONNX and LiteRT allow everywhere in a name.
PLAIN = re.compile(r"[A-Za-z_]\w*")
NUMBERED = re.compile(r"\D+_(\d+)")


def plain_names(names: Sequence[str], otherwise: str = "output") -> tuple[str, ...]:
    """The names as a signature can have them: their own, or ``output_0``, ``output_1``, ... where one is none."""
    if all(PLAIN.fullmatch(name) for name in names):
        return tuple(names)
    return tuple(f"{otherwise}_{index}" for index in range(len(names)))


def in_order(found: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """``found``, the names of a converted model's outputs, in the order of its source's ``names``.

    By name where they have kept it, else by number (``output_0``), else as they come; whoever converts compares the values.
    """
    for wanted in (tuple(names), plain_names(names)):
        if sorted(found) == sorted(wanted):
            return wanted
    numbers = {name: NUMBERED.fullmatch(name) for name in found}
    if all(numbers.values()):
        return tuple(sorted(found, key=lambda name: int(numbers[name][1])))  # type: ignore[index]
    return tuple(found)
