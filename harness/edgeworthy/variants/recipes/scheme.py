"""What a LiteRT recipe asks for, as data: both tools that make a .tflite read it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from edgeworthy.errors import RecipeRefused
from edgeworthy.suggestions import did_you_mean

Ranges = Literal["minmax", "moving_average"]


@dataclass(frozen=True)
class Scheme:
    """The types of numbers in a graph; the defaults leave a float graph as it is.

    ``activations``: ``dynamic`` computes in int8 with dynamic ranges, ``float32`` computes in float whatever the
    weights are stored as. ``io`` is the type of input and output. ``ranges`` is how the ranges of static activations
    are taken from the calibration samples. ``float_ops`` and ``float_nodes`` are left in float.
    """

    weights: Literal["float32", "float16", "int8", "int4"] = "float32"
    activations: Literal["float32", "dynamic", "int8", "int16"] = "float32"
    io: Literal["float32", "int8", "uint8", "int16"] = "float32"
    per_channel: bool = True
    ranges: Ranges = "minmax"
    float_ops: tuple[str, ...] = ()
    float_nodes: tuple[str, ...] = ()


class GraphNames(NamedTuple):
    """The types of ops in a graph, and the names that its nodes go by."""

    ops: frozenset[str]
    nodes: frozenset[str]

    def chosen(self, float_ops: Iterable[str], float_nodes: Iterable[str]) -> tuple[list[str], list[str]]:
        """``float_ops``, and the nodes that ``float_nodes``, names or regular expressions, stand for.

        Raises RecipeRefused for one that the graph has not: a quantizer would ignore it and quantize everything.
        """
        ops = [op for op in float_ops if self._known("op", op, {op} & self.ops)]
        nodes = [name for wanted in float_nodes for name in self._known("node", wanted, self._matching(wanted))]
        return ops, nodes

    def _matching(self, wanted: str) -> set[str]:
        if wanted in self.nodes:
            return {wanted}
        try:
            return {name for name in self.nodes if re.fullmatch(wanted, name)}
        except re.error:
            return set()

    def _known(self, kind: str, wanted: str, found: set[str] | frozenset[str]) -> list[str]:
        if not found:
            known = self.ops if kind == "op" else self.nodes
            raise RecipeRefused(
                f"the graph has no {kind} {wanted!r}; {did_you_mean(wanted, sorted(known))}",
                hint=f"correct the option float_{kind}s",
            )
        return sorted(found)


def refuse_none_left(recipe: str, float_ops: Sequence[str], float_nodes: Sequence[str]) -> None:
    """Raise RecipeRefused where a mixed recipe is given nothing to leave in float."""
    if not (float_ops or float_nodes):
        raise RecipeRefused(f"{recipe} has nothing to leave in float", hint="give float_ops or float_nodes")
