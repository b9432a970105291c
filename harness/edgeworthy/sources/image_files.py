"""Image files and their labels: a folder per class, a folder with a labels file, or an index with a column of paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.dataset_schema import Columns, Dataset, Split
from edgeworthy.errors import SourceError
from edgeworthy.sources import labels, pillow
from edgeworthy.sources.folders import (
    class_folders,
    existing_folder,
    images_below,
    note_of,
    order_note,
    refuse_unusable,
)
from edgeworthy.sources.index_file import read_index


@dataclass(frozen=True)
class ImageFiles:
    """Files with one target each (``targets`` is None where they have none); ``names`` are their paths below ``origin``.

    ``notes`` say which files of the folder are not among them.
    """

    origin: str
    names: list[str]
    paths: list[Path]
    targets: NDArray[Any] | None
    classes: int | None
    notes: tuple[str, ...] = ()

    def take(self, rows: NDArray[np.int64]) -> ImageFiles:
        """The files of some rows."""
        return ImageFiles(
            self.origin,
            [self.names[index] for index in rows],
            [self.paths[index] for index in rows],
            None if self.targets is None else self.targets[rows],
            self.classes,
            self.notes,
        )

    def strata(self) -> NDArray[np.int64] | None:
        """The class of each file, where they have classes."""
        return self.targets if self.classes is not None else None


def pools(dataset: Dataset, base: Path) -> tuple[dict[str, ImageFiles], dict[str, str]]:
    """The pools of an ``images`` or ``table`` dataset by name, and the pool that each split is assigned from.

    Raises SourceError where files or labels are missing, unreadable or do not fit each other.
    """
    pillow.image_module()
    return _tables(dataset, base) if dataset.kind == "table" else _folders(dataset, base)


def _folders(dataset: Dataset, base: Path) -> tuple[dict[str, ImageFiles], dict[str, str]]:
    assert dataset.path
    found: dict[str, ImageFiles] = {}
    pool_of: dict[str, str] = {}
    class_names: list[str] = []
    for name, entry in {"evaluation": Split(path=dataset.path, labels=dataset.labels), **dataset.splits()}.items():
        own = entry if entry.path else Split(path=dataset.path, labels=dataset.labels)
        assert own.path
        pool_of[name] = key = f"{own.path} {own.labels or ''}".strip()
        if key in found:
            continue
        folder = existing_folder(base / own.path)
        if own.labels:
            found[key] = _labelled(folder, base / own.labels, dataset)
        else:
            here, _ = class_folders(folder)
            class_names = class_names or here
            found[key] = _by_class(folder, class_names, dataset) if here else _flat(folder)
    return found, pool_of


def _by_class(folder: Path, class_names: list[str], dataset: Dataset) -> ImageFiles:
    """The images of a folder per class, classes numbered in sorted order as torchvision and Keras number them."""
    here, beside = class_folders(folder)
    strange = [name for name in here if name not in class_names]
    if strange:
        raise SourceError(
            f"{folder}: class folder {strange[0]!r} is not among the evaluation's class folders",
            hint="rename or remove it",
        )
    if dataset.classes is not None and dataset.classes != len(class_names):
        raise SourceError(
            f"{folder}: {len(class_names)} class folders, 'classes' says {dataset.classes}",
            hint="correct 'classes', or complete the folders; an empty class needs an explicit labels file",
        )
    paths: list[Path] = []
    numbers: list[int] = []
    others: list[Path] = []
    for name in here:
        found = images_below(folder / name)
        if not found.images:
            raise _no_images(folder / name, found.others, "fill or remove the class folder")
        paths += found.images
        others += found.others
        numbers += [class_names.index(name)] * len(found.images)
    beside_them = note_of(folder, beside, "lie beside the class folders and are not read")
    notes = note_of(folder, others), beside_them, order_note(folder, class_names)
    return _files(folder, paths, np.array(numbers, np.int64), len(class_names), notes)


def _flat(folder: Path) -> ImageFiles:
    """The images of a folder without class folders: they have no labels, which calibration and fidelity do not need."""
    found = images_below(folder)
    if not found.images:
        raise _no_images(folder, found.others, "correct its path in models.yaml")
    return _files(folder, found.images, None, None, [note_of(folder, found.others)])


def _no_images(folder: Path, others: list[Path], hint: str) -> SourceError:
    note = note_of(folder, others)
    return SourceError(f"{folder}: no images ({note or ', '.join(sorted(pillow.suffixes()))})", hint=hint)


def _labelled(folder: Path, labels_file: Path, dataset: Dataset) -> ImageFiles:
    index = read_index(labels_file, Columns())
    paths = [folder / name for name in index.paths]
    refuse_unusable(labels_file, paths)
    targets = labels.numbered(index.labels, dataset.label_offset, dataset.classes, str(labels_file))
    unlisted = sorted(set(images_below(folder).images) - set(paths))
    notes = [note_of(folder, unlisted, f"are not in {labels_file.name} and are not read")]
    return _files(folder, paths, targets.values, targets.classes, notes)


def _tables(dataset: Dataset, base: Path) -> tuple[dict[str, ImageFiles], dict[str, str]]:
    assert dataset.path
    found: dict[str, ImageFiles] = {}
    pool_of: dict[str, str] = {}
    for name, entry in {"evaluation": Split(split=dataset.split), **dataset.splits()}.items():
        file = entry.path or dataset.path
        pool_of[name] = key = f"{file} {entry.split or ''}".strip()
        if key not in found:
            found[key] = _table(base / file, entry.split, dataset)
    return found, pool_of


def _table(path: Path, split: str | None, dataset: Dataset) -> ImageFiles:
    index = read_index(path, dataset.columns)
    paths = [path.parent / name for name in index.paths]
    targets = labels.numbered(index.labels, dataset.label_offset, dataset.classes, str(path))
    files = _files(path.parent, paths, targets.values, targets.classes)
    if split is not None:
        files = files.take(np.flatnonzero([value == split for value in index.splits(split)]))
    refuse_unusable(path, files.paths)
    return files


def _files(
    root: Path, paths: list[Path], targets: NDArray[Any] | None, classes: int | None, notes: Sequence[str] = ()
) -> ImageFiles:
    names = [path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path) for path in paths]
    return ImageFiles(str(root), names, paths, targets, classes, tuple(filter(None, notes)))
