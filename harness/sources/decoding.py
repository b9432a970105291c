"""Image files become one .npy of uint8, decoded by as many processes as there are cores.

Each process decodes a chunk of images and writes it to its own place in the file, so that memory stays at one chunk
for each process, however many images there are, and nothing is copied between processes.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.dataset_schema import Preprocessing
from harness.errors import SourceError
from harness.runners.python_runner import die_with_parent
from harness.sources.preprocessing import pixels
from harness.storage import digest

#: Images that one process holds at a time.
CHUNK = 64
#: Every so many images are looked at again once decoded. All of them would cost half as much as decoding; the files' own
#: checksums say which images they are, and a few say whether they are still decoded alike.
LOOKED_AT = 32
#: Fewer images are decoded here: starting processes takes longer.
FEW = 256
#: Progress is told after so many chunks.
TOLD = 50
#: An error names so many of the unreadable images.
NAMED = 3
Shape = tuple[int, int, int]
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Chunk:
    """Images that go to ``out`` from byte ``position`` on."""

    paths: list[Path]
    how: Preprocessing
    shape: Shape
    out: Path
    position: int


@dataclass(frozen=True)
class Decoded:
    """What became of images: checksum and extremes of some of the pixels, and a sentence for each image without any."""

    sha256: str
    low: int
    high: int
    problems: list[str]


def decode(paths: Sequence[Path], how: Preprocessing, out: Path, progress: Progress) -> Decoded:
    """Write uint8 (N, H, W, C) to ``out``; what it returns has no problems.

    Raises SourceError naming the first images that are unreadable, or of another size than the first one.
    """
    shape = _shape_of_first(paths, how)
    with out.open("wb") as stream:
        header = {"descr": "|u1", "fortran_order": False, "shape": (len(paths), *shape)}
        np.lib.format.write_array_header_1_0(stream, header)
        start = stream.tell()
        stream.truncate(start + len(paths) * int(np.prod(shape)))
    chunks = [
        Chunk(list(paths[i : i + CHUNK]), how, shape, out, start + i * int(np.prod(shape)))
        for i in range(0, len(paths), CHUNK)
    ]
    found: list[Decoded] = []
    for chunk in _in_order(chunks):
        found.append(chunk)
        if len(found) % TOLD == 0:
            progress(f"{len(found) * CHUNK:,} of {len(paths):,} images")
    problems = [problem for chunk in found for problem in chunk.problems]
    if problems:
        more = f" (and {len(problems) - NAMED} more)" if len(problems) > NAMED else ""
        raise SourceError(
            f"{len(problems)} of {len(paths)} images cannot be used: {'; '.join(problems[:NAMED])}{more}",
            next_step="repair or remove them; no image is left out silently",
        )
    return Decoded(
        digest([chunk.sha256 for chunk in found]),
        min(chunk.low for chunk in found),
        max(chunk.high for chunk in found),
        [],
    )


def _shape_of_first(paths: Sequence[Path], how: Preprocessing) -> Shape:
    """The shape that all images must have: that of the first one that can be read, so that its own problem is told later."""
    for path in paths:
        try:
            height, width, channels = decoded(path, how).shape
        except SourceError:
            continue
        return height, width, channels
    raise SourceError(f"none of {len(paths)} images can be read, the first is {paths[0]}")


def _in_order(chunks: list[Chunk]) -> Iterator[Decoded]:
    if sum(len(chunk.paths) for chunk in chunks) <= FEW:
        yield from map(decode_chunk, chunks)
        return
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")  # a fork would copy what the harness has open
    try:
        with ProcessPoolExecutor(workers, context, initializer=_begin_worker) as pool:
            yield from _results(pool, chunks)
    except BrokenProcessPool as error:
        raise SourceError(
            "a process that decodes images died (out of memory?)", next_step="run again; look at the system's log"
        ) from error


def _results(pool: Executor, chunks: list[Chunk]) -> Iterator[Decoded]:
    futures: list[Future[Decoded]] = [pool.submit(decode_chunk, chunk) for chunk in chunks]
    try:
        for future in futures:
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_worker() -> None:
    die_with_parent()
    warnings.simplefilter("ignore")  # of Pillow, about metadata; what it cannot decode it raises


def decode_chunk(chunk: Chunk) -> Decoded:
    """Decode some images to their place in the file."""
    values = np.empty((len(chunk.paths), *chunk.shape), np.uint8)
    problems: list[str] = []
    for index, path in enumerate(chunk.paths):
        try:
            image = decoded(path, chunk.how)
        except SourceError as error:
            problems.append(error.message)
            continue
        if image.shape != chunk.shape:
            problems.append(
                f"{path} is {image.shape[0]}x{image.shape[1]} where the first image is {chunk.shape[0]}x{chunk.shape[1]}:"
                " give preprocessing a size to resize to"
            )
            continue
        values[index] = image
    with chunk.out.open("r+b") as stream:
        stream.seek(chunk.position)
        stream.write(values.data)
    looked_at = values[::LOOKED_AT]
    checksum = hashlib.sha256()
    for image in looked_at:
        checksum.update(image.data)
    return Decoded(checksum.hexdigest(), int(looked_at.min()), int(looked_at.max()), problems)


def decoded(path: Path, how: Preprocessing) -> NDArray[np.uint8]:
    """One preprocessed image. Raises SourceError naming the file."""
    try:
        from PIL import Image
    except ImportError as error:
        raise SourceError(
            "images are decoded by Pillow, which is not installed", next_step="pip install 'edgegate[images]'"
        ) from error
    try:
        with Image.open(path) as image:
            return pixels(image, how)
    except SourceError as error:
        raise SourceError(f"{path} {error.message}") from error
    except Exception as error:  # Pillow's plugins raise a dozen types for damaged files
        said = str(error).replace(str(path), "").strip(" '\"") or type(error).__name__
        raise SourceError(f"{path} is not a readable image ({said})") from error
