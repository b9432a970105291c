"""The files below a folder of images or sounds: none is left out without being counted."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from edgeworthy.datasets.media import Media
from edgeworthy.errors import SourceError
from edgeworthy.readers import problem_of

#: What is said of folders whose names are numbers of unlike length.
TEXT_ORDER = "are numbered in the order of their names as text"
#: An error names at most this many files.
NAMED = 3


class Found(NamedTuple):
    """The images or sounds below a folder, sorted, and the other files there."""

    wanted: list[Path]
    others: list[Path]


def files_below(folder: Path, media: Media) -> Found:
    """The files below ``folder`` by suffix; linked folders are followed, hidden files are not counted.

    Raises SourceError for broken links, for wanted files that are FIFOs or devices, and where a folder cannot be read.
    """
    wanted: list[Path] = []
    others: list[Path] = []
    suffixes = media.suffixes()
    for path in sorted(_files_below(folder)):
        (wanted if path.suffix.lower() in suffixes else others).append(path)
    refuse_unusable(folder, wanted + [path for path in others if path.is_symlink() and not path.exists()])
    return Found(wanted, others)


def refuse_unusable(origin: Path, paths: Sequence[Path]) -> None:
    """Raise SourceError, naming ``origin``, where any of ``paths`` is no regular file."""
    problems = [(path, problem) for path in paths if (problem := problem_of(path))]
    if problems:
        named = "; ".join(f"{path}: {problem}" for path, problem in problems[:NAMED])
        more = f" (and {len(problems) - NAMED} more)" if len(problems) > NAMED else ""
        raise SourceError(
            f"{origin}: {len(problems)} of its {len(paths)} files cannot be used: {named}{more}",
            hint="restore or remove them; no file is left out silently",
        )


def note_of(folder: Path, others: Iterable[Path], why: str) -> str:
    """How many files are left out and of which suffixes, in some words; empty where there are none."""
    counts = Counter(path.suffix.lower() or "no suffix" for path in others)
    if not counts:
        return ""
    listed = ", ".join(f"{suffix} {count}" for suffix, count in counts.most_common())
    return f"{counts.total()} files below {folder.name} {why} ({listed})"


def class_folders(folder: Path) -> tuple[list[str], list[Path]]:
    """The names of the folders in ``folder``, sorted, and the files beside them. Raises SourceError for broken links."""
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    names = [entry.name for entry in entries if entry.is_dir()]
    files = [entry for entry in entries if not entry.is_dir()]
    refuse_unusable(folder, [entry for entry in files if entry.is_symlink()])
    return names, files


def order_note(folder: Path, names: Sequence[str]) -> str:
    """That numbers as names are sorted as text, where that is another order; empty otherwise."""
    if not all(name.isdecimal() for name in names) or sorted(names) == sorted(names, key=int):
        return ""
    return f"the class folders of {folder.name} {TEXT_ORDER}: {', '.join(sorted(names)[:4])}, ..."


def existing_folder(folder: Path) -> Path:
    """``folder`` itself. Raises SourceError where it is none."""
    problem = problem_of(folder)
    if problem != "is a folder":
        reason = "no such folder" if problem == "no such file" else problem or "is a file, not a folder"
        raise SourceError(f"{folder}: {reason}", hint="correct its path in models.yaml")
    return folder


def _files_below(folder: Path) -> list[Path]:
    found: list[Path] = []
    seen: set[tuple[int, int]] = set()
    for here, folders, files in os.walk(folder, onerror=_refuse, followlinks=True):
        stat = Path(here).stat()
        if (stat.st_dev, stat.st_ino) in seen:  # a link to a folder above it
            folders.clear()
            continue
        seen.add((stat.st_dev, stat.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(here, name) for name in files if not name.startswith(".")]
    return found


def _refuse(error: OSError) -> None:
    raise SourceError(
        f"{error.filename}: cannot be read ({error.strerror})", hint="make the folder readable"
    ) from error
