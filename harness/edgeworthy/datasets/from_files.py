"""A dataset of image or sound files becomes decoded values and targets in the store.

Each split is decoded into an entry of its own, addressed by the files' contents and the geometry of the preprocessing:
another calibration image decodes nothing but the calibration split, another mean decodes nothing at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edgeworthy.array_files import load_array
from edgeworthy.dataset_schema import ANNOTATED_KINDS, Dataset
from edgeworthy.datasets import annotated_files, sample_files
from edgeworthy.datasets.decoding import Decoded, decode
from edgeworthy.datasets.file_digests import file_digests
from edgeworthy.datasets.geometry import Geometry
from edgeworthy.datasets.overlap import refuse_overlap
from edgeworthy.datasets.preprocessing import check_values, geometry, value_steps
from edgeworthy.datasets.ragged import sizes_beside
from edgeworthy.datasets.ragged_files import decode_sizes, write_rows
from edgeworthy.datasets.sample_files import SampleFiles
from edgeworthy.datasets.sounds import Sound, sound
from edgeworthy.datasets.splits import Pool, Request, assign
from edgeworthy.datasets.statistics import mismatch_of
from edgeworthy.errors import SourceError
from edgeworthy.storage import Store, digest, file_digest, read_json, write_json
from edgeworthy.tensors import NamedInput

Progress = Callable[[str], None]
Shaped = Geometry | Sound
#: What is counted where files are decoded.
COUNTED = ("oriented", "transparent", "cut", "padded")
Exclusive = Callable[[], AbstractContextManager[None]]


class FromFiles(NamedTuple):
    """The ``folder`` with ``dataset.json`` and targets, the ``inputs`` of each split, ``notes`` for the report."""

    folder: Path
    inputs: dict[str, Path]
    notes: list[str]
    class_names: tuple[str, ...]


def from_files(store: Store, dataset: Dataset, base: Path, progress: Progress, exclusive: Exclusive) -> FromFiles:
    """Find the dataset in the store, or make it. Raises SourceError.

    ``exclusive`` is held while images are decoded.
    """
    shaped = sound(dataset) if dataset.kind == "audio" else geometry(dataset.preprocessing)
    splits = _split_files(dataset, base)
    digests = {split: file_digests(store, files.paths) for split, files in splits.items()}
    refuse_overlap({split: files.names for split, files in splits.items()}, digests)
    targets = {split: _identity(store, files) for split, files in splits.items()}
    values = dataset.preprocessing.model_dump() if dataset.ragged and dataset.preprocessing else None
    key = digest(["files 6", digests, targets, shaped.identity(), dataset.classes, dataset.ragged, values])
    inputs: dict[str, Path] = {}
    for split, files in splits.items():
        report = lambda text, split=split: progress(f"decoding {split}: {text}")  # noqa: E731
        inputs[split] = _decoded(store, files, digests[split], shaped, report, exclusive, dataset.ragged)
    folder = store.find("datasets", key)
    if folder is None:
        with store.create("datasets", key) as made:
            _store_file_facts(made, splits, inputs, shaped, dataset)
        folder = store.root / "datasets" / key
    if dataset.ragged:
        inputs = {split: folder / f"{split}_x.npy" for split in splits}
    notes = [note for files in splits.values() for note in files.notes]
    notes += [shaped.described()] if isinstance(shaped, Sound) else []
    return FromFiles(folder, inputs, list(dict.fromkeys(notes)), splits["evaluation"].class_names)


def _identity(store: Store, files: SampleFiles) -> object:
    """What the targets depend on beside the files and their geometry."""
    given = None if files.targets is None else files.targets.tolist()
    return [given, files.annotations.identity(store) if files.annotations else None]


def _split_files(dataset: Dataset, base: Path) -> dict[str, SampleFiles]:
    """The files of each split."""
    found = annotated_files if dataset.kind in ANNOTATED_KINDS else sample_files
    pools, pool_of = found.pools(dataset, base)
    asked = {"evaluation": (dataset.count, dataset.seed)} | {
        split: (entry.count, entry.seed) for split, entry in dataset.splits().items()
    }
    requests = {split: Request(pool_of[split], *wanted) for split, wanted in asked.items()}
    assigned = assign({key: Pool(files.names, files.strata()) for key, files in pools.items()}, requests)
    splits = {split: pools[pool_of[split]].take(indices) for split, indices in assigned.items()}
    for split, files in splits.items():
        if not files.labelled and split in ("train", "validation"):
            raise SourceError(
                f"{files.origin}: {split} samples need labels, and there are no class folders",
                hint="name a labels file under 'labels', or sort the files into a folder per class",
            )
    return splits


def _decoded(
    store: Store,
    files: SampleFiles,
    digests: list[str],
    shaped: Shaped,
    progress: Progress,
    exclusive: Exclusive,
    ragged: bool,
) -> Path:
    """The .npy of the split's pixels or sounds, or the file of such of their own sizes, decoded now if the store lacks it."""
    name, version = ("x.bin", "decoded ragged 1") if ragged else ("x.npy", "decoded 2")
    key = digest([version, digests, shaped.identity(), *map(metadata.version, shaped.packages)])
    folder = store.find("decoded", key)
    if folder is None:
        with store.lock(key), exclusive():
            folder = store.find("decoded", key)
            if folder is None:
                with store.create("decoded", key) as made:
                    found = (decode_sizes if ragged else _decode)(files.paths, shaped, made / name, progress)
                    facts = {
                        "sha256": digest([digests, shaped.identity(), found.sha256]),
                        "low": found.low,
                        "high": found.high,
                        **found.counts,
                    }
                    write_json(made / "decoded.json", facts)
                folder = store.root / "decoded" / key
    return folder / name


