"""Image and sound files of different sizes: decoded one after the other into one file, and then into rows of one width."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.array_files import load_array
from edgeworthy.datasets.arrays import INPUT
from edgeworthy.datasets.decoding import Decoded, decoded, refuse_problems
from edgeworthy.datasets.geometry import Geometry
from edgeworthy.datasets.ragged import in_frame, ragged_axes, ragged_facts
from edgeworthy.datasets.samples import Step, done
from edgeworthy.datasets.sounds import Sound
from edgeworthy.errors import SourceError
from edgeworthy.storage import digest, file_digest
from edgeworthy.tensors import NamedInput, in_a_row

#: Progress is reported after so many files.
REPORT_EVERY = 1000


def decode_sizes(
    paths: Sequence[Path], shaped: Geometry | Sound, out: Path, progress: Callable[[str], None]
) -> Decoded:
    """Write to ``out`` the values of all samples, one after the other, and to ``sizes.npy`` beside it the shape of each.

    uint8 of images, float32 of sounds. Raises SourceError naming the first files that cannot be used.
    """
    sizes: list[tuple[int, ...]] = []
    problems: list[str] = []
    counts = {"oriented": 0, "transparent": 0}
    low, high = np.inf, -np.inf
    with out.open("wb") as stream:
        for number, path in enumerate(paths, 1):
            try:
                values = _sound(path, shaped) if isinstance(shaped, Sound) else _image(path, shaped, counts)
            except SourceError as error:
                problems.append(error.message)
                continue
            stream.write(np.ascontiguousarray(values).data)
            sizes.append(values.shape)
            low, high = min(low, float(values.min())), max(high, float(values.max()))
            if number % REPORT_EVERY == 0:
                progress(f"{number:,} of {len(paths):,} files")
    refuse_problems(problems, len(paths), "sounds" if isinstance(shaped, Sound) else "images")
    np.save(out.with_name("sizes.npy"), np.array(sizes, np.int64))
    return Decoded(digest([file_digest(out), sizes]), low, high, counts, [])


def write_rows(
    folder: Path, files: Mapping[str, Path], steps: tuple[Step, ...], sound: bool
) -> tuple[tuple[NamedInput, ...], dict[str, Any]]:
    """Write ``folder``/SPLIT_x.npy, rows of the samples of each split's file by ``decode_sizes``, after the ``steps``.

    Gives back what stands where in a row, and what is said of the evaluation samples.
    """
    sizes = {split: load_array(path.with_name("sizes.npy")) for split, path in files.items()}
    if len({each.shape[1] for each in sizes.values()}) > 1:
        raise SourceError("some files have another number of channels", hint="convert them to one kind")
    frame = np.max([each.max(axis=0) for each in sizes.values()], axis=0)
    axes = ragged_axes(list(sizes.values()))
    inputs = in_a_row({INPUT: np.broadcast_to(np.float32(0), (1, *frame))}, {INPUT: axes})
    for split, path in files.items():
        shape = (len(sizes[split]), inputs[0].end)
        rows = np.lib.format.open_memmap(folder / f"{split}_{INPUT}.npy", "w+", np.float32, shape)
        samples = _samples(path, sizes[split], np.float32 if sound else np.uint8)
        for row, sample in zip(rows, samples, strict=True):
            row[: inputs[0].size] = in_frame([done(steps, sample)], frame).ravel()
            row[inputs[0].size :] = np.array(sample.shape)[list(axes)]
        rows.flush()
    return inputs, ragged_facts(load_array(folder / f"evaluation_{INPUT}.npy", mapped=True), inputs)


def _samples(path: Path, sizes: NDArray[np.int64], dtype: type[np.generic]) -> Iterator[NDArray[Any]]:
    """The samples of a file, each in its own shape."""
    values, start = np.memmap(path, dtype, "r"), 0
    for size in sizes:
        end = start + int(np.prod(size))
        yield np.asarray(values[start:end]).reshape(size)
        start = end


def _image(path: Path, geometry: Geometry, counts: dict[str, int]) -> NDArray[np.uint8]:
    image = decoded(str(path), geometry)
    counts["oriented"] += image.oriented
    counts["transparent"] += image.transparent
    return image.values


def _sound(path: Path, sound: Sound) -> NDArray[np.float32]:
    return sound.whole(path).astype(np.float32)
