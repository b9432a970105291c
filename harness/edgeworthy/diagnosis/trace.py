"""Run a float graph and its quantized one side by side on real samples, and see which layer adds what error.

For every sample, and every tensor that both graphs have:

1. both graphs run as they are;
2. each float layer runs on the inputs that the quantized graph gave to its own: what differs is the error that this one
   layer *added*, whatever came before it;
3. the float graph runs with that one error added at its place: what arrives at each output is the layer's part of that
   output's error. Errors that small add up to the whole; large ones need not, so only their shares are reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgeworthy.diagnosis.graph import CASTS, MOVING, Graph, Node, Range, matched, without_fused
from edgeworthy.diagnosis.layer_errors import LayerSums, OutputSums, energy, shares_percent
from edgeworthy.diagnosis.records import Delegated, LayerError, OutputError, Traced
from edgeworthy.errors import DiagnosisError
from edgeworthy.records import Layout
from edgeworthy.tensors import NamedInput
from edgeworthy.variants.models.model_inputs import values_of

Array = NDArray[Any]


class VisibleGraph(Protocol):
    """A model file whose tensors can be seen and set; see LiteRtGraph."""

    graph: Graph
    layout: Layout

    @property
    def ranges(self) -> dict[str, Range]:
        """Origin -> what its quantized form can hold."""

    @property
    def parts(self) -> Collection[str]:
        """What a quantizer calls the nodes."""

    def part(self, node: Node) -> str:
        """What a quantizer calls a node."""

    def channel_axis(self, tensor: str, dimensions: int) -> int:
        """Where the channels of a tensor are, from its end."""

    def shape(self, name: str) -> tuple[int | None, ...]:
        """Of an input, with the batch; None where a size is open."""

    def trace(self, given: Mapping[str, Array]) -> dict[str, Array]:
        """Origin -> its value in floats."""

    def expose(self, out: Path) -> list[str]:
        """Write it with every activation as an output; their names."""

    def forced(self, cuts: Collection[str]) -> Callable[[Mapping[str, Array]], dict[str, Array]]:
        """Every layer on given inputs."""

    def disturbed(self, cuts: Collection[str]) -> Callable[[Mapping[str, Array], str, Array], dict[str, Array]]:
        """The whole graph with one error added."""

    def delegated(self, float_path: Path) -> Delegated | None:
        """Where the graph runs."""


def opened(
    runtime: str, path: Path, layout: Layout, inputs: Sequence[str] = (), outputs: Sequence[str] = ()
) -> VisibleGraph:
    """A model file of LiteRT or ONNX Runtime, whose images have this layout.

    ``inputs`` and ``outputs`` are what the file calls those of the model's source, in their order, where there are several.
    """
    if runtime == "litert":
        from edgeworthy.diagnosis.litert_graphs import LiteRtGraph

        return LiteRtGraph(path, layout, inputs, outputs)
    from edgeworthy.diagnosis.onnx_graphs import OnnxGraph

    return OnnxGraph(path, layout, inputs, outputs)


@dataclass(frozen=True)
class Rows:
    """Samples (n, ...) float32, rows of all of their ``inputs`` where there are several."""

    values: Array
    inputs: tuple[NamedInput, ...] = ()

    def given(self, index: int, graph: VisibleGraph) -> dict[str, Array]:
        """What each of a graph's inputs is given of a sample, (1, ...)."""
        names = graph.graph.inputs
        found = values_of(
            self.values[index : index + 1], self.inputs, graph.layout, [graph.shape(name) for name in names]
        )
        return {name: np.ascontiguousarray(value) for name, value in zip(names, found, strict=True)}