def _decode(paths: Sequence[Path], shaped: Shaped, out: Path, progress: Progress) -> Decoded:
    return shaped.decode(paths, out, progress) if isinstance(shaped, Sound) else decode(paths, shaped, out, progress)


def _store_file_facts(
    folder: Path, splits: Mapping[str, SampleFiles], inputs: Mapping[str, Path], shaped: Shaped, dataset: Dataset
) -> None:
    decoded = {split: read_json(path.with_name("decoded.json")) for split, path in inputs.items()}
    extremes = [decoded["evaluation"]["low"], decoded["evaluation"]["high"]]
    named: tuple[NamedInput, ...] = ()
    ragged: dict[str, Any] = {}
    if dataset.ragged:
        check_values(dataset.preprocessing, *extremes)
        channels = 3 if dataset.preprocessing is None or dataset.preprocessing.channels != "gray" else 1
        steps = value_steps(dataset.preprocessing, channels)
        named, ragged = write_rows(folder, inputs, steps, isinstance(shaped, Sound))
        inputs = {split: folder / f"{split}_x.npy" for split in inputs}
    shapes = {split: list(load_array(path, mapped=True).shape) for split, path in inputs.items()}
    _check_sizes(shapes)
    sha256 = {f"{split}_x": facts["sha256"] for split, facts in decoded.items()}
    dropped = 0
    for split, files in splits.items():
        if files.labelled:
            out = folder / f"{split}_y.npy"
            dropped += _write_targets(out, files, shaped)
            sha256[f"{split}_y"] = file_digest(out)
            if (sizes := sizes_beside(out)).exists():
                sha256[f"{split}_y_sizes"] = file_digest(sizes)
    counts = {name: sum(facts.get(name, 0) for facts in decoded.values()) for name in COUNTED}
    classes = splits["evaluation"].classes
    facts = {"sha256": sha256, "shapes": shapes, "classes": classes, "extremes": extremes, **counts, **ragged}
    facts |= {"inputs": [each.to_json() for each in named], "dropped": dropped, "mismatch": mismatch_of(inputs, named)}
    write_json(folder / "dataset.json", facts)


def _check_sizes(shapes: Mapping[str, list[int]]) -> None:
    for split, shape in shapes.items():
        if shape[1:] != shapes["evaluation"][1:]:
            sizes = ["x".join(map(str, each[1:])) for each in (shape, shapes["evaluation"])]
            raise SourceError(
                f"{split} images are {sizes[0]}, evaluation images {sizes[1]}",
                hint="give preprocessing a size to resize to",
            )


def _write_targets(out: Path, files: SampleFiles, shaped: Shaped) -> int:
    """Write the targets of one split; how many boxes were dropped."""
    if files.annotations and isinstance(shaped, Geometry):
        return files.annotations.write(out, files.paths, shaped)
    assert files.targets is not None
    np.save(out, files.targets)
    return 0
