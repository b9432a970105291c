"""Run a float graph and its quantized one side by side on real samples, and see which layer adds what error.

For every sample, and every tensor that both graphs have:

1. both graphs run as they are;
2. each float layer runs on the inputs that the quantized graph gave to its own: what differs is the error that this one
   layer *added*, whatever came before it;
3. the float graph runs with that one error added at its place: what arrives at the output is the layer's part of the
   final error. Errors that small add up to the whole; large ones need not, so only their shares are reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgeworthy.diagnosis.graph import CASTS, MOVING, Graph, Node, Range, matched, without_fused
from edgeworthy.diagnosis.layer_errors import LayerSums, decibels, energy, shares_percent
from edgeworthy.diagnosis.records import Delegated, LayerError, Traced
from edgeworthy.errors import DiagnosisError
from edgeworthy.records import Layout

Array = NDArray[Any]
#: Input and output are paired as such; where a graph has more layers and no more pairs, it is not of the same model.
ENDS = 2


class VisibleGraph(Protocol):
    """A model file whose tensors can be seen and set; see LiteRtGraph."""

    graph: Graph

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

    def trace(self, sample: Array) -> dict[str, Array]:
        """Origin -> its value in floats."""

    def forced(self, cuts: Collection[str]) -> Callable[[Mapping[str, Array]], dict[str, Array]]:
        """Every layer on given inputs."""

    def disturbed(self, cuts: Collection[str]) -> Callable[[Array, str, Array], Array]:
        """The whole graph with one error added."""

    def delegated(self, float_path: Path) -> Delegated | None:
        """Where the graph runs."""


def opened(runtime: str, path: Path, layout: Layout) -> VisibleGraph:
    """A model file of LiteRT or ONNX Runtime, whose input has this layout."""
    if runtime == "litert":
        from edgeworthy.diagnosis.litert_graphs import LiteRtGraph

        return LiteRtGraph(path)
    from edgeworthy.diagnosis.onnx_graphs import OnnxGraph

    return OnnxGraph(path, layout)


class SideBySide:
    """A float model and a quantized one; ``add`` samples (1, ...) in each one's layout, then read ``layers``."""

    def __init__(self, floats: VisibleGraph, quantized: VisibleGraph, float_sample: Array, sample: Array) -> None:
        self.floats, self.quantized = floats, quantized
        shapes = [
            {name: value.shape for name, value in side.items()}
            for side in (floats.trace(float_sample), quantized.trace(sample))
        ]
        pairs = matched(floats.graph, quantized.graph, *shapes)
        self.pairs = without_fused(pairs, quantized.graph, quantized.ranges)
        if len(self.pairs) <= ENDS <= len(floats.graph.layers):
            raise DiagnosisError(
                "no layer of the float graph is found in the quantized one: the two cannot be compared",
                hint="diagnose a variant that edgeworthy made from this model's source",
            )
        moved = (name for name in floats.graph.moved(floats.graph.input) if self.pairs.get(name) in quantized.ranges)
        self._entry = next(moved, floats.graph.input)
        self._forced = floats.forced(self.pairs)
        self._disturbed = floats.disturbed(self.pairs)
        self._sums = {
            name: LayerSums(quantized.ranges.get(origin), floats.channel_axis(name, len(shapes[0][name])))
            for name, origin in self.pairs.items()
        }
        self._signal = self._noise = 0.0
        self._samples = self._agreeing = 0

    def add(self, float_sample: Array, sample: Array) -> None:
        """One sample more."""
        exact, found = self.floats.trace(float_sample), self.quantized.trace(sample)
        values = {name: found[origin] for name, origin in self.pairs.items()}
        expected = {self.floats.graph.input: float_sample, **self._forced(values)}
        output = exact[self.floats.graph.output]
        for name, sums in self._sums.items():
            error = values[name] - expected[name]
            reached = energy(self._disturbed(float_sample, name, error) - output) if error.any() else 0.0
            sums.add(exact[name], values[name], expected[name], reached)
        answer = found[self.quantized.graph.origin(self.quantized.graph.output)]
        self._signal += energy(output)
        self._noise += energy(answer - output)
        self._samples += 1
        self._agreeing += int(answer.argmax() == output.argmax())

    def traced(self, delegated: Delegated | None) -> Traced:
        """What the samples so far showed."""
        shares = shares_percent([sums.reached for sums in self._sums.values()])
        return Traced(
            samples=self._samples,
            agreement_percent=100.0 * self._agreeing / self._samples,
            output_sqnr_db=decibels(self._signal, self._noise),
            layers=tuple(self._layer(name, share) for name, share in zip(self._sums, shares, strict=True)),
            entry=self._entry,
            consumers={name: tuple(dict.fromkeys(self._readers(name))) for name in self._sums},
            delegated=delegated,
        )

    def _layer(self, name: str, share: float) -> LayerError:
        sums, graph = self._sums[name], self.floats.graph
        parts = graph.segment(name, self._sums)
        return LayerError(
            tensor=name,
            op=parts[0].op if parts else "input",
            parts=tuple(self._part_names(name)),
            sqnr_db=sums.sqnr_db,
            added_sqnr_db=sums.added_sqnr_db,
            share_percent=share,
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
    sides: tuple[Array, Array],
    seconds: float,
    delegated: Delegated | None,
) -> Traced:
    """Run the samples of ``sides``, (N, ...) in the float and in the quantized graph's layout, for at most ``seconds``."""
    until = time.monotonic() + seconds
    float_samples, samples = (np.ascontiguousarray(side, np.float32) for side in sides)
    both = SideBySide(floats, quantized, float_samples[:1], samples[:1])
    for index in range(len(samples)):
        both.add(float_samples[index : index + 1], samples[index : index + 1])
        if time.monotonic() > until:
            break
    return both.traced(delegated)
