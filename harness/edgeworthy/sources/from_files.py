"""A dataset of image files becomes decoded pixels and targets in the store.

Each split is decoded into an entry of its own, addressed by the files' contents and the geometry of the preprocessing:
another calibration image decodes nothing but the calibration split, another mean decodes nothing at all.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.dataset_schema import Dataset
from edgeworthy.errors import SourceError
from edgeworthy.sources import image_files
from edgeworthy.sources.decoding import decode
from edgeworthy.sources.file_digests import file_digests
from edgeworthy.sources.image_files import ImageFiles
from edgeworthy.sources.overlap import refuse_overlap
from edgeworthy.sources.pixels import Geometry
from edgeworthy.sources.preprocessing import geometry
from edgeworthy.sources.splits import Pool, Request, assign
from edgeworthy.sources.statistics import mismatch_of
from edgeworthy.storage import Store, digest, file_digest, read_json, write_json

Progress = Callable[[str], None]
Exclusive = Callable[[], AbstractContextManager[None]]


def from_files(
    store: Store, dataset: Dataset, base: Path, progress: Progress, exclusive: Exclusive
) -> tuple[Path, dict[str, Path], list[str]]:
    """The folder with ``dataset.json`` and targets, the inputs of each split, and notes for the report. Raises SourceError.

    ``exclusive`` is held while images are decoded.
    """
    shaped = geometry(dataset.preprocessing)
    splits = _split_files(dataset, base)
    digests = {split: file_digests(store, files.paths) for split, files in splits.items()}
    refuse_overlap({split: files.names for split, files in splits.items()}, digests)
    targets = {split: files.targets for split, files in splits.items() if files.targets is not None}
    key = digest(
        ["files 4", digests, {split: each.tolist() for split, each in targets.items()}, asdict(shaped), dataset.classes]
    )
    inputs: dict[str, Path] = {}
    for split, files in splits.items():
        report = lambda text, split=split: progress(f"decoding {split}: {text}")  # noqa: E731
        inputs[split] = _decoded(store, files, digests[split], shaped, report, exclusive)
    folder = store.find("datasets", key)
    if folder is None:
        with store.create("datasets", key) as made:
            _store_file_facts(made, splits["evaluation"].classes, inputs, targets)
        folder = store.root / "datasets" / key
    notes = [note for files in splits.values() for note in files.notes]
    return folder, inputs, list(dict.fromkeys(notes))


def _split_files(dataset: Dataset, base: Path) -> dict[str, ImageFiles]:
    """The files of each split."""
    pools, pool_of = image_files.pools(dataset, base)
    asked = {"evaluation": (dataset.count, dataset.seed)} | {
        split: (entry.count, entry.seed) for split, entry in dataset.splits().items()
    }
    requests = {split: Request(pool_of[split], *wanted) for split, wanted in asked.items()}
    assigned = assign({key: Pool(files.names, files.strata()) for key, files in pools.items()}, requests)
    splits = {split: pools[pool_of[split]].take(indices) for split, indices in assigned.items()}
    for split, files in splits.items():
        if files.targets is None and split in ("train", "validation"):
            raise SourceError(
                f"{files.origin}: {split} samples need labels, and there are no class folders",
                hint="name a labels file under 'labels', or sort the images into a folder per class",
            )
    return splits


def _decoded(
    store: Store, files: ImageFiles, digests: list[str], shaped: Geometry, progress: Progress, exclusive: Exclusive
) -> Path:
    """The .npy of the split's pixels, decoded now if the store lacks it."""
    key = digest(["decoded 2", digests, asdict(shaped), metadata.version("pillow")])
    folder = store.find("decoded", key)
    if folder is None:
        with store.lock(key), exclusive():
            folder = store.find("decoded", key)
            if folder is None:
                with store.create("decoded", key) as made:
                    found = decode(files.paths, shaped, made / "x.npy", progress)
                    facts = {
                        "sha256": digest([digests, asdict(shaped), found.sha256]),
                        "low": found.low,
                        "high": found.high,
                        "oriented": found.oriented,
                        "transparent": found.transparent,
                    }
                    write_json(made / "decoded.json", facts)
                folder = store.root / "decoded" / key
    return folder / "x.npy"


def _store_file_facts(
    folder: Path, classes: int | None, inputs: dict[str, Path], targets: dict[str, NDArray[Any]]
) -> None:
    decoded = {split: read_json(path.with_name("decoded.json")) for split, path in inputs.items()}
    shapes = {split: list(np.load(path, mmap_mode="r").shape) for split, path in inputs.items()}
    for split, shape in shapes.items():
        if shape[1:] != shapes["evaluation"][1:]:
            sizes = ["x".join(map(str, each[1:])) for each in (shape, shapes["evaluation"])]
            raise SourceError(
                f"{split} images are {sizes[0]}, evaluation images {sizes[1]}",
                hint="give preprocessing a size to resize to",
            )
    sha256 = {f"{split}_x": facts["sha256"] for split, facts in decoded.items()}
    for split, values in targets.items():
        np.save(folder / f"{split}_y.npy", values)
        sha256[f"{split}_y"] = file_digest(folder / f"{split}_y.npy")
    extremes = [decoded["evaluation"]["low"], decoded["evaluation"]["high"]]
    counts = {name: sum(facts[name] for facts in decoded.values()) for name in ("oriented", "transparent")}
    facts = {"sha256": sha256, "shapes": shapes, "inputs": [], "classes": classes, "extremes": extremes, **counts}
    facts["mismatch"] = mismatch_of(inputs)
    write_json(folder / "dataset.json", facts)
