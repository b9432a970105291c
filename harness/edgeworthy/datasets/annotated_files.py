"""Image files with annotations that lie in the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgeworthy.dataset_schema import Dataset
from edgeworthy.datasets.boxes import boxes_of, classes_of
from edgeworthy.datasets.coco_file import Category, read_coco
from edgeworthy.datasets.folders import existing_folder, files_below, note_of, refuse_unusable
from edgeworthy.datasets.masks import Masks, masks_of
from edgeworthy.datasets.media import IMAGES
from edgeworthy.datasets.sample_files import SampleFiles, flat, sample_files

#: Of more classes than this the description names the first three and the last.
NAMED = 10


def pools(dataset: Dataset, base: Path) -> tuple[dict[str, SampleFiles], dict[str, str]]:
    """The pools of a ``coco`` or ``masks`` dataset by name, and the pool that each split is assigned from.

    A calibration split may have a folder of its own, without annotations. Raises SourceError where images and annotations
    are missing, unreadable or do not fit each other.
    """
    IMAGES.load()
    assert dataset.path
    annotated = _detection if dataset.kind == "coco" else _segmentation
    found = {dataset.path: annotated(dataset, base)}
    pool_of = {"evaluation": dataset.path}
    for name, entry in dataset.splits().items():
        pool_of[name] = own = entry.path or dataset.path
        if own not in found:
            found[own] = flat(existing_folder(base / own), IMAGES)
    return found, pool_of


def _detection(dataset: Dataset, base: Path) -> SampleFiles:
    assert dataset.path
    assert dataset.annotations
    folder, origin = existing_folder(base / dataset.path), base / dataset.annotations
    coco = read_coco(origin)
    paths = [folder / image.file_name for image in coco.images]
    refuse_unusable(origin, paths)
    unlisted = sorted(set(files_below(folder, IMAGES).wanted) - set(paths))
    notes = [
        note_of(folder, unlisted, f"are not in {origin.name} and are not read"),
        _named(classes_of(coco)),
    ]
    files = sample_files(folder, paths, None, notes)
    names = tuple(category.name for category in classes_of(coco))
    return replace(files, annotations=boxes_of(coco, origin), class_names=names)


def _segmentation(dataset: Dataset, base: Path) -> SampleFiles:
    assert dataset.path
    assert dataset.masks
    folder, masks = existing_folder(base / dataset.path), existing_folder(base / dataset.masks)
    files = flat(folder, IMAGES)
    found = masks_of(files.paths, folder, masks)
    below = files_below(masks, IMAGES)
    others = sorted({*below.wanted, *below.others} - set(found))
    note = note_of(masks, others, "are of no image and are not read")
    return replace(files, annotations=Masks(found), notes=tuple(filter(None, [*files.notes, note])))


def _named(categories: Sequence[Category]) -> str:
    """Which name each class number has."""
    names = [f"{number} {category.name}" for number, category in enumerate(categories)]
    shown = names if len(names) <= NAMED else [*names[:3], "...", names[-1]]
    return f"{len(names)} classes: {', '.join(shown)}"
