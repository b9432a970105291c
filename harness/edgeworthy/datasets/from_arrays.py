"""A dataset of arrays becomes a folder of .npy files in the store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.dataset_schema import Dataset, Preprocessing
from edgeworthy.datasets import arrays, table_rows
from edgeworthy.datasets.arrays import INPUT, Chosen
from edgeworthy.datasets.overlap import refuse_overlap, row_digests
from edgeworthy.datasets.preprocessing import check_values, geometry, value_steps
from edgeworthy.datasets.ragged import ragged_facts, zero_beyond
from edgeworthy.datasets.samples import IMAGE_RANK, done
from edgeworthy.datasets.splits import Indices, Pool, Request, assign
from edgeworthy.datasets.statistics import mismatch_of
from edgeworthy.errors import SourceError
from edgeworthy.storage import Store, digest, file_digest, read_json, write_json
from edgeworthy.tensors import is_ragged


def from_arrays(store: Store, dataset: Dataset, base: Path) -> tuple[Path, dict[str, Path]]:
    """The folder with ``dataset.json`` and targets, and the inputs of each split. Raises SourceError."""
    how = dataset.preprocessing
    origin = table_rows.origin if dataset.kind == "csv" else arrays.origin
    key = digest(["arrays 6", origin(dataset, base), _selection(dataset), geometry(how).identity()])
    folder = store.find("datasets", key)
    if folder is None:
        with store.lock(key):
            folder = store.find("datasets", key)
            if folder is None:
                _store_arrays(store, key, dataset, _made(dataset, base))
                folder = store.root / "datasets" / key
    facts = read_json(folder / "dataset.json")
    return folder, {split: folder / f"{split}_x.npy" for split in facts["shapes"]}


def _made(dataset: Dataset, base: Path) -> Chosen:
    if dataset.kind == "csv":
        return table_rows.chosen_rows(dataset, base)
    loaded, sizes = arrays.load_arrays(dataset, base)
    given, inputs = arrays.in_rows(_as_taken(loaded, sizes, dataset.preprocessing), sizes)
    return Chosen(_assigned(dataset, given), inputs, dataset.classes, {})


def _as_taken(loaded: arrays.Arrays, sizes: arrays.Arrays, how: Preprocessing | None) -> arrays.Arrays:
    """Samples of different sizes as the model takes them: what is stored are rows, to whose values nothing more is done."""
    made = dict(loaded)
    if how is None or arrays.input_names(loaded) != [INPUT]:
        return made
    for key in (key for key in sizes if key.endswith(f"_{INPUT}")):
        _check_preprocessing(how, loaded[key])
        check_values(how, float(loaded[key].min()), float(loaded[key].max()))
        made[key] = zero_beyond(done(value_steps(how, loaded[key].shape[-1]), _swapped(how, loaded[key])), sizes[key])
    return made


def _selection(dataset: Dataset) -> dict[str, Any]:
    """What shapes the choice of samples and their targets."""
    return dataset.model_dump(exclude={"preprocessing", "function", "path"})


def _assigned(dataset: Dataset, given: arrays.Arrays) -> arrays.Arrays:
    """The arrays of every split, cut to what the configuration asks for; raises SourceError where splits share samples."""
    given_splits = [split for split in arrays.SPLITS if f"{split}_x" in given]
    asked = dataset.splits()
    requests = {split: Request(split, None, 0) for split in given_splits}
    requests["evaluation"] = Request("evaluation", dataset.count, dataset.seed)
    for split, entry in asked.items():
        pool = entry.split or split
        if pool not in given_splits:
            raise SourceError(
                f"{split} is taken from {pool}_x, which does not exist", hint=f"there are: {given_splits}"
            )
        requests[split] = Request(pool, entry.count, entry.seed)
    pools = {
        split: Pool([str(index) for index in range(len(given[f"{split}_x"]))], _classes(given, split))
        for split in given_splits
    }
    assigned = assign(pools, requests)
    names = {split: [f"{requests[split].pool} {index}" for index in indices] for split, indices in assigned.items()}
    chosen = _chosen(given, requests, assigned)
    inputs = {split: chosen[f"{split}_x"] for split in assigned}
    if len(inputs) > 1:
        refuse_overlap(names, {split: row_digests(values) for split, values in inputs.items()})
    return chosen


def _classes(given: arrays.Arrays, split: str) -> NDArray[np.int64] | None:
    targets = given.get(f"{split}_y")
    return targets if targets is not None and _are_classes(targets) else None


def _chosen(given: arrays.Arrays, requests: Mapping[str, Request], assigned: Mapping[str, Indices]) -> arrays.Arrays:
    return {
        f"{split}_{kind}": given[f"{requests[split].pool}_{kind}"][indices]
        for split, indices in assigned.items()
        for kind in (INPUT, arrays.TARGETS, arrays.TARGET_SIZES)
        if f"{requests[split].pool}_{kind}" in given
    }


def _are_classes(targets: NDArray[Any]) -> bool:
    return targets.dtype == np.int64 and targets.ndim == 1


def _classes_of(known: int | None, targets: NDArray[Any]) -> int | None:
    return (known or int(targets.max()) + 1) if _are_classes(targets) else None


def _store_arrays(store: Store, key: str, dataset: Dataset, made: Chosen) -> None:
    chosen, ragged = made.arrays, is_ragged(made.inputs)
    how = dataset.preprocessing or Preprocessing()
    x, y = chosen["evaluation_x"], chosen.get("evaluation_y")
    if not ragged:
        _check_preprocessing(how, x)
    with store.create("datasets", key) as folder:
        for array, values in chosen.items():
            swapped = array.endswith("_x") and not ragged
            np.save(folder / f"{array}.npy", _swapped(how, values) if swapped else values)
        write_json(
            folder / "dataset.json",
            {
                "sha256": {array: file_digest(folder / f"{array}.npy") for array in chosen},
                "shapes": {
                    array.removesuffix("_x"): list(chosen[array].shape) for array in chosen if array.endswith("_x")
                },
                "inputs": [each.to_json() for each in made.inputs],
                "classes": made.classes if y is None else _classes_of(made.classes, y),
                **made.counts,
                "extremes": [float(x.min()), float(x.max())],
                "mismatch": _mismatch(folder, made),
                **(ragged_facts(x, made.inputs) if ragged else {}),
            },
        )


def _mismatch(folder: Path, made: Chosen) -> str | None:
    """How the ranges of calibration and evaluation inputs differ, or None; characters of texts have none."""
    if any(each.width for each in made.inputs):
        return None
    return mismatch_of({name: folder / f"{name}_x.npy" for name in ("calibration", "evaluation")}, made.inputs)


def _check_preprocessing(how: Preprocessing, x: NDArray[Any]) -> None:
    """Raise SourceError for a preprocessing that arrays (n, ...) cannot have."""
    if how.channels == "bgr" and x.ndim != IMAGE_RANK:
        raise SourceError(
            f"preprocessing has channels: bgr, and evaluation_x of shape {x.shape} holds no images",
            hint="remove 'channels' from preprocessing, or give images of shape (samples, height, width, channels)",
        )
    if how.resize or how.center_crop or how.letterbox or how.channels == "gray":
        raise SourceError(
            "preprocessing resizes, crops and converts images, not arrays",
            hint="give arrays of the size and channels that the model takes, or images",
        )


def _swapped(how: Preprocessing, values: NDArray[Any]) -> NDArray[Any]:
    """Images (n, H, W, C) with their channels in the order that is asked for."""
    return values[..., ::-1] if how.channels == "bgr" else values
