"""A dataset of image files becomes decoded pixels and targets in the store.

Each part is decoded into an entry of its own, addressed by the files' contents and the geometry of the preprocessing:
another calibration image decodes nothing but the calibration part, another mean decodes nothing at all.
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

from harness.dataset_schema import Dataset
from harness.errors import SourceError
from harness.sources import image_files
from harness.sources.decoding import decode
from harness.sources.file_digests import file_digests
from harness.sources.image_files import ImageFiles
from harness.sources.overlap import refuse_overlap
from harness.sources.parts import Pool, Request, deal
from harness.sources.pixels import Geometry
from harness.sources.preprocessing import geometry
from harness.storage import Store, digest, file_digest, read_json, write_json

Progress = Callable[[str], None]
Alone = Callable[[], AbstractContextManager[None]]


def from_files(
    store: Store, dataset: Dataset, base: Path, progress: Progress, alone: Alone
) -> tuple[Path, dict[str, Path]]:
    """The folder with ``dataset.json`` and targets, and the inputs of each part. Raises SourceError.

    ``alone`` is held while images are decoded.
    """
    shaped = geometry(dataset.preprocessing)
    parts = _file_parts(dataset, base)
    digests = {part: file_digests(store, files.paths) for part, files in parts.items()}
    refuse_overlap({part: files.names for part, files in parts.items()}, digests)
    targets = {part: files.targets for part, files in parts.items() if files.targets is not None}
    key = digest(
        ["files 1", digests, {part: each.tolist() for part, each in targets.items()}, asdict(shaped), dataset.classes]
    )
    inputs: dict[str, Path] = {}
    for part, files in parts.items():
        said = lambda text, part=part: progress(f"decoding {part}: {text}")  # noqa: E731
        inputs[part] = _decoded(store, files, digests[part], shaped, said, alone)
    folder = store.find("datasets", key)
    if folder is None:
        with store.create("datasets", key) as made:
            _store_file_facts(made, parts["evaluation"].classes, inputs, targets)
        folder = store.root / "datasets" / key
    return folder, inputs


def _file_parts(dataset: Dataset, base: Path) -> dict[str, ImageFiles]:
    """The files of each part."""
    pools, pool_of = image_files.pools(dataset, base)
    asked = {"evaluation": (dataset.count, dataset.seed)} | {
        part: (entry.count, entry.seed) for part, entry in dataset.parts().items()
    }
    requests = {part: Request(pool_of[part], *wanted) for part, wanted in asked.items()}
    dealt = deal({key: Pool(files.names, files.strata()) for key, files in pools.items()}, requests)
    parts = {part: pools[pool_of[part]].take(indices) for part, indices in dealt.items()}
    for part, files in parts.items():
        if files.targets is None and part != "calibration":
            raise SourceError(
                f"{files.origin}: {part} samples need labels, and there are no class folders",
                next_step="name a labels file under 'labels', or sort the images into a folder per class",
            )
    return parts


def _decoded(
    store: Store, files: ImageFiles, digests: list[str], shaped: Geometry, progress: Progress, alone: Alone
) -> Path:
    """The .npy of the part's pixels, decoded now if the store lacks it."""
    key = digest(["decoded 1", digests, asdict(shaped), metadata.version("pillow")])
    folder = store.find("decoded", key)
    if folder is None:
        with store.lock(key), alone():
            folder = store.find("decoded", key)
            if folder is None:
                with store.create("decoded", key) as made:
                    found = decode(files.paths, shaped, made / "x.npy", progress)
                    facts = {
                        "sha256": digest([digests, asdict(shaped), found.sha256]),
                        "low": found.low,
                        "high": found.high,
                    }
                    write_json(made / "decoded.json", facts)
                folder = store.root / "decoded" / key
    return folder / "x.npy"


def _store_file_facts(
    folder: Path, classes: int | None, inputs: dict[str, Path], targets: dict[str, NDArray[Any]]
) -> None:
    decoded = {part: read_json(path.with_name("decoded.json")) for part, path in inputs.items()}
    shapes = {part: list(np.load(path, mmap_mode="r").shape) for part, path in inputs.items()}
    for part, shape in shapes.items():
        if shape[1:] != shapes["evaluation"][1:]:
            sizes = ["x".join(map(str, each[1:])) for each in (shape, shapes["evaluation"])]
            raise SourceError(
                f"{part} images are {sizes[0]}, evaluation images {sizes[1]}",
                next_step="give preprocessing a size to resize to",
            )
    sha256 = {f"{part}_x": facts["sha256"] for part, facts in decoded.items()}
    for part, values in targets.items():
        np.save(folder / f"{part}_y.npy", values)
        sha256[f"{part}_y"] = file_digest(folder / f"{part}_y.npy")
    extremes = [decoded["evaluation"]["low"], decoded["evaluation"]["high"]]
    facts = {"sha256": sha256, "shapes": shapes, "classes": classes, "extremes": extremes}
    write_json(folder / "dataset.json", facts)
