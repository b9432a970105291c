"""Samples in the types of a model's inputs, and its outputs as floats."""

from __future__ import annotations

from typing import Any

import numpy as np

from .jobs import Array, Job, RunnerError

#: float32 holds every whole number up to here.
LARGEST_INTEGER = 2**24
#: numpy's kind of texts.
TEXTS = "U"


def to_inputs(job: Job, given: list[Array], takes: list[tuple[Any, float, int]], first: int) -> list[Array]:
    """Samples in the type, scale and zero point that each input ``takes``. Raises RunnerError, naming the one of several."""
    native = []
    names = [each["name"] for each in job["inputs"]["inputs"]] or [""]
    for name, values, (dtype, scale, zero_point) in zip(names, given, takes, strict=True):
        try:
            native.append(to_input(values, dtype, scale, zero_point, first))
        except RunnerError as error:
            raise RunnerError(error.kind, f"input {name!r}, {error}" if name else str(error)) from error
    return native


def to_input(values: Array, dtype: Any, scale: float = 0.0, zero_point: int = 0, first: int = 0) -> Array:
    """Samples in the type of a model's input: quantized where it has a scale, and cast without loss otherwise.

    ``first`` is the index of the first sample. Raises RunnerError, naming the sample, where a value is outside the range
    of the type, or is a fraction and the type takes integers as they are.
    """
    wanted = np.dtype(dtype)
    if TEXTS in (wanted.kind, values.dtype.kind):
        return _texts(values, wanted)
    if wanted.kind not in "biuf":
        raise RunnerError("input_mismatch", f"the model's input is {wanted}, no numbers")
    if wanted.kind in "iu" and scale:
        return _quantize(values, wanted, scale, zero_point, first)
    if wanted.kind == "f":
        with np.errstate(over="ignore"):
            cast = np.ascontiguousarray(values, dtype=wanted)
        if cast.dtype.itemsize < values.dtype.itemsize:
            limit = float(np.finfo(wanted).max)
            _refuse(np.isinf(cast) & np.isfinite(values), values, first, _out_of_range(wanted, -limit, limit))
        return cast
    if values.dtype != wanted:
        low, high = (0, 1) if wanted.kind == "b" else (np.iinfo(wanted).min, np.iinfo(wanted).max)
        _refuse(~((values >= low) & (values < high + 1)), values, first, _out_of_range(wanted, low, high))
        if values.dtype.kind == "f":
            problem = f"is no integer, and the model's input is {wanted} without a scale"
            _refuse(values != np.rint(values), values, first, problem)
    return np.ascontiguousarray(values, dtype=wanted)


def _texts(values: Array, wanted: np.dtype[Any]) -> Array:
    """Texts for an input that takes them. Raises RunnerError where one of the two is no text."""
    if wanted.kind != values.dtype.kind:
        taken, given = ("texts" if kind == TEXTS else "numbers" for kind in (wanted.kind, values.dtype.kind))
        raise RunnerError("input_mismatch", f"the model takes {taken}, and the dataset gives {given}")
    return np.ascontiguousarray(values)


def _quantize(values: Array, dtype: np.dtype[Any], scale: float, zero_point: int, first: int) -> Array:
    limits = np.iinfo(dtype)
    levels = values.astype(np.float32, copy=False) / np.float32(scale)
    np.rint(levels, out=levels)  # in place: a new array for every step takes half as long again
    levels += zero_point
    # Most samples lie within the range of an input, and seeing that takes less than clipping. With a NaN it is not seen.
    if levels.size and not (levels.min() >= limits.min and levels.max() <= limits.max):
        _refuse(np.isnan(values), values, first, f"is not a number, and the model's input is {dtype}")
        np.clip(levels, limits.min, limits.max, out=levels)
    return levels.astype(dtype)


def _out_of_range(dtype: np.dtype[Any], low: float, high: float) -> str:
    return f"is outside the range of the model's input, {dtype} from {low:g} to {high:g}"


def _refuse(wrong: Any, values: Array, first: int, problem: str) -> None:
    """Raise RunnerError for the first value that is wrong."""
    if wrong.any():
        place = tuple(np.argwhere(wrong)[0])
        raise RunnerError("input_mismatch", f"sample {first + place[0]}: the value {values[place]:g} {problem}")


def as_floats(values: Array) -> Array:
    """An output as float32, which rounds fractions. Raises RunnerError for a whole number, or a size, that it does not hold."""
    with np.errstate(over="ignore"):
        floats = values.astype(np.float32, copy=False)
    if values.dtype.kind in "iu" and values.dtype.itemsize > 2:
        lost = (values > LARGEST_INTEGER) | (values < -LARGEST_INTEGER)
    elif values.dtype.itemsize > 4:
        lost = np.isinf(floats) & np.isfinite(values)
    else:
        return floats
    if lost.any():
        raise RunnerError(
            "artifact_unusable",
            f"the model's output has a value of {values[tuple(np.argwhere(lost)[0])]}, which float32, in which outputs are kept,"
            " does not hold",
        )
    return floats


def dequantize(values: Array, scale: float, zero_point: int) -> Array:
    """A tensor's values as float32; a scale of 0 is no quantization. Raises RunnerError where one is not to be had so."""
    if values.dtype.kind not in "iu" or scale == 0:
        return as_floats(values)
    return (values.astype(np.float32) - zero_point) * np.float32(scale)
