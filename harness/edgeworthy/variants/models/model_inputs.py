"""The inputs of a model in any format, and what each of them is given of a sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeworthy.datasets.samples import IMAGE_RANK, in_layout
from edgeworthy.errors import InputMismatch, RecipeRefused
from edgeworthy.records import Layout
from edgeworthy.tensors import NamedInput, has_state, is_ragged
from edgeworthy.variants.models.output_names import plain_names


class ModelInput(NamedTuple):
    """An input as a format describes it: its name there, its shape with the batch (None where a size is open), its type.

    ``frame`` is the shape of the largest sample, without the batch, where samples have different sizes.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]
    frame: tuple[int, ...] = ()

    def closed(self, batch: int) -> tuple[int, ...]:
        """The shape of so many samples, as large as the largest."""
        frame = (batch, *(self.frame or [batch] * len(self.shape)))
        return tuple(most if size is None else size for size, most in zip(self.shape, frame, strict=False))


class Ends(NamedTuple):
    """What a source calls its inputs, where it takes several, in their order, () of a single one; and all of its outputs."""

    inputs: tuple[NamedInput, ...] = ()
    outputs: tuple[str, ...] = ("",)


#: Of a model with one input and one output.
SINGLE = Ends()


def as_input(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """``values`` in the type of an input without a scale; a runner refuses samples that an integer type does not hold."""
    if dtype.kind == "O":  # texts, of which ONNX Runtime takes any type
        return values
    if dtype.kind in "fb":
        return values.astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    return np.asarray(np.clip(np.rint(values.astype(np.float64)), limits.min, limits.max)).astype(dtype)


def as_in_source(found: Sequence[ModelInput], inputs: Sequence[NamedInput]) -> list[ModelInput]:
    """``found``, those of a converted model, in the order of its source's ``inputs``."""
    by_name = {each.name: each for each in found}
    return [by_name[name] for name in found_again(list(by_name), inputs)] if inputs else list(found)


def wanted_shape(named: NamedInput, batch: int | None, layout: Layout) -> tuple[int | None, ...] | None:
    """The shape of a conversion's input for that batch, images in ``layout``; None of a constant, whose shape is the source's."""
    if named.constant is not None:
        return None
    if named.is_state:
        return in_layout(np.empty(named.shape, np.int8), layout).shape
    return (batch, *_in_layout(named.open_shape, layout))


def wanted_input(
    name: str, named: NamedInput, dtype: np.dtype[Any], batch: int | None, layout: Layout
) -> ModelInput | None:
    """A conversion's input of that name for that batch, images in ``layout``; None of a constant, as ``wanted_shape``."""
    shape = wanted_shape(named, batch, layout)
    frame = tuple(size or 1 for size in _in_layout(named.shape, layout)) if named.ragged else ()
    return None if shape is None else ModelInput(name, shape, dtype, frame)


def _in_layout(sizes: tuple[int | None, ...], layout: Layout) -> tuple[int | None, ...]:
    """The sizes of a sample in ``layout``; some may be open."""
    return (sizes[-1], *sizes[:-1]) if layout == "nchw" and len(sizes) + 1 == IMAGE_RANK else sizes


def found_again(found: Sequence[str], inputs: Sequence[NamedInput]) -> tuple[str, ...]:
    """``found``, what a converted model calls its inputs, in the order of its source's. Raises RecipeRefused.

    Only names say which is which: inputs of one shape that a converter has exchanged may go unnoticed.
    """
    names = [each.name for each in inputs]
    if len(names) == len(found) == 1:
        return tuple(found)
    for wanted in (tuple(names), plain_names(names, "input")):
        if sorted(found) == sorted(wanted):
            return wanted
    raise RecipeRefused(
        f"the converter calls the inputs {', '.join(found)}, and nothing says which of {', '.join(names)} each of them is",
        hint="give the model's inputs names of letters, digits and underscores, or drop this variant",
    )


def values_of(
    samples: NDArray[Any], inputs: Sequence[NamedInput], layout: Layout, shapes: Sequence[Sequence[int | None]]
) -> list[NDArray[Any]]:
    """The values (n, ...) that each input is given for samples (n, ...), images in ``layout``; a constant in the input's shape.

    ``shapes`` are those of the inputs, with the batch. Raises InputMismatch where a constant's has open sizes.
    """
    if not inputs:
        return [in_layout(samples, layout)]
    return [
        in_layout(each.of(samples), layout) if each.constant is None else _filled(each, shape, len(samples))
        for each, shape in zip(inputs, shapes, strict=True)
    ]


def one_by_one(
    samples: NDArray[Any], found: Sequence[ModelInput], inputs: Sequence[NamedInput], layout: Layout, *, exact: bool
) -> Iterator[dict[str, NDArray[Any]]]:
    """For each sample, what each of the inputs ``found`` is given, in its type, by its name: (1, ...).

    Raises RecipeRefused with ``exact`` where a type does not hold a value.
    """
    entries = as_in_source(found, inputs)
    shapes = [each.shape for each in entries]
    for sample in samples:
        given = values_of(sample[np.newaxis], inputs, layout, shapes)
        fed = [as_input(each, entry.dtype) for entry, each in zip(entries, given, strict=True)]
        for entry, values, wanted in zip(entries, fed, given, strict=True):
            if exact and entry.dtype.kind != "f" and not np.array_equal(values, wanted):
                raise RecipeRefused(
                    f"the calibration samples hold values that the model's input, {entry.dtype} without a scale, does not",
                    hint="let the dataset's preprocessing give whole numbers of that type, or export the model for float32",
                )
        yield {entry.name: values for entry, values in zip(entries, fed, strict=True)}


def batch_of(found: Sequence[ModelInput], inputs: Sequence[NamedInput]) -> int | None:
    """The only batch that a model takes, None where it takes any; one sample at a time where these have different sizes."""
    if has_state(inputs) or is_ragged(inputs):
        return 1
    varying = [each for each, named in zip(found, inputs, strict=True) if named.constant is None] if inputs else found
    return next((each.shape[0] for each in varying if each.shape and each.shape[0]), None)


def _filled(named: NamedInput, shape: Sequence[int | None], count: int) -> NDArray[Any]:
    sizes = [count if place == 0 and size is None else size for place, size in enumerate(shape)]
    if None in sizes:
        raise InputMismatch(
            f"the model's input {named.name!r} has open sizes {tuple(shape)}, and its constant no shape",
            hint="give the input as an array of the dataset",
        )
    return np.full([size for size in sizes if size is not None], named.constant)
