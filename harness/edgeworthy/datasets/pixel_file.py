"""A .npy file of uint8 that several processes fill, bypassing the page cache where it is large."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import numpy as np

#: Unit of direct access: positions in the file, lengths, and addresses in memory.
PAGE = 4096


def page_of_header(shape: tuple[int, ...]) -> bytes:
    """A .npy header of exactly one page, as NEP 1 allows: the values begin on a page of their own."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
    magic, text = stream.getvalue()[:8], stream.getvalue()[10:]
    length = PAGE - len(magic) - 2
    return magic + length.to_bytes(2, "little") + text.rstrip(b"\n").ljust(length - 1) + b"\n"


def write_at(path: Path, content: memoryview, position: int, *, past_cache: bool) -> None:
    """Write ``content``, which begins on a page of memory, at ``position`` of a file that is there.

    ``past_cache`` is done as far as system, file system and whole pages allow it. Raises OSError.
    """
    direct = getattr(os, "O_DIRECT", 0) if past_cache and not position % PAGE and not len(content) % PAGE else 0
    try:
        _write(path, content, position, direct)
    except OSError as error:
        if not direct or error.errno != errno.EINVAL:  # that of a file system without direct access
            raise
        _write(path, content, position, 0)


def _write(path: Path, content: memoryview, position: int, flags: int) -> None:
    file = os.open(path, os.O_WRONLY | flags)
    try:
        while content:
            written = os.pwrite(file, content, position)
            content, position = content[written:], position + written
    finally:
        os.close(file)


def drop_cached(file: int, end: int) -> None:
    """Have the system write out what it caches of the file up to ``end``, and drop from its cache what is written."""
    if hasattr(os, "posix_fadvise"):  # macOS has none
        os.posix_fadvise(file, 0, end, os.POSIX_FADV_DONTNEED)
