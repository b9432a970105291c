"""Datasets that come as arrays: the embedded digits, an .npz file, a user's function.

They are a mapping of arrays: ``evaluation_x`` and ``evaluation_y`` (required), ``calibration_x`` (for recipes that
calibrate) and, for sources that are trained, ``train_x``, ``train_y``, ``validation_x``, ``validation_y``. Inputs are
(N, H, W, C) numbers; targets are integers (N,) from 0, or floating-point numbers (N, ...) to be predicted.
"""

from __future__ import annotations

import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.dataset_schema import Dataset
from harness.errors import SourceError
from harness.sources import digits
from harness.sources.function_files import function_digest
from harness.sources.functions import load_function, users_code
from harness.storage import file_digest

REQUIRED = ("evaluation_x", "evaluation_y")
SPLITS = ("evaluation", "calibration", "train", "validation")
KNOWN = tuple(f"{split}_{part}" for split in SPLITS for part in ("x", "y"))
Arrays = dict[str, NDArray[Any]]


def origin(dataset: Dataset, base: Path) -> str:
    """What the arrays are made from, such that another origin is other arrays. Raises SourceError."""
    if dataset.kind == "npz":
        return file_digest(_npz(dataset, base))
    if dataset.kind == "function":
        assert dataset.function
        return function_digest(dataset.function, base)
    return f"{file_digest(Path(digits.__file__))} {_version('scikit-learn')} {_version('pillow')}"


def load_arrays(dataset: Dataset, base: Path) -> Arrays:
    """The arrays, checked, inputs as uint8 or float32 and targets as int64 or float32.

    Raises SourceError that names the array that is wrong.
    """
    arrays = _load(dataset, base)
    missing = [key for key in REQUIRED if key not in arrays]
    unknown = sorted(set(arrays) - set(KNOWN))
    if missing or unknown:
        problem = f"lacks {missing[0]!r}" if missing else f"has an array {unknown[0]!r} that means nothing here"
        raise SourceError(problem, next_step=f"its arrays may be: {', '.join(KNOWN)}")
    for split in dict.fromkeys(["evaluation", *(key.rpartition("_")[0] for key in arrays)]):
        _check_split(dataset, split, arrays)
    return {key: np.ascontiguousarray(value, _stored_type(key, value)) for key, value in arrays.items()}


def _stored_type(key: str, values: NDArray[Any]) -> type:
    if key.endswith("_y"):
        return np.int64 if np.issubdtype(values.dtype, np.integer) else np.float32
    return np.uint8 if values.dtype == np.uint8 else np.float32


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError as error:
        raise SourceError(
            f"the embedded digits need {package}, which is not installed", next_step="pip install 'edgegate[digits]'"
        ) from error


def _npz(dataset: Dataset, base: Path) -> Path:
    assert dataset.path
    path = base / dataset.path
    if not path.is_file():
        raise SourceError(f"{path}: no such file", next_step="correct its path in models.yaml")
    return path


def _load(dataset: Dataset, base: Path) -> Arrays:
    if dataset.kind == "digits":
        return digits.load_digits()
    if dataset.kind == "npz":
        return _load_npz(_npz(dataset, base))
    assert dataset.function
    made = load_function(dataset.function, base)
    with users_code(dataset.function, "correct the dataset's function"):
        arrays = made()
    if not isinstance(arrays, dict):
        raise SourceError(
            f"{dataset.function} returned {type(arrays).__name__}, not a dict of arrays",
            next_step="correct the dataset's function",
        )
    return {str(key): np.asarray(value) for key, value in arrays.items()}


def _load_npz(path: Path) -> Arrays:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:  # np.load(path) leaks a bad file
            return {key: stored[key] for key in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise SourceError(
            f"{path}: not a readable .npz of plain arrays ({error})",
            next_step="write it with numpy.savez, without object arrays",
        ) from error


def _check_split(dataset: Dataset, split: str, arrays: Arrays) -> None:
    x, y = arrays.get(f"{split}_x"), arrays.get(f"{split}_y")

    def refuse(part: str, problem: str) -> SourceError:
        return SourceError(f"{split}_{part} {problem}", next_step="correct the dataset's arrays")

    if x is None:
        raise refuse("y", f"has targets but there is no {split}_x")
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
    if np.issubdtype(y.dtype, np.floating) and dataset.classes is None:
        if y.ndim == 0 or len(y) != len(x) or not np.isfinite(y).all():
            raise refuse("y", f"is {y.dtype} of shape {y.shape}; {len(x)} targets without NaN or infinity are needed")
        return
    if y.shape != (len(x),) or not np.issubdtype(y.dtype, np.integer):
        raise refuse("y", f"is {y.dtype} of shape {y.shape}; {len(x)} integers are needed, one per sample")
    out_of_range = np.flatnonzero((y < 0) | (y >= (dataset.classes or np.inf)))
    if len(out_of_range):
        first = int(out_of_range[0])
        wanted = f"0 to {dataset.classes - 1}" if dataset.classes else "0 and up"
        off = "; they run from 1: labels off by one" if y.min() == 1 and y.max() == dataset.classes else ""
        raise refuse(
            "y", f"has {len(out_of_range)} labels out of range ({wanted}): sample {first} is {int(y[first])}{off}"
        )
