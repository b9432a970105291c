"""Image or sound files and their labels: a folder per class, a labels file, or an index with a column of paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.dataset_schema import Columns, Dataset, Split
from edgeworthy.datasets import labels
from edgeworthy.datasets.annotations import Annotations
from edgeworthy.datasets.folders import (
    class_folders,
    existing_folder,
    files_below,
    note_of,
    order_note,
    refuse_unusable,
)
from edgeworthy.datasets.index_file import Index, read_index
from edgeworthy.datasets.media import IMAGES, SOUNDS, Media
from edgeworthy.errors import SourceError


@dataclass(frozen=True)
class SampleFiles:
    """Files with one target each (``targets`` is None where they have none); ``names`` are their paths below ``origin``.

    ``notes`` say which files of the folder are not among them. With ``annotations`` their targets are made of these.
    ``class_names`` are in the order of the classes' numbers, where they have names.
    """

    origin: str
    names: list[str]
    paths: list[Path]
    targets: NDArray[Any] | None
    classes: int | None
    notes: tuple[str, ...] = ()
    annotations: Annotations | None = None
    class_names: tuple[str, ...] = ()

    @property
    def labelled(self) -> bool:
        """Whether there is a target for each file."""
        return self.targets is not None or self.annotations is not None

    def take(self, rows: NDArray[np.int64]) -> SampleFiles:
        """The files of some rows."""
        return SampleFiles(
            self.origin,
            [self.names[index] for index in rows],
            [self.paths[index] for index in rows],
            None if self.targets is None else self.targets[rows],
            self.classes,
            self.notes,
            self.annotations.take(rows) if self.annotations else None,
            self.class_names,
        )

    def strata(self) -> NDArray[np.int64] | None:
        """The class of each file, where they have classes."""
        return self.targets if self.classes is not None else None


def pools(dataset: Dataset, base: Path) -> tuple[dict[str, SampleFiles], dict[str, str]]:
    """The pools of an ``images``, ``table`` or ``audio`` dataset by name, and the pool that each split is assigned from.

    Raises SourceError where files or labels are missing, unreadable or do not fit each other.
    """
    media_of(dataset).load()
    assert dataset.path
    is_index = dataset.kind == "table" or (dataset.kind == "audio" and not (base / dataset.path).is_dir())
    return _tables(dataset, base) if is_index else _folders(dataset, base)


def media_of(dataset: Dataset) -> Media:
    """What the dataset's files are."""
    return SOUNDS if dataset.kind == "audio" else IMAGES


def _folders(dataset: Dataset, base: Path) -> tuple[dict[str, SampleFiles], dict[str, str]]:
    assert dataset.path
    _refuse_rows(dataset)
    found: dict[str, SampleFiles] = {}
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
            found[key] = _by_class(folder, class_names, dataset) if here else flat(folder, media_of(dataset))
    return found, pool_of


def _refuse_rows(dataset: Dataset) -> None:
    """Raise SourceError where rows of a split are asked for: sounds may be in an index, but these are in folders."""
    asked = {"evaluation": dataset.split, **{name: entry.split for name, entry in dataset.splits().items()}}
    for name, split in asked.items():
        if split is not None:
            raise SourceError(
                f"{dataset.path} is a folder, and {name} asks for the rows of split {split!r}",
                hint="remove 'split', or give an index of the files as 'path'",
            )


def _by_class(folder: Path, class_names: list[str], dataset: Dataset) -> SampleFiles:
    """The images of a folder per class, classes numbered in sorted order as torchvision and Keras number them."""
    media = media_of(dataset)
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
        found = files_below(folder / name, media)
        if not found.wanted:
            raise _none_of(media, folder / name, found.others, "fill or remove the class folder")
        paths += found.wanted
        others += found.others
        numbers += [class_names.index(name)] * len(found.wanted)
    beside_them = note_of(folder, beside, "lie beside the class folders and are not read")
    notes = note_of(folder, others, _not_read(media)), beside_them, order_note(folder, class_names)
    targets = labels.Targets(np.array(numbers, np.int64), len(class_names), tuple(class_names))
    return sample_files(folder, paths, targets, notes)


def flat(folder: Path, media: Media) -> SampleFiles:
    """The files of a folder without class folders: they have no labels, which calibration and fidelity do not need."""
    found = files_below(folder, media)
    if not found.wanted:
        raise _none_of(media, folder, found.others, "correct its path in models.yaml")
    return sample_files(folder, found.wanted, None, [note_of(folder, found.others, _not_read(media))])


def _not_read(media: Media) -> str:
    return f"are not read as {media.noun}"


def _none_of(media: Media, folder: Path, others: list[Path], hint: str) -> SourceError:
    note = note_of(folder, others, _not_read(media))
    return SourceError(f"{folder}: no {media.noun} ({note or ', '.join(sorted(media.suffixes()))})", hint=hint)


def _labelled(folder: Path, labels_file: Path, dataset: Dataset) -> SampleFiles:
    index = read_index(labels_file, Columns())
    paths = [folder / name for name in index.paths]
    refuse_unusable(labels_file, paths)
    targets = labels.numbered(index.labels, dataset.label_offset, dataset.classes, str(labels_file))
    unlisted = sorted(set(files_below(folder, IMAGES).wanted) - set(paths))
    notes = [note_of(folder, unlisted, f"are not in {labels_file.name} and are not read")]
    return sample_files(folder, paths, targets, notes)


def _tables(dataset: Dataset, base: Path) -> tuple[dict[str, SampleFiles], dict[str, str]]:
    assert dataset.path
    found: dict[str, SampleFiles] = {}
    pool_of: dict[str, str] = {}
    for name, entry in {"evaluation": Split(split=dataset.split), **dataset.splits()}.items():
        file = entry.path or dataset.path
        pool_of[name] = key = f"{file} {entry.split or ''}".strip()
        if key not in found:
            found[key] = _table(base / file, entry.split, dataset)
    return found, pool_of


def _table(path: Path, split: str | None, dataset: Dataset) -> SampleFiles:
    index = read_index(path, dataset.columns, texts=dataset.kind == "audio")
    paths = [path.parent / name for name in index.paths]
    files = sample_files(path.parent, paths, _targets(index, dataset))
    if split is not None:
        files = files.take(np.flatnonzero([value == split for value in index.splits(split)]))
    refuse_unusable(path, files.paths)
    return files


def _targets(index: Index, dataset: Dataset) -> labels.Targets:
    if not index.are_texts:
        return labels.numbered(index.labels, dataset.label_offset, dataset.classes, index.origin)
    if dataset.classes is not None or dataset.label_offset:
        raise SourceError(
            f"{index.origin}: its targets are texts, which have no classes",
            hint="remove 'classes' and 'label_offset'",
        )
    return labels.Targets(np.array(index.labels), None)


def sample_files(
    root: Path, paths: list[Path], targets: labels.Targets | None, notes: Sequence[str] = ()
) -> SampleFiles:
    """Files, named by where they are below ``root``; empty notes are left out."""
    names = [path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path) for path in paths]
    kept = tuple(filter(None, notes))
    if targets is None:
        return SampleFiles(str(root), names, paths, None, None, kept)
    return SampleFiles(str(root), names, paths, targets.values, targets.classes, kept, class_names=targets.names)
