"""Image files become one .npy of uint8, decoded by as many processes as keep all cores at work.

Each process decodes a chunk of images and writes it to its own place in the file, so that memory stays at one chunk
for each process, however many images there are, and nothing is copied between processes.
"""

from __future__ import annotations

import functools
import hashlib
import math
import mmap
import multiprocessing
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeworthy.datasets.geometry import Geometry
from edgeworthy.datasets.pillow import image_module
from edgeworthy.datasets.pixel_file import drop_cached, page_of_header, write_at
from edgeworthy.datasets.pixels import Picture, picture
from edgeworthy.errors import SourceError
from edgeworthy.runners.python_runner.lifetime import die_with_parent
from edgeworthy.storage import digest

#: Images that one process decodes at a time; the checksum depends on it.
CHUNK = 64
#: One decoded image of this many goes into the checksum. All of them would cost half as much as decoding; the files' own
#: checksums identify the images, and a few pixels show whether they are still decoded in the same way.
CHECK_EVERY = 32
#: Fewer images are decoded here: starting processes takes longer.
FEW = 256
#: Progress is reported after this many chunks.
REPORT_EVERY = 50
#: A larger file bypasses the page cache, from which it would evict everything else. Filling the cache is also slow: where
#: a virtual machine must ask its host for the memory, it takes up to half as long as decoding.
CACHED_BYTES = 1 << 30
#: An error names at most this many of the unreadable files.
NAMED = 3
Shape = tuple[int, int, int]
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Chunk:
    """Images that go to ``out`` from byte ``position`` on; paths as text, which pickle fast."""

    paths: list[str]
    geometry: Geometry
    shape: Shape
    out: Path
    position: int
    past_cache: bool

    @property
    def end(self) -> int:
        """The byte after its last one."""
        return self.position + len(self.paths) * math.prod(self.shape)


@dataclass(frozen=True)
class Decoded:
    """The result for some files: checksum and extremes of some of the values, and a message for each unreadable file.

    ``counts`` says how many of them have what: an EXIF orientation, transparent pixels.
    """

    sha256: str
    low: float
    high: float
    counts: dict[str, int]
    problems: list[str]


def decode(paths: Sequence[Path], geometry: Geometry, out: Path, progress: Progress) -> Decoded:
    """Write uint8 (N, H, W, C) to ``out``; what it returns has no problems.

    Raises SourceError naming the first images that are unreadable, or of another size than the first one.
    """
    shape = _shape_of_first(paths, geometry)
    found: list[Decoded] = []
    with out.open("wb") as stream:
        stream.write(page_of_header((len(paths), *shape)))
        chunks = _chunks(paths, geometry, shape, out, stream.tell())
        stream.truncate(chunks[-1].end)
        for chunk, result in zip(chunks, _in_order(chunks), strict=True):
            found.append(result)
            if chunk.past_cache:
                drop_cached(stream.fileno(), chunk.end)
            if len(found) % REPORT_EVERY == 0:
                progress(f"{len(found) * CHUNK:,} of {len(paths):,} images")
    refuse_problems([problem for chunk in found for problem in chunk.problems], len(paths), "images")
    return Decoded(
        digest([chunk.sha256 for chunk in found]),
        min(chunk.low for chunk in found),
        max(chunk.high for chunk in found),
        {name: sum(chunk.counts[name] for chunk in found) for name in found[0].counts},
        [],
    )


def refuse_problems(problems: Sequence[str], count: int, noun: str) -> None:
    """Raise SourceError with the first of the ``problems``, each of one of ``count`` files, where there are any."""
    if problems:
        more = f" (and {len(problems) - NAMED} more)" if len(problems) > NAMED else ""
        raise SourceError(
            f"{len(problems)} of {count} {noun} cannot be used: {'; '.join(problems[:NAMED])}{more}",
            hint="repair or remove them; no file is left out silently",
        )


