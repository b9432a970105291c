"""The content-addressed store, and the few file operations that must survive a crash.

An entry is a folder ``<root>/<kind>/<key>/`` that is filled under a temporary name and renamed into place, so that
a reader sees all of it or nothing. Concurrent runs share a store: whoever makes an entry holds the lock of its name.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import shutil
import time
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock

from edgeworthy.errors import StoreError
from edgeworthy.store_entry import damage, seal

#: Entries used within this time are never pruned: another run may be reading them.
IN_USE_SECONDS = 3600.0
#: So much of a library's message goes into an error.
SHOWN_LETTERS = 200
#: So much of a child's log goes into an error.
LOG_TAIL_LINES = 15


def digest(value: object) -> str:
    """The sha256, as hex, of a JSON-able value in canonical form."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """The sha256, as hex, of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip of ``files``, by relative path with ``/``, that Python imports from; of the same files it has the same bytes.

    Nothing is compressed: a board's Python may lack zlib. Folders have entries of their own: without them, Python before 3.13
    imports nothing from a folder that is no package.
    """
    packed, folders = io.BytesIO(), {f"{folder}/" for file in files for folder in PurePosixPath(file).parents[:-1]}
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted({**dict.fromkeys(folders, b""), **files}.items()):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
    return packed.getvalue()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write below ``path`` into a StoreError that says what to do."""
    try:
        yield
    except OSError as error:
        # numpy's "100 requested and 60 written" comes without an errno.
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, None):
            raise StoreError(
                f"{path}: no space left to write ({error.strerror or error})",
                hint="free some space, or shrink the store with 'edgeworthy prune --max-gb N'",
            ) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise StoreError(
                f"{path}: may not be written ({error.strerror})", hint="set EDGE_STORE to a folder of your own"
            ) from error
        raise StoreError(f"{path}: cannot be written ({error})", hint="choose a folder that can be written") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` so that ``path`` holds all of it or what it held before, also after a power cut."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    with writing(path):
        try:
            with temporary.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


class Store:
    """Content-addressed folders below ``root``, shared by concurrent runs and pruned by size."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._verified: set[tuple[str, str]] = set()
        with writing(root):
            (root / "locks").mkdir(parents=True, exist_ok=True)

    def find(self, kind: str, key: str) -> Path | None:
        """The entry's folder, marked as used now, or None; one that is damaged is removed, to be made again.

        Raises StoreError where a damaged one cannot be removed.
        """
        folder = self.root / kind / key
        try:
            os.utime(folder)
        except FileNotFoundError:
            return None
        except OSError:  # a read-only store is fine to read from
            pass
        if (kind, key) not in self._verified:
            if problem := damage(folder):
                self._discard(folder, problem)
                return None
            self._verified.add((kind, key))
        return folder

    def _discard(self, folder: Path, problem: str) -> None:
        doomed = self.root / "scratch" / f"damaged-{uuid.uuid4().hex}"
        try:
            doomed.parent.mkdir(exist_ok=True)
            folder.rename(doomed)
        except FileNotFoundError:  # another run removed it first
            return
        except OSError as error:
            raise StoreError(
                f"{folder}: a damaged entry of the store ({problem}), which cannot be removed ({error.strerror})",
                hint=f"delete the folder {folder}; it is made again",
            ) from error
        shutil.rmtree(doomed, ignore_errors=True)

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """The lock to hold while making the entries of ``name`` (a key, or a source's key)."""
        lock = FileLock(self.root / "locks" / f"{name}.lock")
        with writing(self.root):
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A temporary folder on the store's own disk, so that what is made there can be renamed into the store."""
        folder = self.root / "scratch" / f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        with writing(self.root):
            folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def create(self, kind: str, key: str) -> Iterator[Path]:
        """A temporary folder that becomes the entry when the block ends without an exception."""
        with self.scratch() as folder, writing(self.root):
            yield folder
            seal(folder)
            self._keep(folder, self.root / kind / key)
        self._verified.add((kind, key))

    @staticmethod
    def _keep(folder: Path, final: Path) -> None:
        final.parent.mkdir(exist_ok=True)
        try:
            folder.rename(final)
        except OSError as error:  # a concurrent run made the same entry first
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise

    def entries(self) -> list[tuple[float, int, Path]]:
        """Every entry as (last used, bytes, folder), the least recently used first."""
        found = []
        for folder in self.root.glob("*/*"):
            with contextlib.suppress(FileNotFoundError):  # another run removes it meanwhile
                if folder.is_dir():
                    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
                    found.append((folder.stat().st_mtime, size, folder))
        return sorted(found)

    def prune(self, max_bytes: int, in_use_seconds: float = IN_USE_SECONDS) -> int:
        """Remove what a killed run left behind and then the least recently used entries; returns the bytes freed."""
        entries = self.entries()
        total = sum(size for _, size, _ in entries)
        newest_removable = time.time() - in_use_seconds
        freed = 0
        (self.root / "scratch").mkdir(exist_ok=True)
        for used, size, folder in entries:
            leftover = folder.parent.name == "scratch"
            if used > newest_removable or not (leftover or total - freed > max_bytes):
                continue
            doomed = self.root / "scratch" / f"pruned-{uuid.uuid4().hex}"
            with contextlib.suppress(OSError):  # another run pruned it first
                folder.rename(doomed)  # at once, so that nobody finds half an entry
                shutil.rmtree(doomed)
                freed += size
        return freed


def open_store(default: Path) -> Store:
    """The artifact store: where EDGE_STORE says, or the default."""
    return Store(Path(os.environ.get("EDGE_STORE") or default).absolute())


def log_tail(log: Path) -> str:
    """The last lines of a child's log."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])
    except OSError:
        return ""


@contextlib.contextmanager
def readable(path: Path, what: str, hint: str) -> Iterator[None]:
    """Turn whatever a damaged file, or a path that cannot be, raises in the block into a StoreError that names it."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:  # a damaged zip, JSON or Parquet file raises a dozen types
        shown = str(error)[:SHOWN_LETTERS].partition("\n")[0]
        raise StoreError(f"{path}: {what} ({type(error).__name__}: {shown})", hint=hint) from error


def read_json(path: Path) -> Any:
    """Parse a JSON file of the store. Raises StoreError naming the file."""
    with readable(path, "cannot be read", "delete its folder; it is made again"):
        return json.loads(path.read_bytes())


def write_json(path: Path, value: object) -> None:
    """Write ``value`` as readable JSON, atomically."""
    write_atomically(path, (json.dumps(value, indent=1, sort_keys=True) + "\n").encode())
