"""Samples as the tool takes them and answers as it gives them: raw bytes in the tensors' own types."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import InputMismatch, ToolUnusable
from harness.records import Layout
from harness.runners.python_runner import BATCH, dequantize, quantize
from harness.sources.samples import Samples
from harness.targets.android.graph import Graph, Tensor

#: About so much goes to the phone in one file.
SHARD_BYTES = 32_000_000


def check_shape(name: str, wanted: Tensor, samples: Samples, layout: Layout) -> None:
    """The tool runs a wrong shape and ends well, so it is checked before. Raises InputMismatch."""
    height, width, channels = np.load(samples.path, mmap_mode="r").shape[1:]
    given = (height, width, channels) if layout == "nhwc" else (channels, height, width)
    if wanted.shape[:1] != (1,):
        raise InputMismatch(
            f"{name}: the model takes {'x'.join(map(str, wanted.shape[:1]))} samples at once; export it with a batch of 1"
        )
    if wanted.shape[1:] != given:
        raise InputMismatch(
            f"{name}: the model takes {'x'.join(map(str, wanted.shape[1:]))} ({layout}), the dataset gives"
            f" {'x'.join(map(str, given))}"
        )


def write_sample(samples: Samples, wanted: Tensor, layout: Layout, folder: Path) -> Path:
    """The first sample alone, as a file in ``folder``."""
    return _write(samples.read(0, 1), wanted, layout, folder)


def write_shards(samples: Samples, wanted: Tensor, layout: Layout, folder: Path) -> Iterator[tuple[Path, int]]:
    """Files of whole batches, one after the other, and how many samples each holds.

    The last is filled up with its last sample.
    """
    each = max(SHARD_BYTES // wanted.size_bytes // BATCH, 1) * BATCH
    for begin in range(0, len(samples), each):
        values = samples.read(begin, begin + each)
        filled = np.concatenate([values, np.repeat(values[-1:], -len(values) % BATCH, axis=0)])
        yield _write(filled, wanted, layout, folder), len(values)


def answers_of(raw: bytes, graph: Graph, batch: int, batches: int) -> NDArray[Any]:
    """The first output of every sample, (batch * batches, elements) in its own type, from what the processes wrote.

    A process writes all of its outputs one after the other, each of its whole batch. Raises ToolUnusable where that is
    not what ``raw`` holds.
    """
    first = graph.outputs[0]
    others = sum(tensor.size_bytes for tensor in graph.outputs[1:]) * batch
    size = len(raw) // batches
    if len(raw) != size * batches or size <= others or (size - others) % (batch * first.dtype.itemsize):
        raise ToolUnusable(
            f"benchmark_model wrote {len(raw)} bytes for {batches} times {batch} samples, which cannot be the model's"
            f" {len(graph.outputs)} outputs",
            next_step="check the space left on the phone",
        )
    table = np.frombuffer(raw, np.uint8).reshape(batches, size)[:, : size - others]
    return np.ascontiguousarray(table).view(first.dtype).reshape(batches * batch, -1)


def floats(answers: NDArray[Any], graph: Graph) -> NDArray[np.float32]:
    """Answers dequantized."""
    values: NDArray[np.float32] = dequantize(answers, graph.outputs[0].scale, graph.outputs[0].zero_point)
    return values


def _write(values: NDArray[np.float32], wanted: Tensor, layout: Layout, folder: Path) -> Path:
    ordered = values if layout == "nhwc" else values.transpose(0, 3, 1, 2)
    native = quantize(ordered, wanted.dtype, wanted.scale, wanted.zero_point)
    path = folder / "samples.bin"
    np.ascontiguousarray(native).tofile(path)
    return path