def _chunks(paths: Sequence[Path], geometry: Geometry, shape: Shape, out: Path, start: int) -> list[Chunk]:
    image_bytes = math.prod(shape)
    past_cache = len(paths) * image_bytes > CACHED_BYTES
    return [
        Chunk([str(path) for path in paths[i : i + CHUNK]], geometry, shape, out, start + i * image_bytes, past_cache)
        for i in range(0, len(paths), CHUNK)
    ]


def _shape_of_first(paths: Sequence[Path], geometry: Geometry) -> Shape:
    """The shape that all images must have: that of the first one that can be read."""
    problem = ""
    for path in paths:
        try:
            height, width, channels = decoded(str(path), geometry).values.shape
        except SourceError as error:
            problem = problem or error.message
            continue
        return height, width, channels
    raise SourceError(
        f"none of {len(paths)} images can be used; the first: {problem}",
        hint="replace these images, or correct the dataset's path",
    )


def _in_order(chunks: list[Chunk]) -> Iterator[Decoded]:
    if sum(len(chunk.paths) for chunk in chunks) <= FEW:
        yield from map(decode_chunk, chunks)
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = 2 * cores if chunks[0].past_cache else cores  # some wait for the disk
    context = multiprocessing.get_context("spawn")  # a fork would copy what the harness has open
    try:
        with ProcessPoolExecutor(workers, context, initializer=_begin_worker) as pool:
            yield from _results(pool, chunks)
    except BrokenProcessPool as error:
        raise SourceError(
            "a process that decodes images died (out of memory?)", hint="run again, and check the system log"
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


def decode_chunk(chunk: Chunk) -> Decoded:
    """Decode some images to their place in the file."""
    values = np.frombuffer(_memory(chunk.end - chunk.position), np.uint8).reshape(len(chunk.paths), *chunk.shape)
    problems: list[str] = []
    oriented = transparent = 0
    for index, path in enumerate(chunk.paths):
        try:
            image = _decoded_to_shape(path, chunk)
            values[index] = image.values
            oriented, transparent = oriented + image.oriented, transparent + image.transparent
        except SourceError as error:
            problems.append(error.message)  # the array will not be used
    write_at(chunk.out, values.data.cast("B"), chunk.position, past_cache=chunk.past_cache)
    checked = np.ascontiguousarray(values[::CHECK_EVERY])
    digest_of_some = hashlib.sha256(checked.data).hexdigest()
    counts = {"oriented": oriented, "transparent": transparent}
    return Decoded(digest_of_some, int(checked.min()), int(checked.max()), counts, problems)


@functools.lru_cache(maxsize=1)
def _memory(size: int) -> mmap.mmap:
    """Whole pages, the same for each chunk: new ones would cost as much time as the copies into them."""
    return mmap.mmap(-1, size)


def _decoded_to_shape(path: str, chunk: Chunk) -> Picture:
    image = decoded(path, chunk.geometry)
    shape = image.values.shape
    if shape != chunk.shape:
        raise SourceError(
            f"{path} is {shape[0]}x{shape[1]} where the first image is {chunk.shape[0]}x{chunk.shape[1]}:"
            " give preprocessing a size to resize to",
            hint="give preprocessing a resize, so that all images have one size",
        )
    return image


def decoded(path: str, geometry: Geometry) -> Picture:
    """One preprocessed image. Raises SourceError naming the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, about metadata and palettes; what it cannot decode it raises
            with image_module().open(path) as image:
                return picture(image, geometry)
    except SourceError as error:
        raise SourceError(f"{path} {error.message}", hint=error.hint or "replace or convert this image") from error
    except Exception as error:  # Pillow's plugins raise a dozen types for damaged files
        reason = str(error).replace(path, "").strip(" '\"") or type(error).__name__
        raise SourceError(
            f"{path} is not a readable image ({reason})", hint="replace this image, or leave it out of the dataset"
        ) from error
