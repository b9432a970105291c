"""Whether an entry of the store still holds what was written into it.

A new entry is sealed: ``.entry.json`` lists the sha256 of each file and its stamp, which changes with every write. Whoever
opens the entry compares the stamps, and reads again only files whose stamp is another one: after a copy, or after damage.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

LIST = ".entry.json"
#: A file that was written within this time before its stamp was taken may be changed again without a new stamp.
YOUNG_NS = 2_000_000_000
#: The pages of a larger file are given back to the system once they have been hashed.
LARGE_BYTES = 256 << 20

Stamp = list[int]


def seal(folder: Path) -> None:
    """List the files of a new entry. Raises OSError."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    _write(folder, {name: {"sha256": _sha256(folder / name), "stamp": _stamp(folder / name)} for name in names})


def damage(folder: Path) -> str:
    """What is wrong with an entry, as a phrase; empty where it is whole."""
    try:
        listed = json.loads((folder / LIST).read_bytes())
        files, taken_ns = dict(listed["files"]), int(listed["taken_ns"])
        stale = [name for name in files if not _is_current(folder / name, files[name]["stamp"], taken_ns)]
        for name in stale:
            if _sha256(folder / name) != files[name]["sha256"]:
                return f"{name} was changed or cut off"
            files[name]["stamp"] = _stamp(folder / name)
    except FileNotFoundError as error:
        return f"{Path(str(error.filename)).name} is missing"
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        return f"its files cannot be checked ({type(error).__name__}: {str(error)[:200]})"
    if stale:
        with contextlib.suppress(OSError):  # a read-only store is checked each time
            _write(folder, files)
    return ""


def _write(folder: Path, files: dict[str, Any]) -> None:
    partial = folder / f"{LIST}.{os.getpid()}.tmp"
    partial.write_text(json.dumps({"files": files, "taken_ns": time.time_ns()}))
    partial.replace(folder / LIST)


def _is_current(path: Path, stamp: Stamp, taken_ns: int) -> bool:
    now = _stamp(path)
    return now == stamp and max(now[1:3]) < taken_ns - YOUNG_NS


def _stamp(path: Path) -> Stamp:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def _sha256(path: Path) -> str:
    with path.open("rb", buffering=0) as stream:
        found = hashlib.file_digest(stream, "sha256")
        if path.stat().st_size > LARGE_BYTES and hasattr(os, "posix_fadvise"):  # macOS has none
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return found.hexdigest()
