"""A dataset of arrays becomes a folder of .npy files in the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.dataset_schema import Dataset, Preprocessing
from harness.errors import SourceError
from harness.sources import arrays
from harness.sources.overlap import refuse_overlap, row_digests
from harness.sources.parts import Indices, Pool, Request, deal
from harness.sources.preprocessing import geometry
from harness.sources.samples import Samples
from harness.sources.statistics import channel_statistics, mismatch
from harness.storage import Store, digest, file_digest, read_json, write_json


def from_arrays(store: Store, dataset: Dataset, base: Path) -> tuple[Path, dict[str, Path]]:
    """The folder with ``dataset.json`` and targets, and the inputs of each part. Raises SourceError."""
    how = dataset.preprocessing
    key = digest(["arrays 2", arrays.origin(dataset, base), _selection(dataset), asdict(geometry(how))])
    folder = store.find("datasets", key)
    if folder is None:
        with store.lock(key):
            folder = store.find("datasets", key)
            if folder is None:
                _store_arrays(store, key, dataset, _dealt(dataset, arrays.load_arrays(dataset, base)))
                folder = store.root / "datasets" / key
    facts = read_json(folder / "dataset.json")
    return folder, {part: folder / f"{part}_x.npy" for part in facts["shapes"]}


def _selection(dataset: Dataset) -> dict[str, Any]:
    """What shapes the choice of samples and their targets."""
    return dataset.model_dump(exclude={"preprocessing", "function", "path"})


def _dealt(dataset: Dataset, given: arrays.Arrays) -> arrays.Arrays:
    """The arrays of every part, cut to what the configuration asks for; raises SourceError where parts share samples."""
    splits = [split for split in arrays.SPLITS if f"{split}_x" in given]
    asked = dataset.parts()
    requests = {split: Request(split, None, 0) for split in splits}
    requests["evaluation"] = Request("evaluation", dataset.count, dataset.seed)
    for part, entry in asked.items():
        pool = entry.split or part
        if pool not in splits:
            raise SourceError(
                f"{part} is to be taken of {pool}_x, which is not there", next_step=f"there are: {splits}"
            )
        requests[part] = Request(pool, entry.count, entry.seed)
    pools = {
        split: Pool([str(index) for index in range(len(given[f"{split}_x"]))], _classes(given, split))
        for split in splits
    }
    dealt = deal(pools, requests)
    names = {part: [f"{requests[part].pool} {index}" for index in indices] for part, indices in dealt.items()}
    chosen = _chosen(given, requests, dealt)
    inputs = {part: chosen[f"{part}_x"] for part in dealt}
    if len(inputs) > 1:
        refuse_overlap(names, {part: row_digests(values) for part, values in inputs.items()})
    return chosen


def _classes(given: arrays.Arrays, split: str) -> NDArray[np.int64] | None:
    targets = given.get(f"{split}_y")
    return targets if targets is not None and targets.dtype == np.int64 else None


def _chosen(given: arrays.Arrays, requests: Mapping[str, Request], dealt: Mapping[str, Indices]) -> arrays.Arrays:
    return {
        f"{part}_{kind}": given[f"{requests[part].pool}_{kind}"][indices]
        for part, indices in dealt.items()
        for kind in ("x", "y")
        if f"{requests[part].pool}_{kind}" in given
    }


def _store_arrays(store: Store, key: str, dataset: Dataset, chosen: arrays.Arrays) -> None:
    how = dataset.preprocessing or Preprocessing()
    if how.resize or how.center_crop or how.channels == "gray":
        raise SourceError(
            "preprocessing resizes, crops and converts images, not arrays",
            next_step="give arrays of the size and channels that the model takes, or images",
        )
    with store.create("datasets", key) as folder:
        for array, values in chosen.items():
            swapped = array.endswith("_x") and how.channels == "bgr"
            np.save(folder / f"{array}.npy", values[..., ::-1] if swapped else values)
        if "calibration_x" in chosen:
            statistics = [
                channel_statistics(Samples(folder / f"{part}_x.npy")) for part in ("calibration", "evaluation")
            ]
            unlike = mismatch(*statistics)
            if unlike:
                raise SourceError(unlike, next_step="preprocess both alike")
        x, y = chosen["evaluation_x"], chosen["evaluation_y"]
        write_json(
            folder / "dataset.json",
            {
                "sha256": {array: file_digest(folder / f"{array}.npy") for array in chosen},
                "shapes": {
                    array.removesuffix("_x"): list(chosen[array].shape) for array in chosen if array.endswith("_x")
                },
                "classes": (dataset.classes or int(y.max()) + 1) if y.dtype == np.int64 else None,
                "extremes": [float(x.min()), float(x.max())],
            },
        )
