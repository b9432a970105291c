"""Samples and outputs as the tool reads and writes them: raw bytes in the tensors' own types."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.errors import InputMismatch, ToolUnusable
from edgeworthy.records import Layout
from edgeworthy.runners.python_runner import BATCH, RunnerError, dequantize, to_input
from edgeworthy.sources.samples import Samples, in_layout
from edgeworthy.targets.android.graph import Graph, Tensor

#: About so much goes to the phone in one file.
SHARD_BYTES = 32_000_000
#: About so much is converted at a time.
CHUNK_BYTES = 4_000_000


def check_shape(name: str, wanted: Tensor, samples: Samples, layout: Layout) -> None:
    """The tool runs a wrong shape and ends well, so it is checked before. Raises InputMismatch."""
    given = in_layout(np.load(samples.path, mmap_mode="r")[:0], layout).shape[1:]
    if wanted.shape[:1] != (1,):
        raise InputMismatch(
            f"{name}: the model takes {'x'.join(map(str, wanted.shape[:1]))} samples at once; export it with a batch of 1",
            hint="export the model with a batch of 1",
        )
    if wanted.shape[1:] != given:
        raise InputMismatch(
            f"{name}: the model takes {'x'.join(map(str, wanted.shape[1:]))} ({layout}), the dataset gives"
            f" {'x'.join(map(str, given))}",
            hint="choose preprocessing, or a dataset, that gives the model's input shape",
        )


def write_sample(samples: Samples, wanted: Tensor, layout: Layout, folder: Path) -> Path:
    """The first sample alone, as a file in ``folder``. Raises InputMismatch where the input cannot take it."""
    return _write(samples, 0, 1, wanted, layout, folder)


def write_shards(samples: Samples, wanted: Tensor, layout: Layout, folder: Path) -> Iterator[tuple[Path, int]]:
    """Files of whole batches, one after the other, and how many samples each holds.

    The last is filled up with its last sample. Raises InputMismatch where the input cannot take a sample.
    """
    each = max(SHARD_BYTES // (wanted.size_bytes * BATCH), 1) * BATCH
    for begin in range(0, len(samples), each):
        end = min(begin + each, len(samples))
        yield _write(samples, begin, end, wanted, layout, folder, filled=BATCH), end - begin


def outputs_of(raw: bytes, graph: Graph, wanted: Sequence[int], batch: int, batches: int) -> NDArray[Any]:
    """The ``wanted`` output of every sample, (batch * batches, elements) in its own type, from what the processes wrote.

    Several are dequantized, and stand one after the other. A process writes all of its outputs one after the other, each of
    its whole batch. Raises ToolUnusable where that is not what ``raw`` holds.
    """
    first = graph.outputs[0]
    sizes = [tensor.size_bytes * batch for tensor in graph.outputs]
    size = len(raw) // batches
    sizes[0] = size - sum(sizes[1:])  # its declared shape may be another one than that of this batch
    if len(raw) != size * batches or sizes[0] <= 0 or sizes[0] % (batch * first.dtype.itemsize):
        raise ToolUnusable(
            f"benchmark_model wrote {len(raw)} bytes for {batches} times {batch} samples, which cannot be the model's"
            f" {len(graph.outputs)} outputs",
            hint="check the space left on the phone",
        )
    parts = np.split(np.frombuffer(raw, np.uint8).reshape(batches, size), np.cumsum(sizes)[:-1], axis=1)
    found = [
        np.ascontiguousarray(parts[place]).view(graph.outputs[place].dtype).reshape(batches * batch, -1)
        for place in wanted
    ]
    if len(found) == 1:
        return found[0]
    return np.concatenate([_dequantized(each, graph, place) for each, place in zip(found, wanted, strict=True)], axis=1)


def floats(answers: NDArray[Any], graph: Graph, wanted: Sequence[int]) -> NDArray[np.float32]:
    """What ``outputs_of`` gave, dequantized."""
    return answers if len(wanted) > 1 else _dequantized(answers, graph, wanted[0])


def sizes_of(graph: Graph, wanted: Sequence[int]) -> tuple[int, ...]:
    """How many values a sample has in each of several outputs; () of a single one."""
    found = (graph.outputs[place] for place in wanted)
    return tuple(math.prod(tensor.shape[1:]) for tensor in found) if len(wanted) > 1 else ()


def _dequantized(values: NDArray[Any], graph: Graph, place: int) -> NDArray[np.float32]:
    floats: NDArray[np.float32] = dequantize(values, graph.outputs[place].scale, graph.outputs[place].zero_point)
    return floats


def _write(
    samples: Samples, begin: int, end: int, wanted: Tensor, layout: Layout, folder: Path, filled: int = 1
) -> Path:
    """A file of samples, the last one repeated up to a multiple of ``filled``; a few MB of them are in memory at a time."""
    path = folder / "samples.bin"
    each = max(CHUNK_BYTES // wanted.size_bytes, 1)
    with path.open("wb") as file:
        for first in range(begin, end, each):
            native = _native(samples, first, min(first + each, end), wanted, layout)
            file.write(native.data)
        for _ in range(-(end - begin) % filled):
            file.write(native[-1:].data)
    return path


def _native(samples: Samples, begin: int, end: int, wanted: Tensor, layout: Layout) -> NDArray[Any]:
    values = samples.read(begin, end) if samples.steps else np.load(samples.path, mmap_mode="r")[begin:end]
    try:
        return to_input(in_layout(values, layout), wanted.dtype, wanted.scale, wanted.zero_point, first=begin)
    except RunnerError as error:
        raise InputMismatch(
            str(error),
            hint="give the dataset the preprocessing of the model's training, or export the model for its inputs",
        ) from error
