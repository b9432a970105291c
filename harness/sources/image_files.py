"""Image files and their labels: a folder per class, a folder with a labels file, or an index with a column of paths."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.dataset_schema import Columns, Dataset, Part
from harness.errors import SourceError
from harness.sources import labels
from harness.sources.index_file import read_index

#: As torchvision.datasets.ImageFolder has them, and gif.
SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp", ".gif")


@dataclass(frozen=True)
class ImageFiles:
    """Files with one target each (``targets`` is None where they have none); ``names`` are their paths below ``origin``."""

    origin: str
    names: list[str]
    paths: list[Path]
    targets: NDArray[Any] | None
    classes: int | None

    def take(self, rows: NDArray[np.int64]) -> ImageFiles:
        """The files of some rows."""
        return ImageFiles(
            self.origin,
            [self.names[index] for index in rows],
            [self.paths[index] for index in rows],
            None if self.targets is None else self.targets[rows],
            self.classes,
        )

    def strata(self) -> NDArray[np.int64] | None:
        """The class of each file, where they have classes."""
        return self.targets if self.classes is not None else None


def pools(dataset: Dataset, base: Path) -> tuple[dict[str, ImageFiles], dict[str, str]]:
    """The pools of an ``images`` or ``table`` dataset by name, and the pool that each part is dealt from.

    Raises SourceError where files or labels are missing, unreadable or do not fit each other.
    """
    return _tables(dataset, base) if dataset.kind == "table" else _folders(dataset, base)


def _folders(dataset: Dataset, base: Path) -> tuple[dict[str, ImageFiles], dict[str, str]]:
    assert dataset.path
    found: dict[str, ImageFiles] = {}
    pool_of: dict[str, str] = {}
    class_names: list[str] = []
    for name, part in {"evaluation": Part(path=dataset.path, labels=dataset.labels), **dataset.parts()}.items():
        own = part if part.path else Part(path=dataset.path, labels=dataset.labels)
        assert own.path
        pool_of[name] = key = f"{own.path} {own.labels or ''}".strip()
        if key in found:
            continue
        folder = _existing_folder(base / own.path)
        if own.labels:
            found[key] = _labelled(folder, base / own.labels, dataset)
        else:
            class_names = class_names or _class_folders(folder)
            found[key] = _by_class(folder, class_names, dataset) if _class_folders(folder) else _flat(folder)
    return found, pool_of


def _existing_folder(folder: Path) -> Path:
    if not folder.is_dir():
        raise SourceError(f"{folder}: no such folder", next_step="correct its path in models.yaml")
    return folder


def _class_folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _images_below(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))
    return sorted(path for path in found if path.is_file())


def _by_class(folder: Path, class_names: list[str], dataset: Dataset) -> ImageFiles:
    """The images of a folder per class, classes numbered in sorted order as torchvision and Keras number them."""
    here = _class_folders(folder)
    strange = [name for name in here if name not in class_names]
    if strange:
        raise SourceError(f"{folder}: class folder {strange[0]!r} is not among the evaluation's class folders")
    if dataset.classes is not None and dataset.classes != len(class_names):
        raise SourceError(
            f"{folder}: {len(class_names)} class folders, 'classes' says {dataset.classes}",
            next_step="correct 'classes', or complete the folders; an empty class needs an explicit labels file",
        )
    paths: list[Path] = []
    numbers: list[int] = []
    for name in here:
        images = _images_below(folder / name)
        if not images:
            raise SourceError(
                f"{folder / name}: no images ({_suffixes()})", next_step="fill or remove the class folder"
            )
        paths += images
        numbers += [class_names.index(name)] * len(images)
    return _files(folder, paths, np.array(numbers, np.int64), len(class_names))


def _flat(folder: Path) -> ImageFiles:
    """The images of a folder without class folders: they have no labels, which calibration does not need."""
    images = _images_below(folder)
    if not images:
        raise SourceError(f"{folder}: no images ({_suffixes()})", next_step="correct its path in models.yaml")
    return _files(folder, images, None, None)


def _labelled(folder: Path, labels_file: Path, dataset: Dataset) -> ImageFiles:
    index = read_index(labels_file, Columns())
    paths = [folder / name for name in index.paths]
    _check_there(labels_file, paths)
    targets = labels.numbered(index.labels, dataset.label_offset, dataset.classes, str(labels_file))
    return _files(folder, paths, targets.values, targets.classes)


def _tables(dataset: Dataset, base: Path) -> tuple[dict[str, ImageFiles], dict[str, str]]:
    assert dataset.path
    found: dict[str, ImageFiles] = {}
    pool_of: dict[str, str] = {}
    for name, part in {"evaluation": Part(split=dataset.split), **dataset.parts()}.items():
        file = part.path or dataset.path
        pool_of[name] = key = f"{file} {part.split or ''}".strip()
        if key not in found:
            found[key] = _table(base / file, part.split, dataset)
    return found, pool_of


def _table(path: Path, split: str | None, dataset: Dataset) -> ImageFiles:
    index = read_index(path, dataset.columns)
    paths = [path.parent / name for name in index.paths]
    targets = labels.numbered(index.labels, dataset.label_offset, dataset.classes, str(path))
    files = _files(path.parent, paths, targets.values, targets.classes)
    if split is not None:
        files = files.take(np.flatnonzero([value == split for value in index.splits(split)]))
    _check_there(path, files.paths)
    return files


def _check_there(index: Path, paths: list[Path]) -> None:
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise SourceError(
            f"{index}: {len(missing)} of its {len(paths)} files are not there, the first is {missing[0]}",
            next_step="correct the index, or the folder that its names are relative to",
        )


def _files(root: Path, paths: list[Path], targets: NDArray[Any] | None, classes: int | None) -> ImageFiles:
    names = [path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path) for path in paths]
    return ImageFiles(str(root), names, paths, targets, classes)


def _suffixes() -> str:
    return ", ".join(SUFFIXES)
