"""Samples and outputs as the tool reads and writes them: raw bytes in the tensors' own types."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.array_files import load_array
from edgeworthy.datasets.samples import Samples, as_stored, in_layout
from edgeworthy.errors import ArtifactUnusable, InputMismatch, ToolUnusable
from edgeworthy.records import Layout
from edgeworthy.runners.python_runner.casting import dequantize, to_input
from edgeworthy.runners.python_runner.jobs import RunnerError
from edgeworthy.targets.android.graph import Fed, Graph
from edgeworthy.temporary import temporary_folder
from edgeworthy.tensors import is_ragged, length_of, of_a_step, steps_of

#: About so much goes to the phone in one file.
SHARD_BYTES = 32_000_000
#: About so much is converted at a time.
CHUNK_BYTES = 4_000_000


@contextlib.contextmanager
def single_steps(samples: Samples) -> Iterator[Samples]:
    """Sequences as the steps that the tool is run for, one after the other; other samples as they are."""
    if length_of(samples.inputs) is None:
        yield samples
        return
    with temporary_folder() as folder:
        steps = steps_of(samples.inputs, samples.read())
        np.save(folder / "steps.npy", np.concatenate(steps))
        timed = sum(map(len, steps[: samples.timed]))
        yield Samples(folder / "steps.npy", (), of_a_step(samples.inputs), timed=timed)


def check_shape(name: str, fed: Fed, samples: Samples, layout: Layout) -> None:
    """The tool runs a wrong shape and ends well, so it is checked before. Raises InputMismatch."""
    if not fed.varies:
        return
    wanted, where = fed.tensor, f" as {fed.named.name}" if fed.named else ""
    if wanted.shape[:1] != (1,):
        raise InputMismatch(
            f"{name}: the model takes {'x'.join(map(str, wanted.shape[:1]))} samples at once{where}; export it with a batch of 1",
            hint="export the model with a batch of 1",
        )
    if is_ragged(samples.inputs):
        _check_open(name, fed, layout)
        return
    given = _values(samples, 0, 0, fed, layout).shape[1:]
    if wanted.shape[1:] != given:
        raise InputMismatch(
            f"{name}: the model takes {'x'.join(map(str, wanted.shape[1:]))} ({layout}){where}, the dataset gives"
            f" {'x'.join(map(str, given))}",
            hint="choose preprocessing, or a dataset, that gives the model's input shape; sizes that a .tflite leaves open, and"
            " stores as 1, are fixed by 'shapes' in the model's entry",
        )


def _check_open(name: str, fed: Fed, layout: Layout) -> None:
    """Raise InputMismatch where the graph leaves not all sizes open in which samples differ."""
    own, given = fed.tensor.open_shape[1:], fed.open_sample(layout)
    if len(own) != len(given) or any(size not in (None, of) for size, of in zip(own, given, strict=True)):
        raise InputMismatch(
            f"{name}: the model takes {_shown(own)} ({layout}) as {fed.tensor.name}, the dataset gives {_shown(given)}: samples"
            " of different sizes can be run only by a model that leaves these sizes open",
            hint="pad them to the model's size, with 'ragged: pad' and 'shapes' in the model's entry, or export the model with"
            " open sizes",
        )


def _shown(shape: Sequence[int | None]) -> str:
    return "x".join("?" if size is None else str(size) for size in shape)


def write_sample(samples: Samples, fed: Sequence[Fed], layout: Layout, folder: Path) -> list[Path]:
    """The sample that is timed, as a file in ``folder`` for each input. Raises InputMismatch where an input cannot take it."""
    one = samples.timed
    return [
        _write(samples, one, one + 1, each, layout, folder / f"samples{place}.bin") for place, each in enumerate(fed)
    ]


def timed_shape(samples: Samples, fed: Fed, layout: Layout) -> tuple[int, ...]:
    """The shape of what ``write_sample`` writes for an input."""
    return native(samples, samples.timed, samples.timed + 1, fed, layout).shape


def write_shards(
    samples: Samples, fed: Sequence[Fed], layout: Layout, folder: Path, ends: Sequence[int], filled: int = 1
) -> Iterator[tuple[list[Path], range]]:
    """Files of samples for each input, one after the other, and which samples each holds; it ends at one of ``ends``.

    The last is filled up with its last sample to a multiple of ``filled``. Raises InputMismatch where an input cannot take a
    sample.
    """
    many, begin = SHARD_BYTES // sum(each.tensor.size_bytes for each in fed), 0
    while begin < len(samples):
        end = max((end for end in ends if begin < end <= begin + many), default=min(end for end in ends if end > begin))
        paths = [folder / f"samples{place}.bin" for place in range(len(fed))]
        written = zip(fed, paths, strict=True)
        yield [_write(samples, begin, end, each, layout, path, filled) for each, path in written], range(begin, end)
        begin = end


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
    return np.concatenate([dequantized(each, graph, place) for each, place in zip(found, wanted, strict=True)], axis=1)


def floats(answers: NDArray[Any], graph: Graph, wanted: Sequence[int]) -> NDArray[np.float32]:
    """What ``outputs_of`` gave, dequantized."""
    return answers if len(wanted) > 1 else dequantized(answers, graph, wanted[0])


def shapes_of(graph: Graph, wanted: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """The shape of a sample in each of the ``wanted`` outputs."""
    return tuple(tuple(graph.outputs[place].shape[1:]) for place in wanted)


def in_dataset_layout(
    values: NDArray[np.float32], shapes: Sequence[tuple[int, ...]], layout: Layout
) -> tuple[NDArray[np.float32], tuple[tuple[int, ...], ...]]:
    """Outputs (samples, values) of these ``shapes``, images among them in the dataset's layout; and the shapes that they have."""
    parts = np.split(values, np.cumsum([math.prod(shape) for shape in shapes])[:-1], axis=1)
    stored = [as_stored(part.reshape(-1, *shape), layout) for part, shape in zip(parts, shapes, strict=True)]
    rows = np.concatenate([each.reshape(len(values), -1) for each in stored], axis=1)
    return rows, tuple(each.shape[1:] for each in stored)


