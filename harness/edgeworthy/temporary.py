"""Temporary folders; what a killed process left behind is removed by the next one.

Each folder holds a lock for as long as its process lives. Whoever makes its first one removes those that are not locked.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from edgeworthy.errors import StoreError

PREFIX = "edgeworthy-"
_LOCK = ".lock"
#: A folder without a lock may be one that is just being made, for so long.
_YOUNG_S = 60.0
#: So often a folder is made anew that was removed before its lock was held.
_TRIES = 10
#: With less than this left nothing can be measured or converted.
SPARE_BYTES = 1_000_000


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder below TMPDIR, removed when the block ends. Raises StoreError where no space is left there, at any time."""
    with _named_where_full(None):
        root = Path(tempfile.gettempdir())
    _remove_leftovers(root)
    if free := _too_little(root):
        raise _full(root, free)
    with _named_where_full(root), _locked_folder(root) as folder:
        yield folder


@contextlib.contextmanager
def _locked_folder(root: Path) -> Iterator[Path]:
    """A new folder with its lock held; another one where a process that removes leftovers took it first for one of them."""
    for last in (*[False] * (_TRIES - 1), True):
        # Another process may take the lock while the folder is removed: then that one removes it, or one after it.
        with tempfile.TemporaryDirectory(prefix=PREFIX, dir=root, ignore_cleanup_errors=True) as name:
            lock = FileLock(Path(name) / _LOCK)
            try:
                lock.acquire()
            except FileNotFoundError:
                if last:
                    raise
                continue
            try:
                yield Path(name)
            finally:
                lock.release()
            return


@functools.cache
def _remove_leftovers(root: Path) -> None:
    """Remove the folders whose process has ended, by their locks; of those without a lock only what is empty."""
    for folder in root.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, Timeout):  # another user's; or its process lives
            if folder.is_symlink() or not folder.is_dir():
                continue
            lock = folder / _LOCK
            if lock.is_file():
                with FileLock(lock, timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)
            elif folder.stat().st_mtime < time.time() - _YOUNG_S:
                folder.rmdir()  # which fails where somebody keeps something in a folder of such a name


@contextlib.contextmanager
def _named_where_full(root: Path | None) -> Iterator[None]:
    """What fails because no space is left in TMPDIR says so, whatever it fails with."""
    try:
        yield
    except FileNotFoundError as error:
        if root is not None:
            raise
        raise StoreError(  # Python found no folder that it could write into
            f"TMPDIR: {error.strerror}", hint="free some space in one of them, or set TMPDIR to a folder with space"
        ) from error
    except Exception as error:
        free = _too_little(root) if root is not None else ""
        if root is None or not free:
            raise
        raise _full(root, free) from error


def _too_little(root: Path) -> str:
    """The space that is left, where it is too little."""
    free = shutil.disk_usage(root).free
    return f"{free / 1e6:.1f} MB free" if free < SPARE_BYTES else ""


def _full(root: Path, free: str) -> StoreError:
    return StoreError(
        f"{root}: no space left for temporary files ({free})",
        hint="free some space there, or set TMPDIR to a folder with more",
    )
