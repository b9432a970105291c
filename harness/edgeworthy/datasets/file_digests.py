"""The sha256 of many files, read again only where a file may have changed.

A file that still has the size, the modification and change times, the inode and the device of when it was read has the
same bytes: nobody can set the change time, and every write moves it. As in git's index, times that are as young as the
reading itself prove nothing, since the clock of a file system may tick slower than files are written.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from edgeworthy.errors import SourceError, StoreError
from edgeworthy.storage import Store, digest, file_digest, read_json, write_atomically

#: Files younger than this when they are read are read again next time.
YOUNG_NS = 2_000_000_000
_State = list[int]


def file_digests(store: Store, paths: Sequence[Path]) -> list[str]:
    """The sha256 of each file. Raises SourceError naming a file that cannot be read."""
    names = [str(path.absolute()) for path in paths]
    remembered = store.root / "file-digests" / f"{digest([os.path.commonpath(names), len(names)])}.json"
    known = _recall(remembered)
    began = time.time_ns()
    states = [_state(path) for path in paths]
    stale = [index for index, name in enumerate(names) if known.get(name, [None])[0] != states[index]]
    with ThreadPoolExecutor(min(8, 2 * (os.cpu_count() or 1))) as pool:  # hashing lets other threads run
        fresh = dict(zip(stale, pool.map(_read, [paths[index] for index in stale]), strict=True))
    found = [fresh[index] if index in fresh else str(known[name][1]) for index, name in enumerate(names)]
    if fresh:
        old = {name: [states[index], found[index]] for index, name in enumerate(names) if _is_old(states[index], began)}
        with contextlib.suppress(StoreError):  # nothing is lost but time
            remembered.parent.mkdir(exist_ok=True)
            write_atomically(remembered, json.dumps(old).encode())
    return found


def _recall(remembered: Path) -> dict[str, list[object]]:
    with contextlib.suppress(StoreError):
        known = read_json(remembered) if remembered.is_file() else {}
        if isinstance(known, dict):
            return known
    return {}


def _state(path: Path) -> _State:
    try:
        stat = path.stat()
    except OSError as error:
        raise SourceError(
            f"{path}: cannot be read ({error.strerror})", hint="check that the file is there and may be read"
        ) from error
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev]


def _is_old(state: _State, began_ns: int) -> bool:
    return max(state[1], state[2]) < began_ns - YOUNG_NS


def _read(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError as error:
        raise SourceError(
            f"{path}: cannot be read ({error.strerror})", hint="check that the file is there and may be read"
        ) from error
