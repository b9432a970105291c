"""Samples of different sizes as the tool reads and writes them, one by one: values, shapes and outputs, each of its own size."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeworthy.datasets.samples import Samples, as_stored, shape_in_layout
from edgeworthy.errors import InputMismatch
from edgeworthy.records import Layout
from edgeworthy.targets.android.command import shapes_text
from edgeworthy.targets.android.graph import Fed, Graph
from edgeworthy.targets.android.shards import SHARD_BYTES, dequantized, native


@dataclass(frozen=True)
class Shard:
    """``count`` samples: a file for each input, in which each sample's bytes begin a frame of as many for all of them.

    The ``plan`` has a line for each sample: the shapes of its inputs, as the tool takes them, and how many bytes they have.
    """

    count: int
    files: tuple[Path, ...]
    plan: Path


def frames_of(fed: Sequence[Fed]) -> list[int]:
    """The bytes of each input's frame, which holds the largest sample."""
    return [
        math.prod(each.named.shape) * each.tensor.dtype.itemsize
        if each.named and each.varies
        else each.tensor.size_bytes
        for each in fed
    ]


def write_shards(samples: Samples, fed: Sequence[Fed], layout: Layout, folder: Path) -> Iterator[Shard]:
    """Files of samples in ``folder``, one shard after the other. Raises InputMismatch where an input cannot take a sample."""
    frames = frames_of(fed)
    many = max(SHARD_BYTES // sum(frames), 1)
    paths, plan = tuple(folder / f"samples{place}.bin" for place in range(len(fed))), folder / "plan"
    for begin in range(0, len(samples), many):
        rows, lines = range(begin, min(begin + many, len(samples))), []
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(path.open("wb")) for path in paths]
            for row in rows:
                given = [native(samples, row, row + 1, each, layout) for each in fed]
                for file, values, frame in zip(files, given, frames, strict=True):
                    file.write(values.tobytes().ljust(frame, b"\0"))
                sizes = " ".join(str(values.nbytes) for values in given)
                lines.append(f"{shapes_text([values.shape for values in given])} {sizes}\n")
        plan.write_text("".join(lines))
        yield Shard(len(rows), paths, plan)


def outputs_of(
    where: str, raw: bytes, graph: Graph, wanted: Sequence[int], sizes: Sequence[int], layout: Layout
) -> list[NDArray[np.float32]]:
    """The ``wanted`` outputs of a sample, dequantized, from the bytes of all that its process wrote.

    ``sizes`` are those of the wanted ones, one after the other, in the dataset's layout: the tool says none. Raises
    InputMismatch where the bytes are not so many.
    """
    shapes = _shapes(graph, wanted, sizes)
    known = {
        place: math.prod(shape) * graph.outputs[place].dtype.itemsize
        for place, shape in zip(wanted, shapes, strict=True)
    }
    bytes_of = [known.get(place, tensor.size_bytes) for place, tensor in enumerate(graph.outputs)]
    if sum(bytes_of) != len(raw) or sum(map(len, shapes)) != len(sizes):
        shown = " and ".join("x".join(map(str, shape)) for shape in shapes)
        raise InputMismatch(
            f"{where}: benchmark_model wrote {len(raw)} bytes of outputs for a sample, by the reference's {shown} they are"
            f" {sum(bytes_of)}",
            hint="see that the variant's outputs follow the sizes of the samples as the reference's do, or pad the samples,"
            " with 'ragged: pad' in the model's entry",
        )
    starts = np.cumsum([0, *bytes_of])
    return [
        _stored(raw[starts[place] : starts[place + 1]], graph, place, shape, layout)
        for place, shape in zip(wanted, shapes, strict=True)
    ]


def _shapes(graph: Graph, wanted: Sequence[int], sizes: Sequence[int]) -> list[tuple[int, ...]]:
    """Each wanted output's part of the ``sizes``, as long as the output has axes without the batch."""
    ends = np.cumsum([0, *(len(graph.outputs[place].shape) - 1 for place in wanted)])
    return [tuple(int(size) for size in sizes[start:end]) for start, end in itertools.pairwise(ends)]


def _stored(raw: bytes, graph: Graph, place: int, shape: tuple[int, ...], layout: Layout) -> NDArray[np.float32]:
    values = np.frombuffer(raw, graph.outputs[place].dtype).reshape(1, *shape_in_layout(shape, layout))
    stored: NDArray[np.float32] = as_stored(dequantized(values, graph, place), layout)[0]
    return stored
