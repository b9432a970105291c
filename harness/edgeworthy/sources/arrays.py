"""Datasets given as arrays: the embedded digits, an .npz file, a user's function.

They are a mapping of arrays: ``evaluation_x`` (required), ``evaluation_y`` (for every metric but fidelity),
``calibration_x`` (for recipes that calibrate) and, for sources that are trained, ``train_x``, ``train_y``, ``validation_x``,
``validation_y``. Inputs are numbers of any shape (N, ...), images (N, H, W, C); targets are integers (N,) from 0, or
floating-point numbers (N, ...) to be predicted.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeworthy.dataset_schema import MAX_CLASSES, Dataset
from edgeworthy.errors import SourceError
from edgeworthy.sources import digits
from edgeworthy.sources.function_files import function_digest
from edgeworthy.sources.functions import load_function, users_code
from edgeworthy.sources.readers import checked_file, reading
from edgeworthy.storage import file_digest

EVALUATION = ("evaluation_x", "evaluation_y")
SPLITS = ("evaluation", "calibration", "train", "validation")
KNOWN = tuple(f"{split}_{part}" for split in SPLITS for part in ("x", "y"))
Arrays = dict[str, NDArray[Any]]


def origin(dataset: Dataset, base: Path) -> str:
    """A digest of what the arrays are made from. Raises SourceError."""
    if dataset.kind == "npz":
        return file_digest(_npz(dataset, base))
    if dataset.kind == "function":
        assert dataset.function
        return function_digest(dataset.function, base)
    return f"{file_digest(Path(digits.__file__))} {_version('scikit-learn')} {_version('pillow')}"


def load_arrays(dataset: Dataset, base: Path) -> Arrays:
    """The arrays, checked: integer inputs in their own type, other inputs float32, targets int64 or float32.

    Raises SourceError that names the array that is wrong.
    """
    arrays = _load(dataset, base)
    missing = [key for key in EVALUATION[:1] if key not in arrays]
    unknown = sorted(set(arrays) - set(KNOWN))
    if missing or unknown:
        problem = f"lacks {missing[0]!r}" if missing else f"has an unknown array {unknown[0]!r}"
        raise SourceError(problem, hint=f"its arrays may be: {', '.join(KNOWN)}")
    for split in dict.fromkeys(["evaluation", *(key.rpartition("_")[0] for key in arrays)]):
        _check_split(dataset, split, arrays)
    return {key: _stored(key, value) for key, value in arrays.items()}


def _stored(key: str, values: NDArray[Any]) -> NDArray[Any]:
    """Integers as they are (targets as int64), other numbers as float32. Raises SourceError for those beyond its range."""
    if values.dtype.kind in "iu":
        return np.ascontiguousarray(values, np.int64 if key.endswith("_y") else values.dtype.newbyteorder("="))
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(values, np.float32)
    beyond = np.flatnonzero([not np.isfinite(sample).all() for sample in stored])
    if len(beyond):
        largest = float(np.finfo(np.float32).max)
        raise SourceError(
            f"{key}: sample {beyond[0]} holds {np.abs(values[beyond[0]]).max():.6g}, beyond the range of float32"
            f" (-{largest:.4g} to {largest:.4g})",
            hint="correct the dataset's arrays",
        )
    return stored


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError as error:
        raise SourceError(
            f"the embedded digits need {package}, which is not installed", hint="pip install 'edgeworthy[digits]'"
        ) from error


def _npz(dataset: Dataset, base: Path) -> Path:
    assert dataset.path
    return checked_file(base / dataset.path)


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
                hint="correct the dataset's function",
            )
        return {str(key): np.asarray(value) for key, value in arrays.items()}


def _load_npz(path: Path) -> Arrays:
    with (
        reading(path, ".npz of plain arrays", "write it with numpy.savez, without object arrays"),
        path.open("rb") as stream,
        np.lib.npyio.NpzFile(stream, allow_pickle=False) as stored,  # np.load(path) leaks a bad file
    ):
        return {key: stored[key] for key in stored.files}


def _check_split(dataset: Dataset, split: str, arrays: Arrays) -> None:
    x, y = arrays.get(f"{split}_x"), arrays.get(f"{split}_y")

    def refuse(part: str, problem: str) -> SourceError:
        return SourceError(f"{split}_{part} {problem}", hint="correct the dataset's arrays")

    if x is None:
        raise refuse("y", f"has targets but there is no {split}_x")
    if x.ndim == 0 or x.dtype.kind not in "iuf":
        raise refuse(
            "x",
            f"is {x.dtype} of shape {x.shape}; numbers of shape (samples, ...) are needed,"
            " of images (samples, height, width, channels)",
        )
    if x.shape[1:] != arrays["evaluation_x"].shape[1:]:
        raise refuse("x", f"has samples of shape {x.shape[1:]}, evaluation_x of {arrays['evaluation_x'].shape[1:]}")
    if len(x) == 0:
        raise refuse("x", "is empty")
    if not all(np.isfinite(sample).all() for sample in x):
        raise refuse("x", "holds NaN or infinity")
    if y is None:
        return
    if np.issubdtype(y.dtype, np.floating) and dataset.classes is None:
        if y.ndim == 0 or len(y) != len(x) or not np.isfinite(y).all():
            raise refuse("y", f"is {y.dtype} of shape {y.shape}; {len(x)} targets without NaN or infinity are needed")
        return
    if y.shape != (len(x),) or not np.issubdtype(y.dtype, np.integer):
        raise refuse("y", f"is {y.dtype} of shape {y.shape}; {len(x)} integers are needed, one per sample")
    out_of_range = np.flatnonzero((y < 0) | (y >= (dataset.classes or MAX_CLASSES)))
    if len(out_of_range):
        first = int(out_of_range[0])
        wanted = f"0 to {(dataset.classes or MAX_CLASSES) - 1}"
        off = "; they run from 1: labels off by one" if y.min() == 1 and y.max() == dataset.classes else ""
        raise refuse(
            "y", f"has {len(out_of_range)} labels out of range ({wanted}): sample {first} is {int(y[first])}{off}"
        )
