"""What a .tflite file says of its graph, read from its bytes: no runtime runs in this process."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeworthy.errors import ArtifactUnusable, InputMismatch, RuntimeMissing
from edgeworthy.records import Layout
from edgeworthy.runners.python_runner.jobs import IMAGE_RANK, RunnerError
from edgeworthy.runners.python_runner.signatures import wanted_outputs
from edgeworthy.tensors import NamedInput

#: Names of the schema's TensorType that numpy has too.
_DTYPES = (
    "FLOAT16", "FLOAT32", "FLOAT64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "BOOL",
)  # fmt: skip


@dataclass(frozen=True)
class Tensor:
    """An input or output of the graph, as its signature calls it; a ``scale`` of 0 means that it is not quantized.

    Sizes that are ``open`` stand in the shape as what they are at first.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float
    zero_point: int
    open: tuple[int, ...] = ()

    @property
    def open_shape(self) -> tuple[int | None, ...]:
        """The shape, None along the axes that the file leaves open."""
        return tuple(None if axis in self.open else size for axis, size in enumerate(self.shape))

    @property
    def size_bytes(self) -> int:
        """Of one tensor of its declared shape."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class Fed:
    """An input and what it is given: one of several inputs, or, with None, the samples as they are."""

    tensor: Tensor
    named: NamedInput | None

    @property
    def varies(self) -> bool:
        """Whether it is another for each sample."""
        return self.named is None or self.named.constant is None

    def open_sample(self, layout: Layout) -> tuple[int | None, ...]:
        """The shape of a sample in this layout, None along the axes in which samples differ."""
        sizes = self.named.open_shape if self.named else self.tensor.open_shape[1:]
        return (sizes[-1], *sizes[:-1]) if layout == "nchw" and len(sizes) + 1 == IMAGE_RANK else sizes

    def shape(self, batch: int) -> tuple[int, ...]:
        """That of so many samples."""
        return (batch, *self.tensor.shape[1:]) if self.varies else self.tensor.shape


@dataclass(frozen=True)
class Graph:
    """The first subgraph: its inputs, its outputs and how many nodes it has."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    nodes: int

    def fed(self, name: str, inputs: Sequence[NamedInput], names: Mapping[str, str]) -> list[Fed]:
        """The inputs in their order, each with what it is given: of ``inputs``, which the graph calls ``names``, or all samples.

        Raises InputMismatch where it takes others; ``name`` is the artifact's.
        """
        found = ", ".join(tensor.name for tensor in self.inputs)
        if len(self.inputs) != (len(inputs) or 1):
            shown = f"{len(self.inputs)} inputs, not {len(inputs) or 'one'}: {found}" if self.inputs else "no input"
            raise InputMismatch(
                f"{name}: the model takes {shown}",
                hint="give the dataset an array for each input, or export the model with one",
            )
        if not inputs:
            return [Fed(self.inputs[0], None)]
        given = {names.get(each.name): each for each in inputs}
        if unknown := [tensor.name for tensor in self.inputs if tensor.name not in given]:
            raise InputMismatch(
                f"{name}: the model has an input {unknown[0]!r}, which is given nothing; its inputs are {found}",
                hint="delete the artifact from the store; it is made again",
            )
        return [Fed(tensor, given[tensor.name]) for tensor in self.inputs]

    def wanted(self, names: Sequence[str]) -> list[int]:
        """The places of the outputs of those names; of the first where none is named. Raises InputMismatch."""
        places = {tensor.name: place for place, tensor in enumerate(self.outputs)}
        try:
            return wanted_outputs(names, places)
        except RunnerError as error:
            raise InputMismatch(str(error), hint="delete the artifact from the store; it is made again") from error

    def given_back(self, name: str, fed: Sequence[Fed], state: Mapping[str, str]) -> tuple[int | None, ...]:
        """Of each input the place of the output that it is at the step after, by ``state``: input of the source -> output.

        Raises InputMismatch where the bytes of the two mean different things.
        """
        return tuple(
            self._given_back(name, each, state[each.named.name]) if each.named and each.named.name in state else None
            for each in fed
        )

    def _given_back(self, name: str, fed: Fed, output: str) -> int:
        place = self.wanted([output])[0]
        given, taken = self.outputs[place], fed.tensor
        same = (given.size_bytes, given.dtype, given.scale, given.zero_point)
        if same != (taken.size_bytes, taken.dtype, taken.scale, taken.zero_point):
            raise InputMismatch(
                f"{name}: the state {taken.name!r} is {taken.dtype} with scale {taken.scale:g}, and the output that it is given"
                f" back, {output!r}, {given.dtype} with scale {given.scale:g}: on a phone nothing converts one into the other",
                hint="judge a variant with float inputs and outputs there (int8_float_io), or this one on the host or a board",
            )
        return place


def read_graph(path: Path) -> Graph:
    """Read a .tflite file. Raises ArtifactUnusable where it is none."""
    schema = _schema()
    try:
        content = path.read_bytes()
        if not schema.Model.ModelBufferHasIdentifier(content, 0):
            raise ValueError("it does not begin as a .tflite file does")
        model = schema.Model.GetRootAs(content, 0)
        graph, called = model.Subgraphs(0), _names(model)
        inputs, outputs = (
            tuple(_tensor(schema, graph.Tensors(index), called.get(index)) for index in _indices(graph, side))
            for side in ("Inputs", "Outputs")
        )
        nodes = graph.OperatorsLength()
    except Exception as error:  # what a damaged buffer raises is anybody's guess
        raise ArtifactUnusable(
            f"{path.name}: not a readable .tflite file ({error})",
            hint="delete the artifact from the store; it is made again",
        ) from error
    return Graph(inputs, outputs, nodes)


def _names(model: Any) -> dict[int, str]:
    """Index of a tensor -> what the only signature calls it; empty where there are several or none."""
    if model.SignatureDefsLength() != 1:
        return {}
    signature = model.SignatureDefs(0)
    ends = [signature.Inputs(place) for place in range(signature.InputsLength())]
    ends += [signature.Outputs(place) for place in range(signature.OutputsLength())]
    return {end.TensorIndex(): end.Name().decode(errors="replace") for end in ends}


def _indices(graph: Any, side: str) -> list[int]:
    """The graph's ``Inputs`` or ``Outputs``; the schema gives 0 in place of an empty list."""
    return [getattr(graph, side)(place) for place in range(getattr(graph, f"{side}Length")())]


def _schema() -> Any:
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError as error:
        raise RuntimeMissing(
            f"reading a .tflite file needs ai-edge-litert here ({error})", hint="pip install 'edgeworthy[litert]'"
        ) from error
    return schema_py_generated


def _tensor(schema: Any, stored: Any, called: str | None) -> Tensor:
    kinds = {getattr(schema.TensorType, name): np.dtype(name.lower()) for name in _DTYPES}
    if stored.Type() not in kinds:
        raise ValueError(f"a tensor of type {stored.Type()} is no number")
    quantization = stored.Quantization()
    scaled = quantization is not None and quantization.ScaleLength() == 1
    return Tensor(
        name=called or stored.Name().decode(errors="replace"),
        shape=tuple(int(size) for size in stored.ShapeAsNumpy()) if stored.ShapeLength() else (),
        dtype=kinds[stored.Type()],
        scale=float(quantization.Scale(0)) if scaled else 0.0,
        zero_point=int(quantization.ZeroPoint(0)) if scaled and quantization.ZeroPointLength() else 0,
        open=tuple(axis for axis in range(stored.ShapeSignatureLength()) if stored.ShapeSignature(axis) < 0),
    )
