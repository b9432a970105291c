"""Datasets as checked arrays on disk, prepared once and kept in the store.

Whatever its kind, a dataset is a mapping of arrays: ``evaluation_x`` and ``evaluation_y`` (required),
``calibration_x`` (for recipes that calibrate) and, for sources that are trained, ``train_x``, ``train_y``,
``validation_x``, ``validation_y``. Inputs are (N, H, W, C) numbers, labels (N,) integers from 0.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.config import Dataset
from harness.errors import SourceError
from harness.sources import digits
from harness.sources.functions import function_file, load_function
from harness.sources.samples import Samples
from harness.storage import Store, digest, file_digest, read_json, write_json

REQUIRED = ("evaluation_x", "evaluation_y")
KNOWN = tuple(
    f"{split}_{part}" for split in ("evaluation", "calibration", "train", "validation") for part in ("x", "y")
)
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class PreparedDataset:
    """A dataset's folder of ``<split>.npy`` files and what it holds.

    ``sha256`` has one checksum per array; ``input_shape`` is (H, W, C) of one sample; ``count`` and ``classes``
    describe the evaluation samples.
    """

    name: str
    folder: Path
    sha256: dict[str, str]
    input_shape: tuple[int, int, int]
    count: int
    classes: int

    def array(self, name: str) -> Path:
        """The .npy file of one array, as it is stored."""
        return self.folder / f"{name}.npy"

    def samples(self, split: str) -> Samples:
        """The inputs of one split."""
        return Samples(self.array(f"{split}_x"))

    def labels(self) -> NDArray[np.int64]:
        """The evaluation labels, int64 (N,)."""
        labels: NDArray[np.int64] = np.load(self.array("evaluation_y"))
        return labels

    @property
    def checksum(self) -> str:
        """One checksum for the evaluation samples and their labels."""
        return digest([self.sha256[name] for name in REQUIRED])


def prepare(store: Store, name: str, dataset: Dataset, base: Path) -> PreparedDataset:
    """The dataset as files in the store, made on first use. Raises SourceError naming the dataset."""
    key = _key(name, dataset, base)
    folder = store.find("datasets", key)
    if folder is None:
        with store.lock(key):
            if store.find("datasets", key) is None:
                _store(store, key, name, dataset, _checked(name, dataset, _load(name, dataset, base)))
        folder = store.root / "datasets" / key
    facts = read_json(folder / "dataset.json")
    return PreparedDataset(
        name=name,
        folder=folder,
        sha256=facts["sha256"],
        input_shape=tuple(facts["input_shape"]),
        count=facts["count"],
        classes=facts["classes"],
    )


def _key(name: str, dataset: Dataset, base: Path) -> str:
    if dataset.kind == "npz":
        origin = file_digest(_npz(name, dataset, base))
    elif dataset.kind == "function":
        assert dataset.function
        origin = f"{dataset.function} {file_digest(function_file(dataset.function, base))}"
    else:
        origin = f"{file_digest(Path(digits.__file__))} {_version('scikit-learn')} {_version('pillow')}"
    return digest(["dataset 1", dataset.kind, origin, dataset.classes])


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError as error:
        raise SourceError(
            f"the embedded digits need {package}, which is not installed", next_step="pip install 'edgegate[digits]'"
        ) from error


def _npz(name: str, dataset: Dataset, base: Path) -> Path:
    assert dataset.path
    path = base / dataset.path
    if not path.is_file():
        raise SourceError(f"dataset {name!r}: {path}: no such file", next_step="correct its path in models.yaml")
    return path


def _load(name: str, dataset: Dataset, base: Path) -> Arrays:
    if dataset.kind == "digits":
        return digits.load_digits()
    if dataset.kind == "npz":
        path = _npz(name, dataset, base)
        try:
            with (
                path.open("rb") as stream,
                np.load(stream, allow_pickle=False) as stored,
            ):  # np.load(path) leaks a bad file
                return {key: stored[key] for key in stored.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise SourceError(
                f"dataset {name!r}: {path}: not a readable .npz of plain arrays ({error})",
                next_step="write it with numpy.savez, without object arrays",
            ) from error
    assert dataset.function
    made = load_function(dataset.function, base)
    try:
        arrays = made()
    except Exception as error:
        raise SourceError(f"dataset {name!r}: {dataset.function} raised {type(error).__name__}: {error}") from error
    if not isinstance(arrays, dict):
        raise SourceError(
            f"dataset {name!r}: {dataset.function} returned {type(arrays).__name__}, not a dict of arrays"
        )
    return {str(key): np.asarray(value) for key, value in arrays.items()}


def _checked(name: str, dataset: Dataset, arrays: Arrays) -> Arrays:
    """The arrays in their stored types, or a SourceError that names the array that is wrong."""
    missing = [key for key in REQUIRED if key not in arrays]
    unknown = sorted(set(arrays) - set(KNOWN))
    if missing or unknown:
        problem = f"lacks {missing[0]!r}" if missing else f"has an array {unknown[0]!r} that means nothing here"
        raise SourceError(f"dataset {name!r} {problem}", next_step=f"its arrays may be: {', '.join(KNOWN)}")
    for split in dict.fromkeys(["evaluation", *(key.rpartition("_")[0] for key in arrays)]):
        _check_split(name, dataset, split, arrays)
    return {
        key: np.ascontiguousarray(value, np.float32 if key.endswith("_x") else np.int64)
        for key, value in arrays.items()
    }


def _check_split(name: str, dataset: Dataset, split: str, arrays: Arrays) -> None:
    x, y = arrays.get(f"{split}_x"), arrays.get(f"{split}_y")

    def refuse(part: str, problem: str) -> SourceError:
        return SourceError(f"dataset {name!r}: {split}_{part} {problem}", next_step="correct the dataset's arrays")

    if x is None:
        raise refuse("y", f"has labels but there is no {split}_x")
    if x.ndim != 4 or not np.issubdtype(x.dtype, np.number):
        raise refuse(
            "x", f"is {x.dtype} of shape {x.shape}; numbers of shape (samples, height, width, channels) are needed"
        )
    if x.shape[1:] != arrays["evaluation_x"].shape[1:]:
        raise refuse("x", f"has samples of shape {x.shape[1:]}, evaluation_x of {arrays['evaluation_x'].shape[1:]}")
    if len(x) == 0:
        raise refuse("x", "is empty")
    if not np.isfinite(x).all():
        raise refuse("x", "holds NaN or infinity")
    if y is None:
        return
    if y.shape != (len(x),) or not np.issubdtype(y.dtype, np.integer):
        raise refuse("y", f"is {y.dtype} of shape {y.shape}; {len(x)} integers are needed, one per sample")
    out_of_range = np.flatnonzero((y < 0) | (y >= (dataset.classes or np.inf)))
    if len(out_of_range):
        first = int(out_of_range[0])
        wanted = f"0 to {dataset.classes - 1}" if dataset.classes else "0 and up"
        raise refuse("y", f"has {len(out_of_range)} labels out of range ({wanted}): sample {first} is {int(y[first])}")


def _store(store: Store, key: str, name: str, dataset: Dataset, arrays: Arrays) -> None:
    with store.create("datasets", key) as folder:
        for array, values in arrays.items():
            np.save(folder / f"{array}.npy", values)
        facts = {
            "sha256": {array: file_digest(folder / f"{array}.npy") for array in arrays},
            "input_shape": list(arrays["evaluation_x"].shape[1:]),
            "count": len(arrays["evaluation_x"]),
            "classes": dataset.classes or int(arrays["evaluation_y"].max()) + 1,
        }
        write_json(folder / "dataset.json", facts)