class SideBySide:
    """A float model and a quantized one; ``add`` samples, then read what they ``traced``.

    ``names`` are what the outputs are called, in the graphs' order.
    """

    def __init__(self, floats: VisibleGraph, quantized: VisibleGraph, rows: Rows, names: Sequence[str]) -> None:
        self.floats, self.quantized, self.rows = floats, quantized, rows
        shapes = [
            {name: value.shape for name, value in graph.trace(rows.given(0, graph)).items()}
            for graph in (floats, quantized)
        ]
        self.pairs = without_fused(
            matched(floats.graph, quantized.graph, *shapes), quantized.graph, quantized.ranges, floats.graph.outputs
        )
        self._refuse_strangers()
        #: The outputs that are numbers on both sides: tensor -> its name and sums.
        ends = zip(floats.graph.outputs, names, strict=True)
        self._outputs = {tensor: (name, OutputSums()) for tensor, name in ends if tensor in self.pairs}
        self._forced = floats.forced(self.pairs)
        self._disturbed = floats.disturbed(self.pairs)
        self._sums = {
            name: LayerSums(
                quantized.ranges.get(origin), floats.channel_axis(name, len(shapes[0][name])), len(self._outputs)
            )
            for name, origin in self.pairs.items()
        }
        self._samples = self._agreeing = 0

    def _refuse_strangers(self) -> None:
        """Raise DiagnosisError where nothing is paired but inputs and outputs, which are paired by their places, or no output."""
        graph = self.floats.graph
        ends = {*graph.inputs, *graph.outputs}
        if ends.issuperset(self.pairs) and len(graph.layers) > len(graph.outputs):
            raise DiagnosisError(
                "no layer of the float graph is found in the quantized one: the two cannot be compared",
                hint="diagnose a variant that edgeworthy made from this model's source",
            )
        if not any(output in self.pairs for output in graph.outputs):
            raise DiagnosisError(
                "no output of the model is a float, or one of the same shape in both graphs: the two cannot be compared",
                hint="compare its variants by their outputs, or let the model give scores instead of class numbers",
            )

    def add(self, index: int) -> None:
        """One sample more."""
        given = self.rows.given(index, self.floats)
        exact, found = self.floats.trace(given), self.quantized.trace(self.rows.given(index, self.quantized))
        values = {name: found[origin] for name, origin in self.pairs.items()}
        expected = {**given, **self._forced({**given, **values})}
        for name, sums in self._sums.items():
            error = values[name] - expected[name]
            reached = self._reached(given, name, error, exact) if error.any() else [0.0] * len(self._outputs)
            sums.add(exact[name], values[name], expected[name], reached)
        for tensor, (_, output) in self._outputs.items():
            output.add(exact[tensor], values[tensor])
        self._samples += 1
        self._agreeing += int(all(values[each].argmax() == exact[each].argmax() for each in self._outputs))

    def _reached(self, given: Mapping[str, Array], name: str, error: Array, exact: Mapping[str, Array]) -> list[float]:
        """The energy that a layer's error has at each output."""
        disturbed = self._disturbed(given, name, error)
        return [energy(disturbed[output] - exact[output]) for output in self._outputs]

    def traced(self, delegated: Delegated | None) -> Traced:
        """What the samples so far showed."""
        outputs = [sums for _, sums in self._outputs.values()]
        reached = [sums.reached for sums in self._sums.values()]
        relative = [sum(map(OutputSums.relative, outputs, parts)) for parts in reached]
        each = zip(*(shares_percent(column) for column in zip(*reached, strict=True)), strict=True)
        shares = zip(self._sums, shares_percent(relative), each, strict=True)
        return Traced(
            samples=self._samples,
            agreement_percent=100.0 * self._agreeing / self._samples,
            outputs=tuple(
                OutputError(name=name, sqnr_db=sums.sqnr_db, error_percent=sums.error_percent)
                for name, sums in self._outputs.values()
            ),
            layers=tuple(self._layer(name, share, of_outputs) for name, share, of_outputs in shares),
            entries=tuple(self._entries()),
            consumers={name: tuple(dict.fromkeys(self._readers(name))) for name in self._sums},
            delegated=delegated,
        )

    def _entries(self) -> Iterator[str]:
        """Where each input of floats is first quantized."""
        for entry in self.floats.graph.inputs:
            moved = self.floats.graph.moved(entry)
            quantized = (name for name in moved if self.pairs.get(name) in self.quantized.ranges)
            if (found := next(quantized, entry)) in self.pairs:
                yield found

    def _layer(self, name: str, share: float, of_outputs: tuple[float, ...]) -> LayerError:
        sums, graph = self._sums[name], self.floats.graph
        parts = graph.segment(name, self._sums)
        return LayerError(
            tensor=name,
            origin=self.pairs[name],
            op=parts[0].op if parts else "input",
            parts=tuple(self._part_names(name)),
            sqnr_db=sums.sqnr_db,
            added_sqnr_db=sums.added_sqnr_db,
            share_percent=share,
            output_shares_percent=of_outputs,
            cause=sums.cause,
            calibrated=(sums.held.low, sums.held.high) if sums.held else None,
            seen=(sums.low, sums.high),
            saturated_percent=sums.saturated_percent,
            dead_channels=sums.dead_channels,
            channels=sums.channels,
        )

    def _part_names(self, name: str) -> list[str]:
        """What a quantizer calls the layer's nodes: those that both graphs have, for it has fused some away."""
        names = [self.floats.part(node) for node in self.floats.graph.segment(name, self._sums) if node.op not in CASTS]
        found = [part for part in names if part in self.quantized.parts]
        if found or not names:
            return found
        origins = {self.pairs[tensor] for tensor in self._sums}
        nodes = self.quantized.graph.segment(self.pairs[name], origins)
        return [part for node in nodes if node.op not in CASTS and (part := self.quantized.part(node))]

    def _readers(self, name: str) -> Iterator[str]:
        """The layers that compute with a tensor, also through nodes that only hand it on (these included)."""
        graph = self.floats.graph
        for node in graph.reads(name):
            end = self._layer_of(node.outputs[0])
            if end is not None:
                yield end
                if node.op in MOVING:
                    yield from self._readers(end)

    def _layer_of(self, tensor: str) -> str | None:
        """The compared tensor that a tensor goes into, itself if it is one."""
        while tensor not in self._sums:
            reader = next(iter(self.floats.graph.reads(tensor)), None)
            if reader is None:
                return None
            tensor = reader.outputs[0]
        return tensor


def trace(
    floats: VisibleGraph,
    quantized: VisibleGraph,
    rows: Rows,
    names: Sequence[str],
    seconds: float,
    delegated: Delegated | None,
) -> Traced:
    """Run the samples for at most ``seconds``; ``names`` are what the outputs are called."""
    until = time.monotonic() + seconds
    both = SideBySide(floats, quantized, rows, names)
    for index in range(len(rows.values)):
        both.add(index)
        if time.monotonic() > until:
            break
    return both.traced(delegated)
