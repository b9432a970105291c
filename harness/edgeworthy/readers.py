"""What reads a user's file translates whatever the library raises, here and nowhere else."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeworthy.errors import EdgeworthyError, SourceError

#: A library's reason is cut to this many characters.
MAX_REASON = 300
_KINDS = {
    stat.S_IFDIR: "is a folder",
    stat.S_IFIFO: "is a FIFO",
    stat.S_IFSOCK: "is a socket",
    stat.S_IFCHR: "is a device",
    stat.S_IFBLK: "is a device",
}


@contextmanager
def reading(path: Path, kind: str, hint: str) -> Iterator[None]:
    """Turn whatever is raised inside the block into SourceError: ``path`` is not a readable ``kind``.

    Libraries raise some twenty types for damaged files, MemoryError and RecursionError among them.
    """
    try:
        yield
    except EdgeworthyError:
        raise
    except Exception as error:
        raise SourceError(f"{path}: not a readable {kind} ({reason_of(error)})", hint=hint) from error


def reason_of(error: BaseException) -> str:
    """The first line of an exception's text, or its type where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0][:MAX_REASON] if lines else type(error).__name__


def problem_of(path: Path) -> str | None:
    """Why ``path`` is no regular file that can be read, in some words; None where it is one. Raises nothing."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "is a broken link" if path.is_symlink() else "no such file"
    except (OSError, ValueError) as error:  # too long, a part of it is a file, a NUL in it
        return getattr(error, "strerror", None) or str(error)
    return None if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "is not a regular file")


def checked_file(path: Path, hint: str = "correct its path in models.yaml") -> Path:
    """``path`` itself. Raises SourceError where it is no regular file."""
    problem = problem_of(path)
    if problem:
        raise SourceError(f"{path}: {problem}", hint=hint)
    return path
