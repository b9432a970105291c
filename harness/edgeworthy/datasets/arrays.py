"""Datasets given as arrays: the embedded digits, an .npz file, a user's function.

They are a mapping of arrays: ``evaluation_x`` (required), ``evaluation_y`` (for every metric but fidelity),
``calibration_x`` (for recipes that calibrate) and, for sources that are trained, ``train_x``, ``train_y``, ``validation_x``,
``validation_y``. Inputs are numbers or texts (dtype ``<U``) of any shape (N, ...), images (N, H, W, C). Targets are class
numbers (N,) from 0, floating-point numbers (N, ...) to be predicted, texts, or what the model's task takes: boxes, masks. For a
model of several inputs each has an array of its own, called by the split and the input: ``evaluation_ids``, ``evaluation_mask``.

Samples of different sizes are given each by itself: by a function as a list of arrays, in an .npz as one array a sample,
``evaluation_x/0``, ``evaluation_x/1`` and so on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeworthy import array_files
from edgeworthy.dataset_schema import MAX_CLASSES, Dataset
from edgeworthy.datasets import digits
from edgeworthy.datasets.ragged import Given, framed, ragged_axes
from edgeworthy.errors import SourceError
from edgeworthy.readers import checked_file, reading
from edgeworthy.runners.python_runner.texts import text_numbers
from edgeworthy.storage import file_digest
from edgeworthy.tensors import LARGEST_INTEGER, NamedInput, in_a_row, width_of
from edgeworthy.user_code.function_files import function_digest
from edgeworthy.user_code.functions import load_function, users_code

EVALUATION = ("evaluation_x", "evaluation_y", "evaluation_y_sizes")
SPLITS = ("evaluation", "calibration", "train", "validation")
KNOWN = tuple(f"{split}_{part}" for split in SPLITS for part in ("x", "y"))
#: The last part of the names of targets, and of the inputs of a model that takes one.
TARGETS, INPUT = "y", "x"
#: The sizes of targets that differ in them.
TARGET_SIZES = "y_sizes"
#: What else to give, by the kind of an array that is none of numbers or texts.
_INSTEAD = {
    "b": "; give true and false as numbers: array.astype('uint8')",
    "O": "; give texts as array.astype(str), never as objects",
    "S": "; give texts as array.astype(str), not as bytes",
}

Arrays = dict[str, NDArray[Any]]


class Chosen(NamedTuple):
    """The arrays of every split, what stands where in a row of several inputs, and how many classes are known.

    ``counts`` says how many samples were changed in which way.
    """

    arrays: Arrays
    inputs: tuple[NamedInput, ...]
    classes: int | None
    counts: Mapping[str, int]


def origin(dataset: Dataset, base: Path) -> str:
    """A digest of what the arrays are made from. Raises SourceError."""
    if dataset.kind == "npz":
        return file_digest(_npz(dataset, base))
    if dataset.kind == "function":
        assert dataset.function
        return function_digest(dataset.function, base)
    return f"{file_digest(Path(digits.__file__))} {_version('scikit-learn')} {_version('pillow')}"


def load_arrays(dataset: Dataset, base: Path) -> tuple[Arrays, Arrays]:
    """The arrays, checked: integer inputs in their own type, other inputs float32, targets int64 or float32.

    And, by the same keys, the sizes of samples that differ in them. Raises SourceError that names the array that is wrong.
    """
    arrays, sizes = framed(_load(dataset, base))
    _check_names(arrays)
    for split in dict.fromkeys(["evaluation", *(_parts(key)[0] for key in arrays)]):
        _check_split(dataset, split, arrays)
    return {key: _stored(key, value) for key, value in arrays.items()}, sizes


def in_rows(arrays: Arrays, sizes: Arrays | None = None) -> tuple[Arrays, tuple[NamedInput, ...]]:
    """Arrays of several inputs, or of texts, with one of rows, ``{split}_x`` float32 (N, values), in their place, and what stands
    where.

    Those of one input of numbers as they are, and (), unless their samples have ``sizes``, which are in the rows too; those of
    targets are ``{split}_y_sizes``. Raises SourceError for a whole number that float32 does not hold.
    """
    names, sizes = input_names(arrays), sizes or {}
    made = {key: values for key, values in arrays.items() if _parts(key)[1] == TARGETS}
    made |= {f"{_parts(key)[0]}_{TARGET_SIZES}": values for key, values in sizes.items() if key in made}
    if names == [INPUT] and EVALUATION[0] not in sizes and arrays[EVALUATION[0]].dtype.kind != "U":
        return {**arrays, **made}, ()
    arrays = _as_wide(arrays, names)
    splits = [split for split in SPLITS if f"{split}_{names[0]}" in arrays]
    axes = {
        name: ragged_axes([sizes[f"{split}_{name}"] for split in splits])
        for name in names
        if f"evaluation_{name}" in sizes
    }
    for split in splits:
        parts = []
        for name in names:
            values = _exact(f"{split}_{name}", arrays[f"{split}_{name}"])
            parts.append(values.reshape(len(values), -1))
            if name in axes:
                parts.append(sizes[f"{split}_{name}"][:, axes[name]].astype(np.float32))
        made[f"{split}_{INPUT}"] = np.concatenate(parts, axis=1)
    return made, in_a_row({name: arrays[f"evaluation_{name}"] for name in names}, axes)


def _as_wide(arrays: Arrays, names: list[str]) -> Arrays:
    """The arrays, with the texts of an input in every split of the type that holds the longest."""
    texts = {name for name in names if arrays[f"evaluation_{name}"].dtype.kind == "U"}
    kinds = {
        name: np.result_type(*(values.dtype for key, values in arrays.items() if _parts(key)[1] == name))
        for name in texts
    }
    return {key: values.astype(kinds.get(_parts(key)[1], values.dtype)) for key, values in arrays.items()}


def _exact(key: str, values: NDArray[Any]) -> NDArray[np.float32]:
    """The values as float32, texts as the numbers of their characters. Raises SourceError where it does not hold one."""
    if values.dtype.kind == "U":
        return text_numbers(values, width_of(values))
    found: NDArray[np.float32] = values.astype(np.float32)
    if values.dtype.kind in "iu" and len(values) and max(-int(values.min()), int(values.max())) > LARGEST_INTEGER:
        raise SourceError(
            f"{key}: holds whole numbers beyond {LARGEST_INTEGER:,}, which the rows of several inputs, float32, do not",
            hint="give the model smaller numbers, or all of its inputs as one array",
        )
    return found


def input_names(arrays: Mapping[str, Any]) -> list[str]:
    """What the inputs of the evaluation samples are called, in the order of the arrays: ["x"] for a model of one input."""
    parts = (_parts(key) for key in arrays)
    return [name for split, name in parts if split == "evaluation" and name != TARGETS]


def _parts(key: str) -> tuple[str, str]:
    """The split and the input, or the targets, that an array is called by."""
    split, _, name = key.partition("_")
    return split, name


def _check_names(arrays: Arrays) -> None:
    """Raise SourceError for an array that is of no split, for one that is missing, and where there are no inputs."""
    unknown = sorted(key for key in arrays if _parts(key)[0] not in SPLITS or not _parts(key)[1])
    inputs = input_names(arrays)
    if unknown or not inputs:
        problem = f"has an unknown array {unknown[0]!r}" if unknown else f"lacks {EVALUATION[0]!r}"
        raise SourceError(
            problem,
            hint=f"its arrays may be: {', '.join(KNOWN)}; of a model of several inputs evaluation_NAME for each, and so on",
        )
    for split in dict.fromkeys(_parts(key)[0] for key in arrays):
        given = {name for each, name in map(_parts, arrays) if each == split and name != TARGETS}
        different = sorted(given.symmetric_difference(inputs)) if given else []
        if different:
            name = different[0]
            side, other = (split, "evaluation") if name in inputs else ("evaluation", split)
            raise SourceError(
                f"lacks {f'{side}_{name}'!r}, and has {f'{other}_{name}'!r}",
                hint="give every split an array for each of the model's inputs",
            )


def _stored(key: str, values: NDArray[Any]) -> NDArray[Any]:
    """Integers (targets as int64) and texts as they are, other numbers as float32. Raises SourceError beyond its range."""
    if values.dtype.kind == "U":
        return np.ascontiguousarray(values)
    if values.dtype.kind in "iu":
        return np.ascontiguousarray(values, np.int64 if _parts(key)[1] == TARGETS else values.dtype.newbyteorder("="))
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


def _load(dataset: Dataset, base: Path) -> Given:
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
        return {str(key): _array_or_samples(value) for key, value in arrays.items()}


def _array_or_samples(value: Any) -> NDArray[Any] | list[NDArray[Any]]:
    """What a function gives under one name: an array, or of samples of different sizes each by itself."""
    if isinstance(value, Iterator):
        value = list(value)
    if isinstance(value, list | tuple) and len({np.shape(each) for each in value}) > 1:
        return [np.asarray(each) for each in value]
    return np.asarray(value)


def _load_npz(path: Path) -> Given:
    with reading(path, ".npz of plain arrays", "write it with numpy.savez, without object arrays"):
        arrays = array_files.load_arrays(path)
    samples = sorted((key.partition("/")[0], _number(key)) for key in arrays if "/" in key)
    found: dict[str, Any] = {key: values for key, values in arrays.items() if "/" not in key}
    for name, number in samples:
        known = found.setdefault(name, [])
        if not isinstance(known, list) or number != len(known):
            raise SourceError(
                f"{name}/{number} is one sample of {name!r}, and there is no {name}/{len(known)}",
                hint=f"number the samples of different sizes from 0: {name}/0, {name}/1 and so on",
            )
        known.append(arrays[f"{name}/{number}"])
    return found


def _number(key: str) -> int:
    """Of ``evaluation_x/7`` the 7. Raises SourceError where that is no number."""
    name, _, number = key.partition("/")
    if not number.isdecimal():
        raise SourceError(
            f"has an unknown array {key!r}", hint=f"number the samples of different sizes: {name}/0, {name}/1"
        )
    return int(number)


def _check_split(dataset: Dataset, split: str, arrays: Arrays) -> None:
    given = {name: arrays[f"{split}_{name}"] for name in input_names(arrays) if f"{split}_{name}" in arrays}
    y = arrays.get(f"{split}_{TARGETS}")
    if not given:
        raise _refusal(split, TARGETS, f"has targets but there is no {split}_{input_names(arrays)[0]}")
    for name, values in given.items():
        _check_input(split, name, values, arrays[f"evaluation_{name}"])
    first = next(iter(given))
    for name, values in given.items():
        if len(values) != len(given[first]):
            raise _refusal(split, name, f"has {len(values)} samples, {split}_{first} {len(given[first])}")
    if y is not None:
        _check_targets(dataset, split, len(given[first]), y)


def _refusal(split: str, name: str, problem: str) -> SourceError:
    return SourceError(f"{split}_{name} {problem}", hint="correct the dataset's arrays")


def _check_input(split: str, name: str, values: NDArray[Any], evaluation: NDArray[Any]) -> None:
    def refuse(problem: str) -> SourceError:
        return _refusal(split, name, problem)

    if values.ndim == 0 or values.dtype.kind not in "iufU":
        raise refuse(
            f"is {values.dtype} of shape {values.shape}; numbers of shape (samples, ...) are needed,"
            f" of images (samples, height, width, channels){_INSTEAD.get(values.dtype.kind, '')}",
        )
    if (values.dtype.kind == "U") != (evaluation.dtype.kind == "U"):
        raise refuse(f"is {values.dtype}, evaluation_{name} {evaluation.dtype}: texts and numbers")
    if values.shape[1:] != evaluation.shape[1:]:
        raise refuse(f"has samples of shape {values.shape[1:]}, evaluation_{name} of {evaluation.shape[1:]}")
    if len(values) == 0:
        raise refuse("is empty")
    if values.dtype.kind != "U" and not all(np.isfinite(sample).all() for sample in values):
        raise refuse("holds NaN or infinity")


def _check_targets(dataset: Dataset, split: str, count: int, y: NDArray[Any]) -> None:
    def refuse(problem: str) -> SourceError:
        return _refusal(split, TARGETS, problem)

    if y.ndim == 0 or len(y) != count or y.dtype.kind not in "iufU":
        raise refuse(
            f"is {y.dtype} of shape {y.shape}; {count} targets, numbers or texts, are needed, one for each sample"
        )
    if not np.issubdtype(y.dtype, np.integer) and dataset.classes is None:
        if y.dtype.kind == "f" and not np.isfinite(y).all():
            raise refuse(f"is {y.dtype} of shape {y.shape}; {count} targets without NaN or infinity are needed")
        return
    if y.ndim > 1 and dataset.classes is None:  # what a task takes: masks, labels of tokens
        return
    if y.shape != (count,) or not np.issubdtype(y.dtype, np.integer):
        raise refuse(f"is {y.dtype} of shape {y.shape}; {count} integers are needed, one per sample")
    out_of_range = np.flatnonzero((y < 0) | (y >= (dataset.classes or MAX_CLASSES)))
    if len(out_of_range):
        first = int(out_of_range[0])
        wanted = f"0 to {(dataset.classes or MAX_CLASSES) - 1}"
        off = "; they run from 1: labels off by one" if y.min() == 1 and y.max() == dataset.classes else ""
        raise refuse(f"has {len(out_of_range)} labels out of range ({wanted}): sample {first} is {int(y[first])}{off}")