def dequantized(values: NDArray[Any], graph: Graph, place: int) -> NDArray[np.float32]:
    """Values of the output at this place as float32. Raises ArtifactUnusable where it does not hold one."""
    try:
        floats: NDArray[np.float32] = dequantize(values, graph.outputs[place].scale, graph.outputs[place].zero_point)
    except RunnerError as error:
        raise ArtifactUnusable(
            str(error), hint="export the model with an output of numbers that float32 holds"
        ) from error
    return floats


def _write(samples: Samples, begin: int, end: int, fed: Fed, layout: Layout, path: Path, filled: int = 1) -> Path:
    """A file of samples, the last one repeated up to a multiple of ``filled``; a few MB of them are in memory at a time.

    Of an input that all samples have in common, that once.
    """
    each = max(CHUNK_BYTES // fed.tensor.size_bytes, 1)
    with path.open("wb") as file:
        for first in range(begin, end if fed.varies else begin + 1, each):
            found = native(samples, first, min(first + each, end), fed, layout)
            file.write(found.data)
        for _ in range(-(end - begin) % filled if fed.varies else 0):
            file.write(found[-1:].data)
    return path


def _values(samples: Samples, begin: int, end: int, fed: Fed, layout: Layout) -> NDArray[Any]:
    """What the input is given of these samples."""
    if fed.named is None:
        values = samples.read(begin, end) if samples.steps else load_array(samples.path, mapped=True)[begin:end]
        return in_layout(values, layout)
    if fed.named.constant is not None:
        return np.full(fed.tensor.shape, fed.named.constant)
    return in_layout(fed.named.of(samples.read(begin, end)), layout)


def native(samples: Samples, begin: int, end: int, fed: Fed, layout: Layout) -> NDArray[Any]:
    """What an input is given of these samples, in its own type. Raises InputMismatch where that cannot hold it."""
    wanted = fed.tensor
    try:
        values = _values(samples, begin, end, fed, layout)
        return to_input(values, wanted.dtype, wanted.scale, wanted.zero_point, first=begin)
    except RunnerError as error:
        raise InputMismatch(
            str(error),
            hint="give the dataset the preprocessing of the model's training, or export the model for its inputs",
        ) from error
